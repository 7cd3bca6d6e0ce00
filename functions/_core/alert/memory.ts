import * as z from "zod";
import type { Judgement } from "./watch.ts";

/** What a watchdog remembers between two looks. */
export const memory = z.object({
  verdict: z.enum(["green", "red", "unknown", "silent"]),
  /** Since when it has been like this. */
  since: z.iso.datetime(),
  /** When Slack was last told. */
  told_at: z.iso.datetime().nullable(),
});
export type Memory = z.infer<typeof memory>;

/** What to say now, and what to remember once it was said. */
export type Decision = {
  say: "began" | "changed" | "still" | "over" | undefined;
  next: Memory;
};

/**
 * Say each thing once: when it begins, when it becomes something else, again after a while, and when it is over. Who
 * remembers nothing says it every time: better twice than never.
 *
 * @example
 * const { say, next } = decide(undefined, { verdict: "red", detail }, { now: new Date(), repeatHours: 4 });
 */
export function decide(
  before: Memory | undefined,
  judgement: Judgement,
  options: { now: Date; repeatHours: number },
): Decision {
  const { verdict } = judgement;
  const now = options.now.toISOString();
  const wasBad = before !== undefined && before.verdict !== "green";
  if (verdict === "green") {
    return wasBad
      ? { say: "over", next: { verdict, since: now, told_at: now } }
      : { say: undefined, next: before ?? { verdict, since: now, told_at: null } };
  }
  if (!wasBad) return { say: "began", next: { verdict, since: now, told_at: now } };
  if (before.verdict !== verdict) {
    return { say: "changed", next: { verdict, since: before.since, told_at: now } };
  }
  const hours = before.told_at === null
    ? Infinity
    : (options.now.getTime() - Date.parse(before.told_at)) / 3_600_000;
  // A memory from the future is one of a wrong clock.
  return hours >= options.repeatHours || hours < 0
    ? { say: "still", next: { ...before, told_at: now } }
    : { say: undefined, next: before };
}
