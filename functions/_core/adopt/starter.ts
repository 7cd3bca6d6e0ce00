import { type Catalog, type Policy } from "./catalog.ts";
import { classify, foreignKeys, isTenanted, keyOf, typeOf } from "./classify.ts";
import { type Config, configSchema } from "./config.ts";
import { blindDefiners, exposedViews, globalUniques } from "./findings.ts";
import { ident } from "./names.ts";

/** Names that teams give to the table of their customers, best first. */
const TENANT_NAMES =
  /^(tenants?|organi[sz]ations?|orgs?|workspaces?|teams?|companies|company|accounts?|customers?)$/;
const MEMBER_NAMES =
  /^(members?|memberships?|.*_(members?|memberships?|users?)|user_(tenants?|orgs?|organi[sz]ations?|teams?|workspaces?))$/;
/** Unique by nature, whoever's row it is. */
const WORLD_WIDE = /(token|hash|secret|api_?key|external|stripe|email|uuid|auth|provider)/;

/**
 * The best guess at a configuration, to be read and corrected by a person: nothing is adopted by it until it is
 * written to bulkhead.toml.
 *
 * @example
 * const config = suggestConfig(catalog);
 */
export function suggestConfig(catalog: Catalog): Config | null {
  const schemas = catalog.tables.some((table) => table.schema === "public")
    ? ["public"]
    : [...new Set(catalog.tables.map((table) => table.schema))].slice(0, 1);
  const tables = catalog.tables.filter((table) =>
    schemas.includes(table.schema) && !table.isPartition
  );
  const referred = (id: string) =>
    tables.filter((table) => foreignKeys(table).some((key) => key.parent === id && table.id !== id))
      .length;
  const tenants = tables
    .filter((table) => TENANT_NAMES.test(table.name.toLowerCase()) && keyOf(table)?.length === 1)
    .sort((a, b) => referred(b.id) - referred(a.id))[0];
  if (!tenants) return null;
  const key = keyOf(tenants)?.[0] ?? "id";
  const votes = new Map<string, number>();
  for (const table of tables) {
    for (const one of foreignKeys(table)) {
      const [column] = one.columns;
      if (one.parent !== tenants.id || one.columns.length !== 1 || column === undefined) continue;
      votes.set(column, (votes.get(column) ?? 0) + 2);
    }
    for (const column of table.columns) {
      const likely = /^(tenant|org|organi[sz]ation|workspace|team|company|account|customer)_id$/
        .test(column.name);
      if (likely && table !== tenants && column.type === typeOf(tenants, key)) {
        votes.set(column.name, (votes.get(column.name) ?? 0) + 1);
      }
    }
  }
  const column = [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "tenant_id";
  const member = tables.find((table) =>
    MEMBER_NAMES.test(table.name.toLowerCase()) && typeOf(table, column) !== "" &&
    typeOf(table, "user_id") !== ""
  );
  const active = member?.columns.find((one) =>
    one.type === "boolean" && /^(is_)?(active|enabled)$/.test(one.name)
  );
  const left = member?.columns.find((one) =>
    /^(disabled|deleted|removed|deactivated)_at$/.test(one.name)
  );
  return configSchema.parse({
    schemas,
    tenants: { table: tenants.id, column },
    ...(member
      ? {
        membership: {
          table: member.id,
          user_column: "user_id",
          ...(active
            ? { active: ident(active.name) }
            : left
            ? { active: `${ident(left.name)} is null` }
            : {}),
        },
      }
      : {}),
  });
}

const toml = (text: string) =>
  text.includes("'") || /\p{Cc}/u.test(text)
    ? JSON.stringify(text)
    : /["\\]/.test(text)
    ? `'${text}'`
    : `"${text}"`;

/** What a policy, seen from outside, is best done with. */
export type Advice = (
  table: string,
  policy: Policy,
) => { action: "keep" | "narrow" | "drop"; why: string };

/**
 * A commented bulkhead.toml for this database: everything that is known is filled in, everything that a person
 * must decide is there as a line to complete.
 *
 * @example
 * await writeFile("bulkhead.toml", starter(catalog, suggestConfig(catalog), advice));
 */
export function starter(catalog: Catalog, config: Config, advice: Advice): string {
  const world = classify(catalog, config);
  const lines = [
    "# Whose rows are in which table, and what may change. Read by `bulkhead adopt`; every key is in docs/adopt.md.",
    "version = 1",
    `schemas = [${config.schemas.map(toml).join(", ")}]`,
    `lock_timeout = "${config.lock_timeout}" # no writer waits longer for a step`,
    "",
    "[tenants]",
    `table = ${toml(config.tenants.table)}`,
    `column = ${toml(config.tenants.column)}`,
    "",
  ];
  if (config.membership) {
    lines.push(
      "[membership]",
      `table = ${toml(config.membership.table)}`,
      `user_column = ${toml(config.membership.user_column)}`,
    );
    lines.push(
      config.membership.active
        ? `active = ${toml(config.membership.active)}`
        : '# active = "disabled_at is null" # a SQL predicate: who is still a member',
      "",
    );
  } else {
    lines.push(
      "# Without it the tenant of a signed-in user is read from app_metadata.",
      "# [membership]",
      '# table = "public.members"',
      '# user_column = "user_id"',
      "",
    );
  }
  lines.push(
    "# Roles that log in directly and set bulkhead.tenant themselves.",
    "[roles]",
    "direct = []",
    '# "close" when no back end uses the service key on tenants\' tables any more; "keep" is a finding to answer for.',
    'service_role = "keep"',
    "",
  );
  if (typeof world === "string") return [...lines, `# ${world}`, ""].join("\n");
  const open = world.tables.filter((each) => each.problem !== null);
  for (const each of world.tables.filter((one) => one.kind === "through")) {
    lines.push(`# ${each.table.id}: its tenant is at ${each.path}`);
  }
  if (open.length > 0) {
    lines.push(
      "",
      "# Nobody can tell whose rows these hold. Say it for each: adoption waits for you.",
    );
  }
  for (const each of open) {
    lines.push(
      `# ${each.table.id}: ${each.problem}`,
      `# [tables.${toml(each.table.id)}]`,
      '# kind = "global"',
      '# reason = "why it holds no tenant\'s rows"',
      "",
    );
  }
  const uniques = world.tables.filter(isTenanted).flatMap((each) =>
    globalUniques(world, each).map((index) => ({
      each,
      index,
      action: index.columns.some((one) => one === null || WORLD_WIDE.test(one))
        ? "global"
        : "per_tenant",
    }))
  );
  if (uniques.length > 0) {
    lines.push(
      "",
      '# Unique over all tenants today: one tenant\'s value takes it from all others. "per_tenant" or "global".',
      "[uniques]",
    );
    for (const { each, index, action } of uniques) {
      lines.push(
        `${toml(`${each.table.id}.${ident(index.name)}`)} = "${action}" # ${index.keys.join(", ")}`,
      );
    }
  }
  const outside = world.tables.filter(isTenanted).flatMap((each) =>
    foreignKeys(each.table).filter((key) =>
      !isTenanted(world.byId.get(key.parent ?? "")) && key.onDelete !== "r"
    ).map((key) => ({ each, key }))
  );
  if (outside.length > 0) {
    lines.push(
      "",
      '# Keys to auth.users and to global tables keep what they do on delete. "keep" or "restrict".',
      "[foreign_keys]",
    );
    for (const { each, key } of outside) {
      lines.push(`${toml(`${each.table.id}.${ident(key.name)}`)} = "keep" # ${key.definition}`);
    }
  }
  const policies = world.tables.filter(isTenanted).flatMap((each) =>
    each.table.policies.filter((one) => one.permissive).map((policy) => ({
      each,
      policy,
      ...advice(each.table.id, policy),
    }))
  ).filter((one) => one.action !== "keep");
  if (policies.length > 0) {
    lines.push(
      "",
      "# Permissive policies that open more than they should; the restrictive policy holds beneath them all.",
      '# "keep", "narrow" (no longer for anon and public) or "drop".',
      "[policies]",
    );
    for (const { each, policy, action, why } of policies) {
      lines.push(`${toml(`${each.table.id}.${ident(policy.name)}`)} = "${action}" # ${why}`);
    }
  }
  const blind = new Set(blindDefiners(world).map((one) => one.routine));
  const routines = catalog.routines.filter((one) =>
    one.definer && config.schemas.includes(one.schema) &&
    (!one.searchPath || (one.anon && !one.trigger) || blind.has(one))
  );
  if (routines.length > 0) {
    lines.push(
      "",
      '# Security definer functions: "pin" their search_path, "close" them to anon, make them "invoker".',
      "[functions]",
    );
    for (const one of routines) {
      const actions = [
        ...(one.searchPath ? [] : ["pin"]),
        ...(one.anon && !one.trigger ? ["close"] : []),
        ...(blind.has(one) ? ["invoker"] : []),
      ];
      lines.push(`${toml(one.id)} = [${actions.map(toml).join(", ")}]`);
    }
  }
  const views = exposedViews(world);
  if (views.length > 0) {
    lines.push(
      "",
      '# Views past every policy: "invoker" asks as the reader, "close" takes them from the API.',
      "[views]",
    );
    for (const view of views) {
      lines.push(`${toml(view.id)} = "${view.materialized ? "close" : "invoker"}"`);
    }
  }
  return `${lines.join("\n").replace(/\n{3,}/g, "\n\n")}\n`;
}
