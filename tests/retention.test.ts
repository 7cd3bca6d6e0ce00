import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import type {
  RetentionBackup,
  RetentionOptions,
  RetentionPlan,
} from "../functions/_core/backup/retention-types.ts";
import { monthOf, planRetention, weekOf } from "../functions/_core/backup/retention.ts";
import { depth } from "./support/depth.ts";

const DAY = 86_400_000;
const NOW = new Date("2026-11-21T03:00:00Z");
const policy = { daily: 30, weekly: 12, monthly: 12, now: NOW, isListingComplete: true };

const backup = (at: string | Date, more: Partial<RetentionBackup> = {}): RetentionBackup => {
  const time = new Date(at);
  return { id: time.toISOString(), at: time, state: "verified", ...more };
};

/** One a day at 02:30 UTC, newest first. */
const nightly = (days: number, now = NOW): RetentionBackup[] =>
  Array.from({ length: days }, (_, i) => {
    const day = new Date(now.getTime() - i * DAY).toISOString().slice(0, 10);
    return backup(`${day}T02:30:00Z`);
  });

const plan = (backups: readonly RetentionBackup[], more: Partial<RetentionOptions> = {}) =>
  planRetention(backups, { ...policy, ...more });

const days = (of: RetentionPlan) => of.keep.map(({ id }) => id.slice(0, 10));
const stopsOf = (of: RetentionPlan) => of.stops.map(({ code }) => code);
const asideOf = (of: RetentionPlan) =>
  of.setAside.map(({ id, reason }) => [id.slice(0, 10), reason]);

test("400 nightly backups leave exactly the golden list", () => {
  const result = plan(nightly(400), { isForced: true });
  const table = result.keep.map(({ id, reason }) => `${id.slice(0, 10)} ${reason}`).join("\n") +
    "\n";
  const file = new URL("support/retention-400-days.golden.txt", import.meta.url);
  if (process.env["BULKHEAD_WRITE_GOLDEN"] === "1") writeFileSync(file, table);
  assert.equal(table, readFileSync(file, "utf8"));
  assert.equal(result.keep.length + result.remove.length, 400);
});

test("a store pruned every night for three years settles at 54 backups that reach back a year", () => {
  let backups: RetentionBackup[] = [];
  const start = Date.parse("2024-01-01T02:30:00Z");
  let least = Infinity, most = 0;
  for (let day = 0; day < 3 * 366; day++) {
    const at = new Date(start + day * DAY);
    backups.push(backup(at));
    const { keep, remove, stops } = plan(backups, { now: new Date(at.getTime() + 1_800_000) });
    assert.deepEqual(stops, []); // a nightly prune never comes near the 25%
    const gone = new Set(remove);
    backups = backups.filter(({ id }) => !gone.has(id));
    if (day < 500) continue;
    assert.equal(keep.length, 54);
    const reach = (at.getTime() - backups[0]!.at.getTime()) / DAY;
    [least, most] = [Math.min(least, reach), Math.max(most, reach)];
  }
  assert.ok(least >= 364 && most <= 426, `reaches back ${least} to ${most} days`);
});

test("no backups is refused, since a wrong prefix looks the same", () => {
  assert.deepEqual(stopsOf(plan([])), ["empty"]);
});

test("of several backups on a day the newest verified one stands for it", () => {
  const result = plan([
    ...nightly(10),
    backup("2026-11-20T08:00:00Z"),
    backup("2026-11-20T20:00:00Z", { state: "unverified" }),
  ], { isForced: true });
  const kept = result.keep.map(({ id }) => id).filter((id) => id.startsWith("2026-11-20"));
  assert.deepEqual(kept, ["2026-11-20T08:00:00.000Z"]);
  assert.deepEqual(result.remove, ["2026-11-20T02:30:00.000Z"]);
  assert.deepEqual(asideOf(result), [["2026-11-20", "unverified"]]);
});

test("an unverified newest counts for nothing and stays", () => {
  const backups = [...nightly(40)];
  backups[0] = backup("2026-11-21T02:30:00Z", { state: "unverified" });
  const result = plan(backups);
  assert.equal(days(result)[0], "2026-11-20");
  assert.deepEqual(asideOf(result), [["2026-11-21", "unverified"]]);
});

test("without any verified backup nothing is removed", () => {
  const backups = nightly(100).map((one) => ({ ...one, state: "unverified" as const }));
  const result = plan(backups, { isForced: true });
  assert.deepEqual([result.keep.length, result.remove.length], [0, 0]);
});

test("an unverified backup goes when it is older than every verified one that stays", () => {
  const old = backup("2020-01-01T02:30:00Z", { state: "unverified" });
  assert.deepEqual(plan([...nightly(20), old]).remove, [old.id]);
});

test("a tampered backup is evidence and never goes", () => {
  const old = backup("2020-01-01T02:30:00Z", { state: "invalid" });
  assert.deepEqual(asideOf(plan([...nightly(20), old])), [["2020-01-01", "invalid"]]);
});

test("a long pause removes nothing more on any later run", () => {
  const kept = new Set(plan(nightly(400), { isForced: true }).keep.map(({ id }) => id));
  const left = nightly(400).filter(({ id }) => kept.has(id));
  for (const pause of [1, 40, 400, 4_000]) {
    const later = new Date(NOW.getTime() + pause * DAY);
    assert.deepEqual(plan(left, { now: later }).remove, [], `${pause} days later`);
  }
});

test("gaps cost nothing: thirty days are thirty days that have a backup", () => {
  const every3rd = nightly(120).filter((_, i) => i % 3 === 0);
  const daily = plan(every3rd).keep.filter(({ reason }) => reason === "daily");
  assert.equal(daily.length, 30);
  assert.equal(daily.at(-1)?.id.slice(0, 10), every3rd[29]!.id.slice(0, 10));
});

test("weeks are ISO weeks: 1 January 2027 lies in 2026-W53", () => {
  const week = (day: string) => weekOf(new Date(`${day}T12:00:00Z`));
  assert.equal(week("2027-01-01"), "2026-W53");
  assert.equal(week("2027-01-03"), "2026-W53");
  assert.equal(week("2027-01-04"), "2027-W01");
  assert.equal(week("2024-12-30"), "2025-W01");
  assert.equal(week("2021-01-01"), "2020-W53");
  const result = plan(nightly(60, new Date("2027-02-01T03:00:00Z")), {
    now: new Date("2027-02-01T03:00:00Z"),
    daily: 1,
    weekly: 6,
    monthly: 0,
    isForced: true,
  });
  assert.deepEqual(days(result), [
    "2027-02-01",
    "2027-01-31",
    "2027-01-24",
    "2027-01-17",
    "2027-01-10",
    "2027-01-03", // the Sunday of 2026-W53
    "2026-12-27",
  ]);
});

test("29 February is a day, a week's and a month's newest like any other", () => {
  const now = new Date("2028-03-20T03:00:00Z");
  const backups = nightly(120, now);
  const result = plan(backups, { now, daily: 7, weekly: 0, monthly: 3, isForced: true });
  assert.deepEqual(days(result).slice(7), ["2028-02-29", "2028-01-31", "2027-12-31"]);
  assert.equal(monthOf(new Date("2028-02-29T23:59:59Z")), "2028-02");
});

test("days end at midnight UTC, wherever the machine stands", () => {
  const edge = [
    backup("2026-11-20T23:59:59.999Z"),
    backup("2026-11-20T00:00:00.000Z"),
    backup("2026-11-19T23:59:59.999Z"),
  ];
  const result = plan([...edge, ...nightly(30).slice(3)], { isForced: true });
  assert.deepEqual(result.remove, ["2026-11-20T00:00:00.000Z"]);
});

test("a backup dated in the future is set aside, counts for nothing and stays", () => {
  const result = plan([...nightly(20), backup("2027-11-21T02:30:00Z")]);
  assert.deepEqual(asideOf(result), [["2027-11-21", "future"]]);
  assert.deepEqual(stopsOf(result), []);
  assert.equal(plan([backup(new Date(NOW.getTime() + 300_000))]).keep.length, 1);
});

test("a wrong clock stops: the store's differs, or most backups lie ahead", () => {
  const apart = (minutes: number) =>
    stopsOf(plan(nightly(40), { storeClock: new Date(NOW.getTime() + minutes * 60_000) }));
  assert.deepEqual(apart(9), []);
  assert.deepEqual(apart(11), ["clock"]);
  assert.deepEqual(apart(-11), ["clock"]);
  const past = plan(nightly(400), { now: new Date("2026-01-01T00:00:00Z") });
  assert.deepEqual([stopsOf(past), past.remove.length], [["clock"], 0]);
});

test("a flood of one day keeps one of them, and needs force", () => {
  const flood = Array.from(
    { length: 500 },
    (_, i) => backup(new Date(NOW.getTime() - 3_600_000 - i * 1_000)),
  );
  const backups = [...flood, ...nightly(30).slice(1)];
  assert.deepEqual(stopsOf(plan(backups)), ["share"]);
  const forced = plan(backups, { isForced: true });
  assert.equal(forced.remove.length, 499);
  assert.equal(forced.keep[0]?.id, flood[0]?.id);
  assert.ok(days(forced).includes("2026-10-25")); // the flood uses up one day only
});

test("a locked or held backup is set aside and reported", () => {
  const backups = nightly(400);
  const gone = plan(backups, { isForced: true }).remove;
  const marked = backups.map((one) =>
    one.id === gone[0]
      ? { ...one, isLocked: true }
      : one.id === gone[1]
      ? { ...one, isHeld: true }
      : one
  );
  const result = plan(marked, { isForced: true });
  assert.deepEqual(result.remove, gone.slice(2));
  assert.deepEqual(asideOf(result), [
    [gone[1]!.slice(0, 10), "held"],
    [gone[0]!.slice(0, 10), "locked"],
  ]);
});

test("a partial listing removes nothing, forced or not", () => {
  const result = plan(nightly(400), { isListingComplete: false, isForced: true });
  assert.deepEqual([stopsOf(result), result.remove], [["partial"], []]);
});

test("a policy that keeps nothing, or no number, is refused", () => {
  const wrong = [[0, 0, 0], [-1, 12, 12], [1.5, 0, 0], [NaN, 1, 1], [Infinity, 1, 1]];
  for (const [daily = 0, weekly = 0, monthly = 0] of wrong) {
    assert.throws(() => plan(nightly(9), { daily, weekly, monthly }), {
      code: "BH_RETENTION_POLICY",
    });
  }
});

test("three verified backups stay whatever the policy says", () => {
  const flood = Array.from({ length: 9 }, (_, i) => backup(new Date(NOW.getTime() - i * 60_000)));
  const result = plan(flood, { daily: 1, weekly: 0, monthly: 0, isForced: true });
  assert.deepEqual(result.keep.map(({ reason }) => reason), ["daily", "floor", "floor"]);
});

test("more than 25% at once needs force, 25% does not", () => {
  const of = (removed: number) =>
    plan([
      ...nightly(30),
      ...Array.from({ length: removed }, (_, i) => backup(`2026-11-20T01:00:${10 + i}Z`)),
    ]);
  assert.deepEqual([stopsOf(of(10)), of(10).remove.length], [[], 10]);
  assert.deepEqual([stopsOf(of(11)), of(11).remove.length], [["share"], 11]);
});

test("a rule that finds too few keeps the oldest", () => {
  const result = plan(nightly(20), { daily: 5, weekly: 0, monthly: 12, isForced: true });
  assert.deepEqual(result.keep.slice(5).map(({ id, reason }) => `${id.slice(0, 10)} ${reason}`), [
    "2026-11-02 oldest",
  ]);
});

const anyBackup = fc.record({
  ago: fc.integer({ min: -2 * DAY, max: 900 * DAY }),
  state: fc.constantFrom("verified", "verified", "verified", "unverified", "invalid"),
  isHeld: fc.boolean(),
}).map(({ ago, state, isHeld }): RetentionBackup =>
  backup(new Date(NOW.getTime() - ago), { state, isHeld })
);
const anyPolicy = fc.record({
  daily: fc.integer({ min: 0, max: 40 }),
  weekly: fc.integer({ min: 0, max: 15 }),
  monthly: fc.integer({ min: 1, max: 15 }),
});

test("whatever the backups and the policy: nothing is lost sight of, a rerun changes nothing", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(anyBackup, { selector: ({ id }) => id, maxLength: 150 }),
      anyPolicy,
      (backups, counts) => {
        const first = plan(backups, { ...counts, isForced: true });
        const ids = [...first.keep, ...first.setAside].map(({ id }) => id).concat(first.remove);
        if (first.stops.length === 0) {
          assert.deepEqual(ids.sort(), backups.map(({ id }) => id).sort());
        }
        const past = backups.filter(({ at, state }) =>
          state === "verified" && at.getTime() <= NOW.getTime() + 600_000
        );
        assert.ok(first.keep.length >= Math.min(3, past.length));
        assert.ok(first.keep.length <= counts.daily + counts.weekly + counts.monthly + 5);
        const newest = past.map(({ id }) => id).sort().at(-1);
        if (newest) assert.equal(first.keep[0]?.id, newest);

        const gone = new Set(first.remove);
        const left = backups.filter(({ id }) => !gone.has(id));
        const second = plan(left, { ...counts, isForced: true });
        assert.deepEqual(second.remove, []);
        assert.deepEqual(second.keep, first.keep);
        assert.deepEqual(plan([...backups].reverse(), { ...counts, isForced: true }), first);
      },
    ),
    { numRuns: depth({ quick: 300, full: 3_000 }) },
  );
});
