import process from "node:process";
import postgres from "postgres";
import * as z from "zod";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";

/**
 * Connect to the database whose connection string the variable `name` holds, and prove that it answers.
 * One connection, notices silenced; close it with `await sql.end()`.
 *
 * @example
 * const sql = await openDatabase("DATABASE_URL");
 * @throws BulkheadError `BH_ENV` when the variable is missing or malformed; the driver's error when there is no server.
 */
export async function openDatabase(name: string): Promise<postgres.Sql> {
  const url = readEnv(process.env, z.object({ [name]: databaseUrl }))[name] ?? "";
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    idle_timeout: 0,
    onnotice: () => {},
    connection: { application_name: "bulkhead" },
  });
  try {
    await sql`select 1`;
    return sql;
  } catch (error) {
    await sql.end({ timeout: 1 });
    throw error;
  }
}
