import { judgePolicy, type PolicyVerdict } from "../adopt/policy-verdict.ts";
import type { Policy, Table } from "../adopt/catalog.ts";
import { parts, visit } from "../adopt/expression.ts";
import { bareName, schemaOf } from "./body-facts.ts";
import { keyOf, type Kind, names, type Snapshot, text, type Thing } from "./snapshot.ts";

/** One side of a comparison with quick look-ups. */
export type State = {
  snapshot: Snapshot;
  get(kind: Kind, on: string, name: string): Thing | undefined;
  all(kind: Kind): Thing[];
  /** What hangs on a table. */
  on(kind: Kind, on: string): Thing[];
};

/** What the rules look at. */
export type World = {
  before: State;
  after: State;
  /** New names of tables that were renamed, by the old ones and the other way round. */
  renamed: ReadonlyMap<string, string>;
  /** An expression as a tree. */
  tree(expression: string): unknown;
  /** What this version of the kit installs; null where nobody looked. */
  shipped: State | null;
  /** Names given by the caller, instead of a guess. */
  tenantColumns: readonly string[];
};

export const API_ROLES = [
  ...["public", "anon", "authenticated", "authenticator", "service_role", "bulkhead_service"],
];
const LIKELY = /^(tenant|org|organi[sz]ation|workspace|team|company|account|customer)_?id$/i;
const MEMBERS =
  /^(members?|memberships?|(team|org|organi[sz]ation|tenant|workspace|account|company)_(members?|users?|memberships?)|user_(tenants|orgs|organi[sz]ations|roles))$/i;

/** A side with its indexes. */
export function stateOf(snapshot: Snapshot): State {
  const byKey = new Map(snapshot.objects.map((one) => [keyOf(one), one]));
  const byKind = new Map<string, Thing[]>();
  const byPlace = new Map<string, Thing[]>();
  const push = (map: Map<string, Thing[]>, key: string, one: Thing) => {
    const list = map.get(key);
    if (list) list.push(one);
    else map.set(key, [one]);
  };
  for (const one of snapshot.objects) {
    push(byKind, one.kind, one);
    push(byPlace, `${one.kind} ${one.on}`, one);
  }
  return {
    snapshot,
    get: (kind, on, name) => byKey.get(keyOf({ kind, on, name })),
    all: (kind) => byKind.get(kind) ?? [],
    on: (kind, on) => byPlace.get(`${kind} ${on}`) ?? [],
  };
}

/** The kit's own: its schemas. */
export const isKit = (id: string): boolean => /^(bulkhead|bulkhead_api)(\.|$)/.test(id);

/** The audit trail itself. */
export const isLedger = (id: string): boolean =>
  /^bulkhead\.audit_(events|seals|eras|logs)/.test(id);

export const hasKit = (state: State): boolean => state.get("schema", "", "bulkhead") !== undefined;

/** Both sides of a rename. */
function namesOf(world: World, table: string): string[] {
  const other = world.renamed.get(table);
  return other === undefined ? [table] : [table, other];
}

/** The column that says whose a row is, on either side; null for a table that belongs to nobody. */
export function tenantColumn(world: World, table: string): string | null {
  for (const state of [world.before, world.after]) {
    for (const id of namesOf(world, table)) {
      const found = tenantColumnIn(world, state, id);
      if (found !== null) return found;
    }
  }
  return null;
}

/** A table of tenants' rows, on either side. */
export const isTenants = (world: World, table: string): boolean =>
  tenantColumn(world, table) !== null;

const guesses = new WeakMap<State, string[]>();

function tenantColumnIn(world: World, state: State, table: string): string | null {
  const declared = state.get("protected table", "", table);
  if (declared) return text(declared, "column");
  const wanted = world.tenantColumns.length > 0 ? world.tenantColumns : likely(state);
  const column = state.on("column", table).find((one) => wanted.includes(one.name));
  if (column) return column.name;
  for (const key of state.all("constraint")) {
    if (
      text(key, "parent") === table && names(key, "columns").every((one) => wanted.includes(one))
    ) {
      return names(key, "parentColumns")[0] ?? null;
    }
  }
  return null;
}

/** What the kit was told, or the name that most tables have among the usual ones. */
function likely(state: State): string[] {
  const known = guesses.get(state);
  if (known) return known;
  const told = new Set(
    state.all("protected table").filter((one) => one["isTenants"] !== true)
      .map((one) => text(one, "column")),
  );
  const setting = text(state.get("kit setting", "", "tenant_column"), "value");
  if (told.size > 0 && setting !== "") told.add(setting);
  const votes = new Map<string, number>();
  for (const { name, on } of state.all("column")) {
    if (LIKELY.test(name) && !isKit(on)) votes.set(name, (votes.get(name) ?? 0) + 1);
  }
  const [first] = [...votes].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const found = told.size > 0 ? [...told] : first ? [first[0]] : ["tenant_id"];
  guesses.set(state, found);
  return found;
}

/** Whether one restrictive policy ties every row of the table to the tenant, for all commands and everybody. */
export function sealed(world: World, state: State, table: string): boolean {
  const column = tenantColumn(world, table);
  const found = state.get("table", "", table);
  if (column === null || found?.["rls"] !== true) return false;
  return state.on("policy", table).some((policy) =>
    policy["permissive"] === false && text(policy, "command") === "all" &&
    names(policy, "roles").includes("public") &&
    ["using", "check"].every((side) => {
      const expression = text(policy, side);
      return expression === "" ? side === "check" : tied(world, state, policy, expression);
    })
  );
}

const HOLES = [
  ...["constant_true", "or_true", "null_tolerant", "inverted", "literal_tenant"],
  ...["user_metadata", "no_own_column", "current_user", "membership_without_tenant"],
];

/** Whether an expression looks at the tenant of the row, and its policy has no hole. */
export function tied(world: World, state: State, policy: Thing, expression: string): boolean {
  const column = tenantColumn(world, policy.on);
  let looks = false;
  visit(world.tree(expression), (type, fields) => {
    if (type === "ColumnRef" && parts(fields["fields"]).at(-1) === column) looks = true;
  });
  return looks &&
    !verdict(world, state, policy).problems.some((one) => HOLES.includes(one.rule));
}

/** What the policy verdicts of adoption say of a policy, wherever it is. */
export function verdict(world: World, state: State, policy: Thing): PolicyVerdict {
  const column = tenantColumn(world, policy.on) ?? "";
  const parsed = (side: string) => {
    const expression = text(policy, side);
    return expression === "" ? null : world.tree(expression);
  };
  const member = membershipOf(world, state);
  const judged = judgePolicy({
    policy: asPolicy(policy),
    using: parsed("using"),
    check: parsed("check"),
  }, {
    table: asTable(state, policy.on),
    tenantColumn: column,
    routines: state.all("function").map((one) => ({
      id: one.name,
      schema: schemaOf(one.name.replace(/\(.*$/, "")),
      name: bareName(one.name.replace(/\(.*$/, "")),
      definer: one["definer"] === true,
      searchPath: true,
      anon: false,
      member: false,
      body: "",
      trigger: false,
      volatility: text(one, "volatility").charAt(0),
      grants: [],
    })),
    membership: member === null ? null : { ...member, isThis: member.id === policy.on },
  });
  if (state.on("column", policy.on).length > 0) return judged;
  // A table of the platform: its columns are not in the snapshot.
  return {
    ...judged,
    problems: judged.problems.filter((one) => one.rule !== "no_own_column"),
  };
}

function membershipOf(world: World, state: State) {
  const value = (name: string) => text(state.get("kit setting", "", name), "value");
  const told = value("membership_table");
  if (told !== "") {
    const id = told.includes(".") ? told : `public.${told}`;
    return {
      id,
      name: bareName(id),
      user: value("membership_user_column"),
      tenant: value("membership_tenant_column"),
    };
  }
  for (const { name: id } of state.all("table")) {
    const column = MEMBERS.test(bareName(id)) ? tenantColumn(world, id) : null;
    if (column !== null && state.get("column", id, "user_id")) {
      return { id, name: bareName(id), user: "user_id", tenant: column };
    }
  }
  return null;
}

const COMMANDS = { select: "r", insert: "a", update: "w", delete: "d", all: "*" } as const;

function asPolicy(policy: Thing): Policy {
  const [, command] = Object.entries(COMMANDS).find(([name]) => name === policy["command"]) ??
    ["", "*" as const];
  return {
    name: policy.name,
    permissive: policy["permissive"] === true,
    command,
    roles: names(policy, "roles"),
    using: text(policy, "using") || null,
    check: text(policy, "check") || null,
  };
}

function asTable(state: State, id: string): Table {
  return {
    id,
    schema: schemaOf(id),
    name: bareName(id),
    partitioned: false,
    parent: null,
    isPartition: false,
    rows: -1,
    rls: true,
    forced: true,
    owner: "",
    ownerBypasses: true,
    columns: state.on("column", id).map((one) => ({
      name: one.name,
      type: text(one, "type"),
      notNull: one["notNull"] === true,
      default: text(one, "default") || null,
      generated: false,
      identity: false,
    })),
    constraints: [],
    indexes: [],
    policies: [],
    grants: [],
    triggers: [],
  };
}
