import { pascalCase, sarif, uriOf } from "../../sarif.ts";
import type { Severity } from "../rule.ts";
import type { Report } from "./contract.ts";

const LEVEL: Record<Severity, "error" | "warning" | "note"> = {
  p0: "error",
  p1: "warning",
  p2: "note",
};
/** What code scanning sorts by. */
const SCORE: Record<Severity, string> = { p0: "9.0", p1: "6.0", p2: "3.0" };
/** GitHub keeps no more of one run. */
const MOST = 5_000;

/**
 * The open places as SARIF 2.1.0, the heaviest first. What is absent has no place of its own: it stands at the file
 * that should hold it, line 1, or at the README. What somebody answers for is suppressed, with the reason.
 *
 * @example
 * await writeFile("readiness.sarif", JSON.stringify(renderSarif(report)));
 */
export function renderSarif(report: Report): Record<string, unknown> {
  const known = new Set(report.files.map(({ path }) => path));
  const fallback = report.files.find(({ path }) => /^readme/i.test(path))?.path ??
    report.files[0]?.path ?? "README.md";
  const open = report.rules.flatMap((rule, ruleIndex) =>
    rule.evidence.flatMap((evidence) =>
      evidence.kind === "gap" || evidence.kind === "weakness"
        ? [{ rule, ruleIndex, evidence, severity: evidence.severity ?? rule.rated }]
        : []
    )
  ).toSorted((a, b) => (a.severity < b.severity ? -1 : a.severity > b.severity ? 1 : 0));
  return sarif({
    tool: {
      driver: {
        name: "bulkhead-readiness",
        semanticVersion: report.tool_version,
        rules: report.rules.map(({ id, name, title, remedy, rated, area, confidence }) => ({
          id,
          name: pascalCase(name),
          shortDescription: { text: title },
          help: { text: `${remedy}. bulkhead readiness --explain ${id}` },
          defaultConfiguration: { level: LEVEL[rated] },
          properties: { tags: [area], precision: confidence, "security-severity": SCORE[rated] },
        })),
      },
    },
    columnKind: "utf16CodeUnits",
    originalUriBaseIds: { SRCROOT: { description: { text: "the root of the repository" } } },
    invocations: [{
      executionSuccessful: true,
      toolExecutionNotifications: report.unread.map(({ file, line, reason }) => ({
        level: "warning",
        message: { text: reason },
        locations: [location(known.has(file) ? file : fallback, line ?? 1)],
      })),
    }],
    results: open.slice(0, MOST).map(({ rule, ruleIndex, evidence, severity }) => ({
      ruleId: rule.id,
      ruleIndex,
      level: LEVEL[severity],
      message: { text: `${evidence.message}. To resolve: ${rule.remedy}` },
      locations: [
        known.has(evidence.file)
          ? location(evidence.file, evidence.line ?? 1)
          : location(fallback, 1),
      ],
      partialFingerprints: { "bulkheadReadiness/v1": evidence.fingerprint },
      ...(evidence.ignored
        ? {
          suppressions: [{
            kind: "external",
            justification: `${evidence.ignored.reason} (until ${evidence.ignored.until})`,
          }],
        }
        : {}),
    })),
  });
}

function location(file: string, line: number): Record<string, unknown> {
  return {
    physicalLocation: {
      artifactLocation: { uri: uriOf(file), uriBaseId: "SRCROOT" },
      region: { startLine: line },
    },
  };
}
