import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { parseTap } from "../local/tap.ts";
import { splitStatements } from "../local/sql-statements.ts";

/** One file of tests. */
export type TapFile = { file: string; passed: number; failed: string[] };

/**
 * Run a pgTAP file over one connection, statement by statement as psql would.
 *
 * @example
 * const { passed, failed } = await runPgTap(url, "tests/tenancy.test.sql");
 */
export async function runPgTap(url: string, path: string): Promise<TapFile> {
  const file = basename(path);
  const sql = connect(url, { max: 1, applicationName: "bulkhead drill" });
  const lines: string[] = [];
  try {
    for (const { text } of splitStatements(readFileSync(path, "utf8"))) {
      for (const row of await sql.unsafe(text).values()) {
        if (row.length === 1 && typeof row[0] === "string") lines.push(row[0]);
      }
    }
  } catch (error) {
    const state = error instanceof Error ? error.message : String(error);
    return { file, passed: 0, failed: [`${file} stopped: ${state}`] };
  } finally {
    await sql.end({ timeout: 1 });
  }
  // A file that only installs helpers has no plan and no tests.
  if (lines.length === 0) return { file, passed: 0, failed: [] };
  const results = parseTap(lines, file);
  return {
    file,
    passed: results.filter((result) => result.status === "passed").length,
    failed: results.filter((result) => result.status === "failed")
      .map((result) => `${result.name}: ${(result.message ?? "").trim()}`),
  };
}
