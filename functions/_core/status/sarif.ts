import { pascalCase, sarif } from "../sarif.ts";
import type { Check, StatusReport } from "./contract.ts";

const LEVEL = { critical: "error", warning: "warning", info: "note" } as const;

/**
 * What does not pass as SARIF 2.1.0, for code-scanning uploads. A failed check is `kind: fail`; one that could not be
 * evaluated is `kind: open`, whose level the format fixes to `none`.
 *
 * @example
 * await writeFile("status.sarif", JSON.stringify(toSarif(report, "0.1.0")));
 */
export function toSarif(report: StatusReport, version: string): Record<string, unknown> {
  const offending = report.checks.filter((check) => check.status !== "pass");
  const names = [...new Set(report.checks.map((check) => check.name))].sort();
  return sarif({
    tool: {
      driver: {
        name: "bulkhead",
        semanticVersion: version,
        rules: names.map((name) => rule(name, report.checks)),
      },
    },
    invocations: [{ executionSuccessful: true, endTimeUtc: report.checked_at }],
    results: offending.map((check) => result(check, names.indexOf(check.name))),
    properties: { verdict: report.verdict, database: report.database },
  });
}

function rule(name: string, checks: readonly Check[]): Record<string, unknown> {
  const first = checks.find((check) => check.name === name);
  return {
    id: name,
    name: pascalCase(name),
    shortDescription: { text: first?.title ?? name },
    defaultConfiguration: { level: LEVEL[first?.severity ?? "warning"] },
    help: { text: `docs/checks/${name}.md` },
    properties: { category: first?.category ?? "" },
  };
}

function result(check: Check, ruleIndex: number): Record<string, unknown> {
  const parts = [
    `${check.title}: ${check.subject}.`,
    check.detail,
    check.remediation && `To resolve: ${check.remediation}`,
  ];
  return {
    ruleId: check.name,
    ruleIndex,
    kind: check.status === "fail" ? "fail" : "open",
    level: check.status === "fail" ? LEVEL[check.severity] : "none",
    message: { text: parts.filter(Boolean).join(" ") },
    // A database object has no line in a file; viewers that insist on one are led to the rule's own page.
    locations: [{
      physicalLocation: {
        artifactLocation: { uri: `docs/checks/${check.name}.md` },
        region: { startLine: 1 },
      },
      logicalLocations: [{ fullyQualifiedName: check.subject, kind: "object" }],
    }],
    partialFingerprints: { "bulkheadFingerprint/v1": check.fingerprint },
  };
}
