import { BulkheadError } from "../errors.ts";
import type {
  RetentionBackup,
  RetentionOptions,
  RetentionPlan,
  RetentionReason,
  RetentionStop,
} from "./retention-types.ts";

const DAY = 86_400_000;
/** How far two clocks may be apart, and how far ahead a backup may be dated. */
const CLOCK_TOLERANCE = 600_000;
/** Verified backups that stay whatever the policy says. */
const FLOOR = 3;
/** The share of all backups that one run may remove unless forced. */
const SHARE = 0.25;

/** `2026-11-21`, UTC. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}

/** ISO 8601 week, UTC: `2026-W53` holds 2027-01-01. */
export function weekOf(at: Date): string {
  const day = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()));
  const thursday = new Date(day.getTime() + (4 - (day.getUTCDay() || 7)) * DAY);
  const year = thursday.getUTCFullYear();
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY));
  return `${year}-W${String(week).padStart(2, "0")}`;
}

/** `2026-11`, UTC. */
export function monthOf(at: Date): string {
  return at.toISOString().slice(0, 7);
}

/**
 * What to keep and what to remove. Pure: no clock, no store, no randomness.
 *
 * The semantics are borg's: for each rule, newest first, the newest backup of each period that has one;
 * a backup kept by an earlier rule uses up its period and is not counted, so 30 daily, 12 weekly and 12
 * monthly reach back more than a year (each rule on its own would end after 304 to 337 days). A rule that
 * finds too few keeps the oldest backup too. Periods without a backup cost nothing, so a pause removes
 * nothing more.
 *
 * @example
 * const plan = planRetention(backups, { daily: 30, weekly: 12, monthly: 12, now, isListingComplete: true });
 * if (plan.stops.length === 0) for (const id of plan.remove) await remove(id);
 * @throws BulkheadError `BH_RETENTION_POLICY` for a policy that keeps nothing.
 */
export function planRetention(
  backups: readonly RetentionBackup[],
  options: RetentionOptions,
): RetentionPlan {
  checkPolicy(options);
  const newestFirst = [...backups].sort((a, b) =>
    b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : -1)
  );
  const limit = options.now.getTime() + CLOCK_TOLERANCE;
  const future = newestFirst.filter(({ at }) => at.getTime() > limit);
  const past = newestFirst.filter(({ at }) => at.getTime() <= limit);
  const verified = past.filter(({ state }) => state === "verified");

  const kept = new Map<string, RetentionReason>();
  applyRule(verified, kept, { reason: "daily", count: options.daily, periodOf: dayOf });
  applyRule(verified, kept, { reason: "weekly", count: options.weekly, periodOf: weekOf });
  applyRule(verified, kept, { reason: "monthly", count: options.monthly, periodOf: monthOf });
  for (const { id } of verified) {
    if (kept.size >= FLOOR) break;
    if (!kept.has(id)) kept.set(id, "floor");
  }

  const setAside: { id: string; reason: RetentionPlan["setAside"][number]["reason"] }[] = future
    .map(({ id }) => ({ id, reason: "future" }));
  const remove: string[] = [];
  const oldestKept = verified.findLast(({ id }) => kept.has(id));
  for (const backup of past) {
    if (kept.has(backup.id)) continue;
    const reason = reasonToSpare(backup, oldestKept);
    if (reason) setAside.push({ id: backup.id, reason });
    else remove.unshift(backup.id);
  }

  const stops = findStops({ backups, future: future.length, remove: remove.length }, options);
  const isBlocked = stops.some(({ code }) => code !== "share");
  return {
    keep: past.flatMap(({ id }) => {
      const reason = kept.get(id);
      return reason ? [{ id, reason }] : [];
    }),
    remove: isBlocked ? [] : remove,
    setAside,
    stops,
  };
}

function applyRule(
  newestFirst: readonly RetentionBackup[],
  kept: Map<string, RetentionReason>,
  rule: {
    reason: "daily" | "weekly" | "monthly";
    count: number;
    periodOf: (at: Date) => string;
  },
): void {
  let found = 0, period = "";
  for (const { id, at } of newestFirst) {
    if (found === rule.count) return;
    if (rule.periodOf(at) === period) continue;
    period = rule.periodOf(at);
    if (kept.has(id)) continue;
    kept.set(id, rule.reason);
    found++;
  }
  const oldest = newestFirst[newestFirst.length - 1];
  if (found < rule.count && oldest && !kept.has(oldest.id)) kept.set(oldest.id, "oldest");
}

/**
 * Unverified backups count for no rule, and go only when older than every verified one that stays: until
 * then they may be all there is of their day. Tampered ones are evidence and never go.
 */
function reasonToSpare(
  backup: RetentionBackup,
  oldestKept: RetentionBackup | undefined,
): "invalid" | "held" | "locked" | "unverified" | undefined {
  if (backup.state === "invalid") return "invalid";
  if (backup.isHeld) return "held";
  if (backup.isLocked) return "locked";
  const isOldest = oldestKept !== undefined && backup.at.getTime() < oldestKept.at.getTime();
  if (backup.state === "unverified" && !isOldest) return "unverified";
  return undefined;
}

function findStops(
  found: { backups: readonly RetentionBackup[]; future: number; remove: number },
  options: RetentionOptions,
): RetentionStop[] {
  const stops: RetentionStop[] = [];
  const total = found.backups.length;
  if (total === 0) {
    stops.push({
      code: "empty",
      message: "the store has no backups",
      hint: "Check BULKHEAD_STORE: a wrong prefix looks the same",
    });
  }
  if (!options.isListingComplete) {
    stops.push({
      code: "partial",
      message: "the listing may not be complete",
      hint: "Run again; nothing is removed on part of a picture",
    });
  }
  const skew = options.storeClock
    ? Math.abs(options.storeClock.getTime() - options.now.getTime())
    : 0;
  if (skew > CLOCK_TOLERANCE) {
    stops.push({
      code: "clock",
      message: `this clock and the store's differ by ${Math.round(skew / 60_000)} minutes`,
      hint: "Set this machine's clock",
    });
  } else if (found.future * 2 > total) {
    stops.push({
      code: "clock",
      message: `${found.future} of ${total} backups lie in the future`,
      hint: "Set this machine's clock, or that of the machine that makes the backups",
    });
  }
  if (found.remove > total * SHARE && !options.isForced) {
    stops.push({
      code: "share",
      message: `${found.remove} of ${total} backups would go at once, more than 25%`,
      hint: "Read the plan; if it is right, add --force",
    });
  }
  return stops;
}

function checkPolicy({ daily, weekly, monthly }: RetentionOptions): void {
  const counts = [daily, weekly, monthly];
  const isSound = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  if (isSound && counts.some((count) => count > 0)) return;
  throw new BulkheadError(
    "BH_RETENTION_POLICY",
    `Cannot plan retention for "${counts.join("/")}": ${
      isSound ? "it keeps nothing" : "counts are whole numbers from 0"
    }`,
    { kind: "usage", hint: "Use 30/12/12, or at least one count above 0" },
  );
}
