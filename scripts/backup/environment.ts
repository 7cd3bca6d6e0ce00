import process from "node:process";
import * as z from "zod";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";

/**
 * The connection string that the variable `name` holds.
 *
 * @example
 * const url = databaseFrom(options.databaseEnv);
 * @throws BulkheadError `BH_ENV`.
 */
export function databaseFrom(name: string): string {
  return readEnv(process.env, z.object({ [name]: databaseUrl }))[name] ?? "";
}
