import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import type { Server } from "./postgres-server.ts";
import { migrationFiles, pgtapScript, ROOT, runSql } from "./sql-files.ts";

/** A database of its own for a test file. `url` is as `postgres`, `superUrl` as the superuser. */
export type Database = AsyncDisposable & {
  name: string;
  url: string;
  superUrl: string;
  /** As another role of the baseline that may log in, e.g. `authenticator`. */
  urlAs(role: string): string;
  drop(): Promise<void>;
};

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
    await withSql(server.urlAs("supabase_admin", db), (inside) => baselineInside(inside, server));
  });
}

async function baselineInside(sql: postgres.Sql, server: Server): Promise<void> {
  await sql`select set_config('bulkhead_test.password', ${server.password}, false)`;
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
  const path = fileURLToPath(new URL(file, import.meta.url));
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

/** Templates by server: made at the first request, cloned ever after. */
const templates = new WeakMap<Server, Map<string, Promise<string>>>();

/**
 * A fresh database with the Supabase baseline and the kit, cloned from a template in well under a second.
 *
 * @example
 * await using db = await kitDatabase(server);
 * const sql = postgres(db.url);
 */
export async function kitDatabase(server: Server): Promise<Database> {
  return await cloneOf(server, await kitTemplate(server));
}

function kitTemplate(server: Server): Promise<string> {
  return template(server, "template_kit", async (name) => {
    await createBaseline(server, name);
    await applyMigrations(server.url(name));
  });
}

/**
 * The same as {@link createBaseline}, cloned: a new Supabase project without the kit.
 *
 * @example
 * await using db = await baselineDatabase(server);
 */
export async function baselineDatabase(server: Server): Promise<Database> {
  return await cloneOf(
    server,
    await template(server, "template_baseline", (name) => createBaseline(server, name)),
  );
}

/**
 * {@link kitDatabase} with the OpenHouse example loaded: `rows` messages over three tenants, hardened unless told not to.
 *
 * @example
 * await using db = await openhouseDatabase(server, { rows: 600 });
 */
export async function openhouseDatabase(
  server: Server,
  options: { rows?: number; hardened?: boolean } = {},
): Promise<Database> {
  const { rows = 600, hardened = true } = options;
  const raw = await template(server, `template_openhouse_${rows}`, async (name) => {
    await copy(server, await kitTemplate(server), name);
    await loadOpenHouse(server.url(name), rows);
  });
  if (!hardened) return await cloneOf(server, raw);
  const ready = await template(server, `template_openhouse_${rows}_hardened`, async (name) => {
    await copy(server, raw, name);
    await withSql(server.url(name), (sql) => runFile(sql, "examples/openhouse/harden.sql"));
  });
  return await cloneOf(server, ready);
}

async function loadOpenHouse(url: string, rows: number): Promise<void> {
  const generator: string = new URL("../../examples/openhouse/generate.ts", import.meta.url).href;
  const { generateOpenHouse } = await import(generator) as {
    generateOpenHouse(sql: postgres.Sql, options: { rows: number }): Promise<unknown>;
  };
  await withSql(url, async (sql) => {
    await runFile(sql, "examples/openhouse/schema.sql");
    await generateOpenHouse(sql, { rows });
    await sql`analyze`;
  });
}

async function runFile(sql: postgres.Sql, path: string): Promise<void> {
  await runSql(sql, readFileSync(join(ROOT, path), "utf8"), basename(path));
}

/**
 * A copy of any database of the server, e.g. to try something destructive. Nobody may be connected to the original.
 *
 * @example
 * await using copied = await cloneOf(server, db.name);
 */
export async function cloneOf(server: Server, original: string): Promise<Database> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await copy(server, original, name);
  const drop = () =>
    withSql(server.superUrl, async (sql) => {
      await sql.unsafe(`drop database if exists ${quote(name)} with (force)`);
    });
  const urlAs = (role: string) => server.urlAs(role, name);
  return {
    name,
    url: server.url(name),
    superUrl: urlAs("supabase_admin"),
    urlAs,
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

async function template(
  server: Server,
  name: string,
  fill: (name: string) => Promise<void>,
): Promise<string> {
  const made = templates.get(server) ?? new Map<string, Promise<string>>();
  templates.set(server, made);
  const existing = made.get(name);
  if (existing) return await existing;
  const making = fill(name).then(() => name);
  made.set(name, making);
  return await making;
}

async function copy(server: Server, original: string, name: string): Promise<void> {
  await withSql(server.superUrl, async (sql) => {
    for (let attempt = 1;; attempt++) {
      try {
        await sql.unsafe(
          `create database ${quote(name)} template ${
            quote(original)
          } owner postgres strategy file_copy`,
        );
        return;
      } catch (error) {
        // 55006: the last connection to the original has not quite gone yet
        if (
          !(error instanceof postgres.PostgresError) || error.code !== "55006" || attempt === 50
        ) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  });
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
