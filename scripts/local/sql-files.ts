import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import postgres from "postgres";
import { lineAt } from "../../functions/_core/lines.ts";
import { PACKAGE_ROOT } from "../cli/package.ts";

/** The root of the repository. */
export const ROOT: string = PACKAGE_ROOT;

/** What the Supabase CLI takes for a migration; it skips other names without an error. */
export const MIGRATION_NAME = /^([0-9]+)_(.*)\.sql$/;

/** One migration file. */
export type Migration = { version: string; name: string; path: string; text: string };

/**
 * The kit's migrations in the order in which the CLI applies them.
 *
 * @example
 * for (const { version, text } of migrationFiles()) await sql.unsafe(text);
 */
export function migrationFiles(folder = join(ROOT, "migrations")): Migration[] {
  return readdirSync(folder).sort().flatMap((file) => {
    const [, version, name] = MIGRATION_NAME.exec(file) ?? [];
    if (version === undefined || name === undefined) return [];
    const path = join(folder, file);
    return [{ version, name, path, text: readFileSync(path, "utf8") }];
  });
}

/**
 * Run a file of SQL statements and say where in the file it failed.
 *
 * @example
 * await runSql(sql, readFileSync("harden.sql", "utf8"), "harden.sql");
 */
export async function runSql(sql: postgres.Sql, text: string, name: string): Promise<void> {
  try {
    await sql.unsafe(text).simple();
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error;
    const position = Number(error.position ?? 0);
    const line = position > 0 ? lineAt(text, position) : 0;
    const detail = [error.detail, error.hint, error.where].filter(Boolean).join("\n  ");
    throw new Error(
      `Cannot run ${basename(name)}${line ? ` line ${line}` : ""}: ${error.code} ${error.message}${
        detail && `\n  ${detail}`
      }`,
      { cause: error },
    );
  }
}

/**
 * pgTAP as plain SQL from npm, for servers without the extension.
 *
 * @example
 * await runSql(sql, `set search_path = extensions; ${pgtapScript()}`, "pgtap");
 */
export function pgtapScript(): string {
  // The package exports its index only; its archive lies beside it.
  const index = createRequire(import.meta.url).resolve("@electric-sql/pglite-pgtap");
  const archive = join(dirname(index), "pgtap.tar.gz");
  const script = untar(gunzipSync(readFileSync(archive)), "pgtap--1.3.5.sql");
  return script.split("\n").filter((line) => !line.startsWith("\\echo")).join("\n");
}

/** The text of one file in a tar archive: 512-byte headers, name first, size in octal at 124. */
function untar(archive: Buffer, wanted: string): string {
  for (let at = 0; at + 512 <= archive.length;) {
    const name = archive.toString("utf8", at, at + 100).replace(/\0.*$/s, "");
    const size = parseInt(archive.toString("latin1", at + 124, at + 136), 8) || 0;
    if (basename(name) === wanted) return archive.toString("utf8", at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`Cannot find "${wanted}" in the pgTAP archive`);
}
