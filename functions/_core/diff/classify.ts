import { type Change, compare, objectOf } from "./compare.ts";
import { isShipped, kitAsAWhole, ofKit, upgradeEntry, wholeKit } from "./kit.ts";
import { type Level, LEVELS, type Verdict } from "./rule.ts";
import { RULES } from "./rules.ts";
import type { Facet, Kind, Snapshot } from "./snapshot.ts";
import { isKit, stateOf, type World } from "./world.ts";

/** Where in the migrations a change was most likely made. */
export type Location = { file: string; line: number };

/** One judged change. */
export type Entry = {
  rule: string;
  level: Level;
  kind: Kind;
  /** `public.messages.bulkhead_tenant`: the object for people. */
  object: string;
  op: Change["op"];
  facet: string;
  before: Facet;
  after: Facet;
  why: string;
  location?: Location;
};

/** The whole answer. */
export type Diff = {
  entries: Entry[];
  counts: Record<Level, number>;
  /** What one of the sides could not show. */
  notes: string[];
};

export type ClassifyOptions = {
  tree: World["tree"];
  /** What this version of the kit installs in an empty database: an upgrade is known by it. */
  shipped?: Snapshot | null;
  tenantColumns?: readonly string[];
};

/**
 * Compare two snapshots and judge every change; the most dangerous first.
 *
 * @example
 * const { entries, counts } = classify(before, after, { tree });
 */
export function classify(before: Snapshot, after: Snapshot, options: ClassifyOptions): Diff {
  const { changes, renamed } = compare(before, after);
  const world: World = {
    before: stateOf(before),
    after: stateOf(after),
    renamed: new Map(renamed.flatMap(([from, to]) => [[from, to], [to, from]])),
    tree: options.tree,
    shipped: options.shipped ? stateOf(options.shipped) : null,
    tenantColumns: options.tenantColumns ?? [],
  };
  const entries = renamed.map(([from, to]) => renamedEntry(world, from, to));
  entries.push(...kitAsAWhole(changes, world));
  const told = new Set<string>();
  let shipped = 0;
  for (const change of changes) {
    if (isFolded(change, changes, world)) continue;
    if (ofKit(change) && isShipped(change, world)) {
      shipped++;
      continue;
    }
    const { rule, verdict } = judge(change, world);
    if (verdict.level === "safe" && isPart(change, world)) continue;
    // A policy is judged as one: one line, however many of its properties changed.
    if (change.kind === "policy" && change.op === "changed") {
      const key = `${change.on} ${change.name}`;
      if (told.has(key)) continue;
      told.add(key);
    }
    entries.push(entryOf(change, rule, verdict));
  }
  if (shipped > 0) entries.push(upgradeEntry(shipped));
  entries.sort((a, b) =>
    LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level) ||
    (a.object < b.object ? -1 : a.object > b.object ? 1 : 0)
  );
  const count = (level: Level) => entries.filter((one) => one.level === level).length;
  return {
    entries,
    counts: { dangerous: count("dangerous"), review: count("review"), safe: count("safe") },
    notes: notesOf(before, after),
  };
}

/** Policies and triggers go with a table; the kit's guard names it as it was when it was protected. */
function renamedEntry(world: World, from: string, to: string): Entry {
  const declared = world.after.get("protected table", "", to);
  const stale = declared !== undefined && declared["as"] !== to;
  return {
    rule: "table_renamed",
    level: stale ? "dangerous" : "review",
    kind: "table",
    object: to,
    op: "changed",
    facet: "name",
    before: from,
    after: to,
    why: stale
      ? `it was protected as ${from}: protect it again under its name`
      : "what is on it went with it; who names it by its old name does not find it",
  };
}

function judge(change: Change, world: World): { rule: string; verdict: Verdict } {
  let worst: { rule: string; verdict: Verdict } | null = null;
  for (const rule of RULES) {
    if (!rule.kinds.includes(change.kind)) continue;
    const verdict = rule.judge(change, world);
    if (verdict === null) continue;
    if (worst === null || LEVELS.indexOf(verdict.level) > LEVELS.indexOf(worst.verdict.level)) {
      worst = { rule: rule.id, verdict };
    }
  }
  return worst ?? {
    rule: "unknown_change",
    verdict: { level: "review", why: "no rule knows this change: look at it" },
  };
}

function entryOf(change: Change, rule: string, verdict: Verdict): Entry {
  const value = (thing: Change["before"]) =>
    change.facet === "" ? null : thing?.[change.facet] ?? null;
  return {
    rule,
    level: verdict.level,
    kind: change.kind,
    object: objectOf(change),
    op: change.op,
    facet: change.facet,
    before: value(change.before),
    after: value(change.after),
    why: verdict.why,
  };
}

/** The table, view or function that a change belongs to. */
function ownerOf(change: Change): { kind: string; id: string } | null {
  if (["column", "constraint", "index", "policy", "trigger", "rule"].includes(change.kind)) {
    return { kind: "table", id: change.on };
  }
  if (change.kind !== "grant") return null;
  const [, kind = "", id = ""] =
    /^(table|view|materialized view|foreign table|sequence|function|column) (.*)$/
      .exec(change.on) ?? [];
  return kind === "column"
    ? { kind: "table", id: id.replace(/\.(?:"(?:[^"]|"")*"|[^."]+)$/, "") }
    : { kind, id };
}

const RELATIONS = ["table", "view", "materialized view", "foreign table"] as const;

function isIn(state: World["before"], owner: { kind: string; id: string }): boolean {
  if (owner.kind === "function" || owner.kind === "sequence") {
    return state.get(owner.kind, "", owner.id) !== undefined;
  }
  return RELATIONS.some((kind) => state.get(kind, "", owner.id) !== undefined);
}

/** What came with a new object and is as it should be is told with the object. */
function isPart(change: Change, world: World): boolean {
  const owner = ownerOf(change);
  return change.op === "added" && owner !== null && !isIn(world.before, owner);
}

/** What went with its object, or is judged with it. */
function isFolded(change: Change, changes: readonly Change[], world: World): boolean {
  if (wholeKit(world) && ofKit(change)) return true;
  const owner = ownerOf(change);
  if (owner === null) return false;
  if (change.op === "removed") return !isIn(world.after, owner) && isIn(world.before, owner);
  if (change.op !== "added" || isIn(world.before, owner)) return false;
  // A new table is judged with its columns and with who reaches it.
  if (change.kind === "column") return true;
  if (change.kind === "constraint" && isKit(owner.id)) return true;
  return change.kind === "grant" && !change.on.startsWith("column ") && !isKit(owner.id) &&
    changes.some((one) => one.op === "added" && one.kind === owner.kind && one.name === owner.id) &&
    (RELATIONS.some((kind) => kind === owner.kind) || owner.kind === "function");
}

function notesOf(before: Snapshot, after: Snapshot): string[] {
  const blind = [...new Set([...before.cannot, ...after.cannot])].sort();
  const notes = blind.map((kind) => {
    const sides = [["before", before], ["after", after]] as const;
    const who = sides.filter(([, side]) => side.cannot.includes(kind)).map(([name]) => name);
    return `${kind}s are not compared: ${who.join(" and ")} can't hold them`;
  });
  if (before.postgres !== after.postgres) {
    notes.push(
      `Postgres ${before.postgres} and ${after.postgres}: the right MAINTAIN is not compared`,
    );
  }
  return notes;
}
