import { tenantNames } from "../../lint/names.ts";
import type { SqlColumn, SqlTable } from "./sql-state.ts";
import type { Sql } from "./sql.ts";

/** A table that holds rows of tenants, and the column that says whose they are. */
export type TenantTable = { table: SqlTable; column: SqlColumn };

const { columns: NAMES } = tenantNames();
/** Words that mean a tenant in one application and a customer's record in the next. */
const AMBIGUOUS = /^(team|account|company)(_?id|Id|_uuid)$/;
const OWNER =
  /^(user_?id|owner_?id|profile_?id|created_by|author_?id|customer_?id|member_?id|uid|userId|ownerId)$/;
const MEMBERS = /(^|[._])(members?|memberships?|staff|seats|\w+_users)$/;
const USERS = /(^|\.)(users?|profiles?|accounts?)$/;
/** Schemas that belong to the platform or to tools. */
const PLATFORM =
  /^(auth|storage|realtime|vault|extensions|cron|net|graphql|graphql_public|supabase_\w+|pgsodium|pg_\w+|information_schema|bulkhead|drizzle|pgmq|private_tools)\./;
const TOOLS =
  /\.(_?prisma_migrations|alembic_version|schema_migrations|__drizzle_migrations|knex_migrations(_lock)?|flyway_schema_history|goose_db_version|spatial_ref_sys|django_migrations)$/;

/**
 * The tables with a tenant's column: of a usual name, or of the name that the table of members gives it. `account_id`,
 * `team_id` and `company_id` count where at least three tables have the same one: in a single table it is more likely a
 * customer's record.
 *
 * @example
 * tenantTables(await sqlOf(repository)).map(({ table }) => table.name);
 */
export function tenantTables(sql: Sql): TenantTable[] {
  const found: TenantTable[] = [];
  const counts = new Map<string, number>();
  const own = memberColumns(sql);
  for (const table of ownTables(sql)) {
    const all = [...table.columns.values()].filter(({ name }) => NAMES.has(name) || own.has(name));
    const column = all.find(({ name }) => !AMBIGUOUS.test(name)) ?? all[0];
    if (!column) continue;
    found.push({ table, column });
    counts.set(column.name, (counts.get(column.name) ?? 0) + 1);
  }
  return found.filter(({ column: { name } }) =>
    !AMBIGUOUS.test(name) || (counts.get(name) ?? 0) >= 3
  );
}

/** What the tables of members call a tenant: the one column beside the user's that leads to another table. */
function memberColumns(sql: Sql): Set<string> {
  const found = new Set<string>();
  for (const table of ownTables(sql)) {
    if (!MEMBERS.test(table.name)) continue;
    const leading = [...table.columns.values()].filter(({ references }) => references !== null);
    const others = leading.filter(({ name, references }) =>
      !OWNER.test(name) && !USERS.test(references ?? "")
    );
    const [only] = others;
    if (only && others.length === 1 && leading.length > others.length) found.add(only.name);
  }
  return found;
}

/** The tables that the repository makes for itself. */
export function ownTables({ state }: Sql): SqlTable[] {
  return [...state.tables.values()].filter(({ name, isMade }) =>
    isMade && !PLATFORM.test(name) && !TOOLS.test(name)
  );
}

/** The column that says which user a row belongs to. */
export function ownerColumn(table: SqlTable): SqlColumn | null {
  return [...table.columns.values()].find(({ name }) => OWNER.test(name)) ?? null;
}
