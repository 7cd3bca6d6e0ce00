import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type postgres from "postgres";
import { cloneOf, copy, type Database } from "../../scripts/local/clones.ts";
import { applyMigrations, createBaseline, withSql } from "../../scripts/local/databases.ts";
import type { Server } from "../../scripts/local/postgres-server.ts";
import { ROOT, runSql } from "../../scripts/local/sql-files.ts";

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
