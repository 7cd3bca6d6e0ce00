import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generateSkills } from "../../examples/skills/generate.ts";
import { type Database, kitDatabase, withSql } from "./postgres.ts";
import type { Server } from "../../scripts/local/postgres-server.ts";
import { ROOT, runSql } from "./sql-files.ts";

/** The marketplace's Drizzle folder. */
export const DRIZZLE: string = join(ROOT, "examples/skills/drizzle");

/**
 * A database with the kit and the skills marketplace: as of 0004 with its wrong rows, hardened unless told not to.
 *
 * @example
 * await using db = await skillsDatabase(server, { hardened: false });
 */
export async function skillsDatabase(
  server: Server,
  options: { hardened?: boolean; skills?: number; events?: number } = {},
): Promise<Database> {
  const { hardened = true, ...rows } = options;
  const db = await kitDatabase(server);
  try {
    await withSql(db.url, async (sql) => {
      await runDrizzle(sql, (file) => file < "0005");
      await generateSkills(sql, rows);
      await sql`analyze`;
    });
    if (hardened) await hardenSkills(server, db);
    return db;
  } catch (error) {
    await db.drop();
    throw error;
  }
}

/** Migrations 0005 and 0006 on a database as of 0004; its role gets the password that all test roles share. */
export async function hardenSkills(server: Server, db: Database): Promise<void> {
  await withSql(db.url, (sql) => runDrizzle(sql, (file) => file >= "0005"));
  await letIn(server, db, "skills_app");
}

/** Give a role without a password the one of the tests. */
export async function letIn(server: Server, db: Database, role: string): Promise<void> {
  await withSql(db.superUrl, async (sql) => {
    await sql.unsafe(`alter role ${role} password '${server.password}'`);
  });
}

async function runDrizzle(sql: Parameters<typeof runSql>[0], wanted: (file: string) => boolean) {
  const files = readdirSync(DRIZZLE).filter((name) => name.endsWith(".sql")).sort();
  for (const file of files.filter(wanted)) {
    await runSql(sql, readFileSync(join(DRIZZLE, file), "utf8"), file);
  }
}
