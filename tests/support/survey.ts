import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generateSurvey } from "../../examples/survey/generate.ts";
import { type Database, kitDatabase, withSql } from "./postgres.ts";
import type { Server } from "../../scripts/local/postgres-server.ts";
import { ROOT, runSql } from "./sql-files.ts";

/**
 * A database with the kit and the survey platform with its wrong rows, hardened unless told not to.
 *
 * @example
 * await using db = await surveyDatabase(server, { hardened: false });
 */
export async function surveyDatabase(
  server: Server,
  options: { hardened?: boolean; orgs?: number; sessions?: number } = {},
): Promise<Database> {
  const { hardened = true, ...rows } = options;
  const db = await kitDatabase(server);
  try {
    await withSql(db.url, async (sql) => {
      await runFile(sql, "schema.sql");
      await generateSurvey(sql, rows);
      await sql`analyze`;
    });
    await withSql(db.superUrl, async (sql) => {
      await sql.unsafe(`alter role application_role password '${server.password}'`);
    });
    if (hardened) await hardenSurvey(db);
    return db;
  } catch (error) {
    await db.drop();
    throw error;
  }
}

/** harden.sql, in one transaction. */
export async function hardenSurvey(db: Database): Promise<void> {
  await withSql(db.url, (sql) => runFile(sql, "harden.sql"));
}

async function runFile(sql: Parameters<typeof runSql>[0], file: string): Promise<void> {
  await runSql(sql, readFileSync(join(ROOT, "examples/survey", file), "utf8"), file);
}
