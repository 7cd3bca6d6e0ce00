import { fingerprints } from "../fingerprint.ts";
import { pascalCase, sarif, uriOf } from "../sarif.ts";
import type { LintResult } from "./lint.ts";
import { RULES } from "./rules.ts";

const LEVEL = { error: "error", warning: "warning", info: "note" } as const;

/**
 * The result as SARIF 2.1.0, for code scanning. A file that could not be read is a notification of the run, which
 * then was not successful.
 *
 * @example
 * await writeFile("lint.sarif", JSON.stringify(toSarif(result, "0.1.0")));
 */
export function toSarif(
  { findings, unread }: Pick<LintResult, "findings" | "unread">,
  version: string,
): Record<string, unknown> {
  const fingerprint = fingerprints();
  return sarif({
    tool: {
      driver: {
        name: "bulkhead-lint",
        semanticVersion: version,
        rules: RULES.map(({ id, title, help, severity }) => ({
          id,
          name: pascalCase(id.slice("lint/".length)),
          shortDescription: { text: title },
          help: { text: `${help}. See docs/lint.md` },
          defaultConfiguration: { level: LEVEL[severity] },
        })),
      },
    },
    columnKind: "utf16CodeUnits",
    originalUriBaseIds: { SRCROOT: { description: { text: "the folder that was linted" } } },
    invocations: [{
      executionSuccessful: unread.length === 0,
      toolExecutionNotifications: unread.map(({ file, reason }) => ({
        level: "error",
        message: { text: reason },
        locations: [{ physicalLocation: { artifactLocation: artifact(file) } }],
      })),
    }],
    results: findings.map((one) => ({
      ruleId: one.rule,
      ruleIndex: RULES.findIndex(({ id }) => id === one.rule),
      level: LEVEL[one.severity],
      message: { text: `${one.message}. To resolve: ${one.help}` },
      locations: [{
        physicalLocation: {
          artifactLocation: artifact(one.file),
          region: {
            startLine: one.line,
            startColumn: one.column,
            endLine: one.endLine,
            endColumn: one.endColumn,
          },
        },
      }],
      // Blanks do not count: a formatter changes them.
      partialFingerprints: {
        "bulkheadLint/v1": fingerprint(one.rule, one.file, one.source.replace(/\s+/g, " ").trim()),
      },
    })),
  });
}

function artifact(file: string): Record<string, string> {
  return { uri: uriOf(file), uriBaseId: "SRCROOT" };
}
