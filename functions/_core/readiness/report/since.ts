import { BulkheadError } from "../../errors.ts";
import { parseJson } from "../../json.ts";
import { type Report, reportSchema } from "./contract.ts";
import { openPlaces } from "./open-places.ts";

/**
 * What became of an earlier report's open places. Fixed is what is gone while its rule was asked and could be decided;
 * what is ignored now, or can't be seen any more, is not fixed.
 *
 * @example
 * report.since = sinceReport(report, parseReport(text, "last.json"));
 */
export function sinceReport(report: Report, earlier: Report): NonNullable<Report["since"]> {
  const here = new Set(
    report.rules.flatMap(({ id, evidence }) =>
      evidence.flatMap(({ kind, fingerprint }) =>
        kind === "gap" || kind === "weakness" ? [`${id} ${fingerprint}`] : []
      )
    ),
  );
  const decided = new Map(report.rules.map(({ id, status }) => [id, status !== "unknown"]));
  const before = openPlaces(earlier).filter(({ rule }) => decided.has(rule.id));
  const known = new Set(before.map(({ rule, evidence }) => `${rule.id} ${evidence.fingerprint}`));
  const fixed = before.filter(({ rule, evidence }) =>
    decided.get(rule.id) && !here.has(`${rule.id} ${evidence.fingerprint}`)
  );
  return {
    generated_at: earlier.generated_at,
    fixed: fixed.map(({ rule, evidence: { file, message } }) => ({ rule: rule.id, file, message })),
    fresh: openPlaces(report).flatMap(({ rule, evidence: { fingerprint } }) =>
      known.has(`${rule.id} ${fingerprint}`) ? [] : [fingerprint]
    ),
    unchanged: before.length - fixed.length,
  };
}

/** Read a report of `--json`. @throws BulkheadError `BH_READINESS_SINCE` when it is none. */
export function parseReport(text: string, path: string): Report {
  const parsed = reportSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new BulkheadError(
    "BH_READINESS_SINCE",
    `Cannot read "${path}": it is no report of bulkhead readiness`,
    {
      kind: "usage",
      hint: "write one with bulkhead readiness --json > report.json",
      cause: parsed.error,
    },
  );
}
