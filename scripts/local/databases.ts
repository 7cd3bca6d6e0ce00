import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { PACKAGE_ROOT } from "../cli/package.ts";
import type { Server } from "./postgres-server.ts";
import { migrationFiles, pgtapScript, runSql } from "./sql-files.ts";

/**
 * Connect for a short piece of work and hang up, whatever happens.
 *
 * @example
 * const [row] = await withSql(db.url, (sql) => sql`select 1 as one`);
 */
export async function withSql<T>(
  url: string,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, prepare: false });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/**
 * Create a database that looks like a new Supabase project: roles, schemas, default grants, pgTAP, cron and net.
 *
 * @example
 * await createBaseline(server, "project");
 */
export async function createBaseline(server: Server, db = "postgres"): Promise<void> {
  await withSql(server.superUrl, async (sql) => {
    // roles belong to the server: two databases at once would trip over each other
    await sql`select pg_advisory_lock(hashtext('bulkhead baseline'))`;
    await sql.unsafe(`do $$ begin
      if to_regrole('postgres') is null then create role postgres; end if;
    end $$`);
    const [found] = await sql`select 1 from pg_database where datname = ${db}`;
    if (!found) await sql.unsafe(`create database ${quote(db)} owner postgres`);
    else await sql.unsafe(`alter database ${quote(db)} owner to postgres`);
    await baselineInside(server.urlAs("supabase_admin", db), server.password);
  });
}

/**
 * The same in a database that is there already, for its superuser; the roles that may log in get `password`.
 *
 * @example
 * await baselineInside("postgresql://supabase_admin:…@127.0.0.1/drill", password);
 */
export async function baselineInside(url: string, password: string): Promise<void> {
  await withSql(url, async (sql) => {
    // bulkhead-ignore session-context: no tenant, and the connection ends here
    await sql`select set_config('bulkhead_test.password', ${password}, false)`;
    await fillBaseline(sql);
  });
}

async function fillBaseline(sql: postgres.Sql): Promise<void> {
  await run(sql, "supabase-baseline.pgsql");
  const extensions = await sql<{ name: string }[]>`
    select name from pg_available_extensions where name in ('pgtap', 'pg_cron', 'pg_net')
  `;
  const has = (name: string) => extensions.some((extension) => extension.name === name);
  if (has("pgtap")) await sql`create extension pgtap schema extensions`;
  else {
    await runSql(sql, `set search_path = extensions, pg_catalog;\n${pgtapScript()}`, "pgtap");
    await sql`reset search_path`;
  }
  // pg_cron lives in one database of a server only
  const [cron] = await sql<{ here: boolean }[]>`
    select current_setting('shared_preload_libraries') ~ 'pg_cron'
      and current_setting('cron.database_name', true) is not distinct from current_database() as here
  `;
  if (has("pg_cron") && cron?.here) await sql`create extension pg_cron`;
  else await run(sql, "cron-stand-in.pgsql");
  await run(sql, "cron-grants.pgsql");
  await run(sql, "net-stand-in.pgsql");
}

async function run(sql: postgres.Sql, file: string): Promise<void> {
  const path = join(PACKAGE_ROOT, "scripts/local", file);
  await runSql(sql, readFileSync(path, "utf8"), path);
}

/**
 * Apply migrations/*.sql in order, one transaction a file, recorded as the Supabase CLI records them. What is recorded
 * is not applied again. Returns the versions that were applied.
 *
 * @example
 * await applyMigrations(db.url);
 */
export async function applyMigrations(url: string, folder?: string): Promise<string[]> {
  return await withSql(url, async (sql) => {
    await sql`create schema if not exists supabase_migrations`;
    await sql`
      create table if not exists supabase_migrations.schema_migrations
        (version text not null primary key, statements text[], name text)
    `;
    const recorded = await sql<{ version: string }[]>`
      select version from supabase_migrations.schema_migrations
    `;
    const applied: string[] = [];
    for (const { version, name, path, text } of migrationFiles(folder)) {
      if (recorded.some((row) => row.version === version)) continue;
      await sql.begin(async (tx) => {
        await runSql(tx as unknown as postgres.Sql, text, path);
        await tx`
          insert into supabase_migrations.schema_migrations (version, statements, name)
          values (${version}, array[${text}], ${name})
        `;
      });
      // a file may leave a search_path or a role behind
      await sql.unsafe("discard all");
      applied.push(version);
    }
    return applied;
  });
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
