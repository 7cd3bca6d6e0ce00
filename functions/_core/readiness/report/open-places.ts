import type { Report, ReportEvidence, ReportRule } from "./contract.ts";

/** A place that speaks against a rule, and that nobody answers for. */
export type OpenPlace = { rule: ReportRule; evidence: ReportEvidence };

/**
 * Every open place of a report, in its order: the gaps and weaknesses that are not ignored.
 *
 * @example
 * openPlaces(report).filter(({ evidence }) => evidence.severity === "p0");
 */
export function openPlaces({ rules }: Pick<Report, "rules">): OpenPlace[] {
  return rules.flatMap((rule) =>
    rule.evidence.flatMap((evidence) =>
      (evidence.kind === "gap" || evidence.kind === "weakness") && !evidence.ignored
        ? [{ rule, evidence }]
        : []
    )
  );
}
