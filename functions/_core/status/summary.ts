import type { Check, PublicStatus, StatusReport, Verdict } from "./contract.ts";

/** The checks of one category, in the order in which a person should read them. */
export type Section = { category: string; verdict: Verdict; checks: Check[] };

/** Categories in the order of the main job; unknown ones come last, by name. */
const ORDER = ["boundary", "trail", "guard", "schedule", "alerting", "backups", "canaries"];
const STATUS_ORDER = { fail: 0, unknown: 1, pass: 2 };
const SEVERITY_ORDER = { critical: 0, warning: 1, info: 2 };

/**
 * Red when anything fails, unknown when anything could not be evaluated or when nothing was evaluated at all.
 *
 * @example
 * verdictOf([]); // "unknown"
 */
export function verdictOf(checks: readonly Check[]): Verdict {
  if (checks.some((check) => check.status === "fail")) return "red";
  if (checks.length === 0 || checks.some((check) => check.status === "unknown")) return "unknown";
  return "green";
}

/**
 * Group a report by category, worst first inside each.
 *
 * @example
 * for (const { category, checks } of sections(report)) { … }
 */
export function sections(report: StatusReport): Section[] {
  const groups = new Map<string, Check[]>();
  for (const check of report.checks) {
    const group = groups.get(check.category) ?? [];
    group.push(check);
    groups.set(check.category, group);
  }
  const rank = (category: string) => (ORDER.indexOf(category) + 1) || ORDER.length + 1;
  return [...groups]
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([category, checks]) => ({
      category,
      verdict: verdictOf(checks),
      checks: checks.sort(worstFirst),
    }));
}

/**
 * What may be shown without a secret: verdicts and counts, no name of a table or tenant.
 *
 * @example
 * Response.json(publicSummary(report));
 */
export function publicSummary(report: StatusReport): PublicStatus {
  return {
    verdict: report.verdict,
    checked_at: report.checked_at,
    counts: report.counts,
    categories: sections(report).map(({ category, verdict, checks }) => ({
      category,
      verdict,
      ...countsOf(checks),
    })),
  };
}

/**
 * The title of a check that passes. A canary is titled by what it looks for, since that is what an alert says; a rule
 * by what must hold.
 *
 * @example
 * passTitle(check); // "No finding: rows whose parent is gone"
 */
export function passTitle({ category, title }: Check): string {
  if (category !== "canaries") return title;
  return `No finding: ${title.charAt(0).toLowerCase()}${title.slice(1)}`;
}

/** How many checks passed, failed and could not be evaluated. */
export function countsOf(checks: readonly Check[]): StatusReport["counts"] {
  const counts = { pass: 0, fail: 0, unknown: 0 };
  for (const check of checks) counts[check.status] += 1;
  return counts;
}

/** Among checks that are equally bad the database's own order stays: setup first, code last. */
function worstFirst(a: Check, b: Check): number {
  const byStatus = STATUS_ORDER[a.status] - STATUS_ORDER[b.status];
  if (byStatus !== 0 || a.status === "pass") return byStatus;
  return SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity];
}
