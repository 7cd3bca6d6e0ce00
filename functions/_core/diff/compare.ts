import { type Facet, keyOf, type Kind, type Snapshot, type Thing } from "./snapshot.ts";

/** One difference between two snapshots: an object that came or went, or one property of it. */
export type Change = {
  op: "added" | "removed" | "changed";
  kind: Kind;
  on: string;
  name: string;
  /** The property that changed; empty for an object that came or went. */
  facet: string;
  before: Thing | undefined;
  after: Thing | undefined;
};

/** Read off another property, which is compared. */
export const DERIVED: ReadonlySet<string> = new Set(["kind", "on", "name", "does", "reads"]);
/** Named by Postgres or by habit: the same thing under another name is the same thing. */
const RENAMED: ReadonlySet<Kind> = new Set(["constraint", "index"]);

/** Every difference, and how tables were renamed in between. */
export type Comparison = { changes: Change[]; renamed: [from: string, to: string][] };

/**
 * Compare two snapshots property by property; what is not understood is in the answer too.
 *
 * @example
 * const { changes } = compare(before, after);
 */
export function compare(before: Snapshot, after: Snapshot): Comparison {
  const renamed = renamedTables(before, after);
  const old = index(before, new Map(renamed));
  const now = index(after, new Map());
  const blind = new Set([...before.cannot, ...after.cannot]);
  const majors = before.postgres !== after.postgres;
  const changes: Change[] = [];
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const was = old.get(key);
    const is = now.get(key);
    const one = is ?? was;
    if (one === undefined || blind.has(one.kind) || isPlatforms(one, was, is)) continue;
    const { kind, on, name } = one;
    const change = (op: Change["op"], facet = "") =>
      changes.push({ op, kind, on, name, facet, before: was, after: is });
    if (was === undefined) change("added");
    else if (is === undefined) change("removed");
    else {
      for (const facet of [...new Set([...Object.keys(was), ...Object.keys(is)])].sort()) {
        if (DERIVED.has(facet)) continue;
        if (!same(was[facet], is[facet], majors && facet === "privileges")) {
          change("changed", facet);
        }
      }
    }
  }
  return { changes: changes.filter((one) => !isRename(one, changes)), renamed };
}

/** MAINTAIN came with Postgres 17: between two majors it says nothing. */
function same(a: Facet | undefined, b: Facet | undefined, majors: boolean): boolean {
  const plain = (value: Facet | undefined) =>
    JSON.stringify(
      Array.isArray(value) && majors
        ? value.filter((one) => !one.startsWith("MAINTAIN"))
        : value ?? null,
    );
  return plain(a) === plain(b);
}

function index(snapshot: Snapshot, renamed: ReadonlyMap<string, string>): Map<string, Thing> {
  const move = (value: string) => renamed.get(value) ?? value;
  // A grant's `on` is the kind and the name; a column's grant names the table in between.
  const moveGrant = (value: string) => {
    for (const [from, to] of renamed) {
      if (value.endsWith(` ${from}`)) return `${value.slice(0, -from.length)}${to}`;
      if (value.startsWith(`column ${from}.`)) return `column ${to}${value.slice(7 + from.length)}`;
    }
    return value;
  };
  return new Map(snapshot.objects.map((one) => {
    const thing = renamed.size === 0 ? one : {
      ...one,
      name: one.kind === "column" ? one.name : move(one.name),
      on: one.kind === "grant" ? moveGrant(one.on) : move(one.on),
    };
    return [keyOf(thing), thing];
  }));
}

/**
 * A table that went and one that came with the same columns, constraints and policies is one that was renamed: what
 * was on it is compared with what is on it now.
 */
function renamedTables(before: Snapshot, after: Snapshot): [string, string][] {
  const tables = (snapshot: Snapshot) =>
    new Set(snapshot.objects.filter((one) => one.kind === "table").map((one) => one.name));
  const old = tables(before);
  const now = tables(after);
  const came = new Map([...now].filter((id) => !old.has(id)).map((id) => [shape(after, id), id]));
  const pairs: [string, string][] = [];
  for (const id of [...old].filter((one) => !now.has(one)).sort()) {
    const to = came.get(shape(before, id));
    if (to === undefined) continue;
    pairs.push([id, to]);
    came.delete(shape(before, id));
  }
  return pairs;
}

function shape(snapshot: Snapshot, table: string): string {
  return JSON.stringify(
    snapshot.objects
      .filter((one) => one.on === table && (one.kind === "column" || one.kind === "constraint"))
      .map((one) => one.kind === "column" ? [one.name, one["type"] ?? ""] : ["", one.name]),
  );
}

/** Another Supabase release or an embedded Postgres has other parts of the platform; the project did not change. */
function isPlatforms(one: Thing, was: Thing | undefined, is: Thing | undefined): boolean {
  if (was !== undefined && is !== undefined) return false;
  const platform =
    /^(supabase_\w+|pgbouncer|dashboard_user|pgsodium_\w+|pgtle_admin|cli_login_\w+|authenticator)$/;
  switch (one.kind) {
    case "platform":
      return true;
    case "role":
      return platform.test(one.name) && one.name !== "authenticator";
    case "membership":
      return (platform.test(one.name) && one.name !== "authenticator") ||
        (platform.test(one.on) && one.name === "postgres") ||
        (one.name === "postgres" && one.on.startsWith("pg_"));
    case "setting":
      return /^role (supabase_|pgbouncer|dashboard_user)/.test(one.on);
    case "extension":
      return /^(plpgsql|pg_stat_statements|uuid-ossp|pgcrypto|pg_graphql|supabase_vault|pgjwt|pgsodium|pg_net|pg_cron|pgtap)$/
        .test(one.name);
    case "publication":
      return /^supabase_realtime(_messages_publication)?$/.test(one.name) &&
        one["allTables"] === false;
    case "grant":
      return platform.test(one.name) && one.name !== "authenticator";
    default:
      return false;
  }
}

/** Constraints and indexes that only changed their name. */
function isRename(change: Change, all: readonly Change[]): boolean {
  if (!RENAMED.has(change.kind) || change.op === "changed") return false;
  const print = (one: Change) => JSON.stringify({ ...(one.before ?? one.after), name: "" });
  const mine = print(change);
  return all.some((other) =>
    other.kind === change.kind && other.on === change.on && other.op !== change.op &&
    other.op !== "changed" && print(other) === mine
  );
}

/** The object of a change, for people. */
export function objectOf({ kind, on, name }: Change): string {
  switch (kind) {
    case "grant":
      return `${on} to ${name}`;
    case "default privilege":
      return `${on} to ${name}`;
    case "membership":
      return `${name} in ${on}`;
    case "setting":
      return `${name} of ${on}`;
    case "publication member":
      return `${name} in ${on}`;
    case "kit job":
      return name;
    default:
      return on === "" ? name : `${on}.${name}`;
  }
}
