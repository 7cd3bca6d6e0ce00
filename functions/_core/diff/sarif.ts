import { sarif, uriOf } from "../sarif.ts";
import type { Diff, Entry } from "./classify.ts";
import { headline, values } from "./render.ts";
import { RULES } from "./rules.ts";

const LEVEL = { dangerous: "error", review: "warning", safe: "note" } as const;
/** Rules that speak of the whole. */
const WHOLE = ["table_renamed", "kit_installed", "kit_removed", "kit_upgraded", "unknown_change"];

/**
 * A comparison as SARIF 2.1.0; safe changes are left out. `fallback` is the artefact of a change whose line is unknown.
 *
 * @example
 * await writeFile("diff.sarif", JSON.stringify(diffSarif(diff, { version: "0.1.0", fallback: "supabase/migrations" })));
 */
export function diffSarif(
  diff: Diff,
  options: { version: string; fallback: string },
): Record<string, unknown> {
  const ids = [...new Set([...RULES.map((one) => one.id), ...WHOLE])].sort();
  return sarif({
    tool: {
      driver: {
        name: "bulkhead diff",
        semanticVersion: options.version,
        rules: ids.map((id) => ({
          id,
          shortDescription: { text: id.replaceAll("_", " ") },
          help: { text: "docs/diff.md" },
        })),
      },
    },
    results: diff.entries.filter((one) => one.level !== "safe")
      .map((one) => result(one, ids.indexOf(one.rule), options.fallback)),
    properties: { counts: diff.counts },
  });
}

function result(entry: Entry, ruleIndex: number, fallback: string): Record<string, unknown> {
  const change = values(entry);
  const where = entry.location ?? { file: fallback, line: 1 };
  return {
    ruleId: entry.rule,
    ruleIndex,
    kind: "fail",
    level: LEVEL[entry.level],
    message: { text: [`${headline(entry)}.`, entry.why, change].filter(Boolean).join(" ") },
    locations: [{
      physicalLocation: {
        artifactLocation: { uri: uriOf(where.file) },
        region: { startLine: where.line },
      },
      logicalLocations: [{ fullyQualifiedName: entry.object, kind: entry.kind }],
    }],
    partialFingerprints: {
      "bulkheadChange/v1": [entry.rule, entry.kind, entry.object, entry.op, entry.facet].join(" "),
    },
  };
}
