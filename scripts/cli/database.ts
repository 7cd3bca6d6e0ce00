import process from "node:process";
import * as z from "zod";
import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";

/**
 * Connect to the database whose connection string the variable `name` holds, and prove that it answers.
 * One connection; close it with `await sql.end()`.
 *
 * @example
 * const sql = await openDatabase("DATABASE_URL");
 * @throws BulkheadError `BH_ENV` when the variable is missing or malformed, `BH_DATABASE_UNAVAILABLE` when nobody answers.
 */
export async function openDatabase(name: string): Promise<Sql> {
  const url = readEnv(process.env, z.object({ [name]: databaseUrl }))[name] ?? "";
  const sql = connect(url, { max: 1 });
  try {
    await sql`select 1`;
    return sql;
  } catch (error) {
    await sql.end({ timeout: 1 });
    throw error;
  }
}

/**
 * For commands that only read a schema: behind an ALTER TABLE that does not end they would wait for ever. A limit that
 * the role or the database has stays.
 *
 * @example
 * await limitLocks(sql);
 */
export async function limitLocks(sql: Sql): Promise<void> {
  await sql`
    select set_config('lock_timeout', '10s', false) where current_setting('lock_timeout') = '0'
  `;
}
