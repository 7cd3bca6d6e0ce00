/** What a watchdog makes of an answer; `silent` is worse than red: nobody is watching. */
export type Judgement = { verdict: "green" | "red" | "unknown" | "silent"; detail: string };

/**
 * An answer counts only when it is fresh. Whether the canaries inside it are fresh is the database's own check: a
 * silent one is `unknown` there, a late job and a late seal are red. `stale` is what `bulkhead.watch()` found.
 *
 * @example
 * judge({ verdict: "green", checked_at: "2026-11-21T03:00:00Z" }, { now: new Date(), maxAgeMinutes: 15 });
 */
export function judge(
  answer: { verdict: "green" | "red" | "unknown"; checked_at: string; stale?: string[] },
  options: { now: Date; maxAgeMinutes: number },
): Judgement {
  const minutes = (options.now.getTime() - Date.parse(answer.checked_at)) / 60_000;
  if (!Number.isFinite(minutes)) return { verdict: "unknown", detail: "the answer has no date" };
  if (minutes > options.maxAgeMinutes) {
    return { verdict: "unknown", detail: `the answer is ${Math.floor(minutes)} minutes old` };
  }
  if (minutes < -options.maxAgeMinutes) {
    return { verdict: "unknown", detail: "the answer is from the future: check both clocks" };
  }
  if (answer.verdict === "green" && answer.stale) {
    return { verdict: "unknown", detail: answer.stale.join(", ") };
  }
  const detail = {
    green: "every check passes",
    red: "at least one check fails",
    unknown: "at least one check could not look",
  }[answer.verdict];
  return { verdict: answer.verdict, detail };
}
