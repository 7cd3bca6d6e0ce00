import type { Catalog, Table } from "../adopt/catalog.ts";
import { type Classification, type Classified, foreignKeys, typeOf } from "../adopt/classify.ts";
import type { Facts, TypeInfo } from "./facts.ts";
import type { Hint } from "./hints.ts";

/** Who is a member of which tenant, and as what. */
export type Membership = {
  table: Table;
  user: string;
  tenant: string;
  /** The column that says the member's role, and every value that it may have. */
  role: string | null;
  roles: string[];
};

/** Everything that planning needs; the same for the live matrix and for the generated tests. */
export type World = {
  catalog: Catalog;
  classes: Classification;
  facts: Facts;
  types: Map<string, TypeInfo>;
  /** By table, then by column: what its checks and its domains ask for. */
  hints: Map<string, Map<string, Hint[]>>;
  tables: Map<string, Table>;
  membership: Membership | null;
  /** The table of the people that log in, and its key. */
  users: { table: Table; key: string } | null;
  /** Roles that log in directly and name their tenant themselves. */
  direct: string[];
  /** `[seed."public.orders"]` of bulkhead.toml. */
  overrides: Record<string, Record<string, string>>;
};

const ROLE_COLUMN = /^((member|user|team|org|tenant|account)_)?role(_name)?$/;

/**
 * Put together what was read.
 *
 * @example
 * const world = createWorld({ catalog, classes, facts, hints, memberRoles: [] });
 */
export function createWorld(parts: {
  catalog: Catalog;
  classes: Classification;
  facts: Facts;
  hints: Map<string, Map<string, Hint[]>>;
  /** Role values found in the membership table's rows. */
  memberRoles: readonly string[];
}): World {
  const { catalog, classes, facts, hints, memberRoles } = parts;
  const { config } = classes;
  const tables = new Map(catalog.tables.map((table) => [table.id, table]));
  const types = new Map(facts.types.map((type) => [type.name, type]));
  const world: World = {
    catalog,
    classes,
    facts,
    types,
    hints,
    tables,
    membership: null,
    users: null,
    direct: config.roles.direct,
    overrides: config.seed,
  };
  const member = config.membership ? tables.get(config.membership.table) : undefined;
  if (member && config.membership) {
    const tenant = classes.byId.get(member.id)?.column ?? config.tenants.column;
    const role = config.membership.role_column ??
      member.columns.find((one) => ROLE_COLUMN.test(one.name))?.name ?? null;
    world.membership = {
      table: member,
      user: config.membership.user_column,
      tenant: config.membership.tenant_column ?? tenant,
      role,
      roles: role === null ? [] : roleValues(world, member, role, memberRoles),
    };
  }
  world.users = usersOf(world);
  return world;
}

/** Every value that a member's role can take, in the order of its type or check. */
function roleValues(
  world: World,
  table: Table,
  column: string,
  found: readonly string[],
): string[] {
  const labels = world.types.get(typeOf(table, column))?.labels ?? [];
  if (labels.length > 0) return labels;
  const listed = world.hints.get(table.id)?.get(column)?.find((hint) => hint.kind === "values");
  return listed?.kind === "values" ? listed.values : [...found];
}

/** Where people are: the membership's parent, or auth.users where anything leads to it. */
function usersOf(world: World): World["users"] {
  const { membership } = world;
  const key = membership
    ? foreignKeys(membership.table).find((one) => one.columns.includes(membership.user))
    : world.classes.tables.flatMap((each) => foreignKeys(each.table)).find((one) =>
      one.parent === "auth.users"
    );
  if (!key) return null;
  const table = world.tables.get(key.parent ?? "");
  const at = membership ? key.columns.indexOf(membership.user) : 0;
  const column = key.parentColumns[at];
  return table && column !== undefined && table !== world.classes.tenants
    ? { table, key: column }
    : null;
}

/** A table's classification; undefined for tables outside the adopted schemas. */
export function classOf(world: World, table: Table): Classified | undefined {
  return world.classes.byId.get(table.id);
}
