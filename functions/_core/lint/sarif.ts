import type { Finding } from "./finding.ts";
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
  const seen = new Map<string, number>();
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{
      tool: {
        driver: {
          name: "bulkhead-lint",
          semanticVersion: version,
          rules: RULES.map(({ id, title, help, severity }) => ({
            id,
            name: id.slice("lint/".length).split("-").map((one) =>
              one.charAt(0).toUpperCase() + one.slice(1)
            ).join(""),
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
        partialFingerprints: { "bulkheadLint/v1": fingerprint(one, seen) },
      })),
    }],
  };
}

function artifact(file: string): Record<string, string> {
  return { uri: file.split("/").map(encodeURIComponent).join("/"), uriBaseId: "SRCROOT" };
}

/** The same for the same line, wherever it moves; the second of its kind in a file is another. */
function fingerprint(finding: Finding, seen: Map<string, number>): string {
  const key = [finding.rule, finding.file, finding.source.replace(/\s+/g, " ").trim()].join("\0");
  const nth = seen.get(key) ?? 0;
  seen.set(key, nth + 1);
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (let index = 0; index < key.length; index++) {
    a = Math.imul(a ^ key.charCodeAt(index), 0x01000193);
    b = Math.imul(b + key.charCodeAt(index), 0x85ebca6b) ^ (b >>> 13);
  }
  const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
  return `${hex(a)}${hex(b)}:${nth}`;
}
