import type { Catalog, Table } from "../adopt/catalog.ts";
import { classify, foreignKeys } from "../adopt/classify.ts";
import type { Config } from "../adopt/config.ts";
import { ident } from "../adopt/names.ts";
import { suggestConfig } from "../adopt/starter.ts";
import { BulkheadError } from "../errors.ts";
import { kitConfig, kitSettingsSchema } from "../matrix/config.ts";
import type { Facts } from "../matrix/facts.ts";
import { type Hint, hintsOf } from "../matrix/hints.ts";
import { createWorld, type World } from "../matrix/world.ts";
import { readCatalog } from "./catalog.ts";
import { readFacts } from "./matrix-source.ts";
import { tree } from "./policy-parser.ts";
import type { Sql } from "./postgres.ts";

/**
 * Read everything that the matrix needs of a database, protected or not. Without bulkhead.toml and without the kit
 * the guesses of `bulkhead adopt` are taken.
 *
 * @example
 * const { world, guessed } = await readWorld(sql, null);
 * @throws BulkheadError `BH_MATRIX_CONFIG` where nothing says which table holds the tenants.
 */
export async function readWorld(
  sql: Sql,
  given: Config | null,
): Promise<{ world: World; guessed: boolean }> {
  // Printing an expression takes a lock on its table: behind a migration that would wait for ever.
  await sql`select set_config('lock_timeout', '2s', false)`;
  try {
    return await read(sql, given);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "55P03") throw error;
    throw new BulkheadError(
      "BH_MATRIX_BUSY",
      "Cannot read the catalogs: a table is locked exclusively",
      {
        kind: "unknown",
        hint: "wait for the migration that runs, then try again",
        cause: error,
      },
    );
  }
}

async function read(
  sql: Sql,
  given: Config | null,
): Promise<{ world: World; guessed: boolean }> {
  const catalog = await readCatalog(sql, { also: ["auth", "storage"] });
  const settings = catalog.kit?.tenantsTable ? await readKitSettings(sql) : null;
  const config = settings
    ? kitConfig(catalog, settings, given)
    : given ?? suggestConfig(withoutPlatform(catalog));
  const classes = config === null
    ? "no table has one of the usual names"
    : classify(catalog, config);
  if (typeof classes === "string") {
    throw new BulkheadError("BH_MATRIX_CONFIG", `Cannot find the tenants: ${classes}`, {
      kind: "usage",
      hint:
        'write bulkhead.toml: bulkhead adopt --write-config, or version = 1 and [tenants] table = "public.your_table"',
    });
  }
  const roles = ["anon", "authenticated", "service_role", ...classes.config.roles.direct];
  const facts = await readFacts(sql, catalog, roles);
  const hints = await readHints(catalog, facts);
  const world = createWorld({ catalog, classes, facts, hints, memberRoles: [] });
  const { membership } = world;
  if (membership?.role && membership.roles.length === 0) {
    membership.roles = await readRoles(sql, membership.table, membership.role);
  }
  return { world, guessed: settings === null && given === null };
}

function withoutPlatform(catalog: Catalog): Catalog {
  return {
    ...catalog,
    tables: catalog.tables.filter((one) => one.schema !== "auth" && one.schema !== "storage"),
  };
}

async function readKitSettings(sql: Sql) {
  const [row] = await sql`
    select bulkhead.qualified(s.tenants_table) as tenants_table, s.tenant_column,
      bulkhead.qualified(s.membership_table) as membership_table,
      s.membership_user_column, s.membership_tenant_column, s.membership_active,
      to_jsonb(s.direct_roles) as direct_roles, to_jsonb(s.exposed_schemas) as exposed_schemas
    from bulkhead.settings as s`;
  return kitSettingsSchema.parse(row);
}

/** What check constraints and domains ask for, read with Postgres' own parser. */
async function readHints(
  catalog: Catalog,
  facts: Facts,
): Promise<Map<string, Map<string, Hint[]>>> {
  const found = new Map<string, Map<string, Hint[]>>();
  const read = async (id: string, definitions: readonly string[]) => {
    const all = new Map<string, Hint[]>();
    for (const definition of definitions) {
      const body = /^CHECK \((.*)\)(?: NOT VALID| NO INHERIT| NOT ENFORCED)*$/s.exec(definition)
        ?.[1];
      if (body === undefined) continue;
      for (const [column, hints] of hintsOf(await parsed(body))) {
        all.set(column, [...all.get(column) ?? [], ...hints]);
      }
    }
    if (all.size > 0) found.set(id, all);
  };
  for (const table of catalog.tables) {
    const checks = table.constraints.filter((one) => one.type === "c");
    await read(table.id, checks.map((one) => one.definition));
  }
  for (const type of facts.types) await read(type.name, type.checks);
  return found;
}

/** A newer server may print what this parser does not know: then there is no hint. */
async function parsed(body: string): Promise<unknown> {
  try {
    return await tree(body);
  } catch {
    return null;
  }
}

/** The values that stand in the table, or in the table that its key leads to; at most eight. */
async function readRoles(sql: Sql, table: Table, column: string): Promise<string[]> {
  if (foreignKeys(table).some((key) => key.columns.includes(column))) return [];
  const rows = await sql.unsafe(
    `select distinct ${ident(column)}::text as role from ${table.id} where ${
      ident(column)
    } is not null order by 1 limit 8`,
  );
  return rows.map((row) => String(row["role"]));
}
