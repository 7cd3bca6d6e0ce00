import { existsSync, readFileSync } from "node:fs";
import { readBoundary } from "../../functions/_core/adapters/boundary-source.ts";
import type { PlacedStatement } from "../../functions/_core/diff/locate.ts";
import { parseSnapshot, type Snapshot } from "../../functions/_core/diff/snapshot.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { limitLocks, openDatabase } from "../cli/database.ts";
import { migrate } from "./migrated.ts";
import { isFolder, migrationFiles } from "./migrations.ts";

/** One side of a comparison, read. */
export type Side = {
  label: string;
  snapshot: Snapshot;
  /** Of a folder of migrations: what it was made by. */
  statements: PlacedStatement[];
  skipped: string[];
};

/**
 * Read a side: `env:NAME` a database, a folder of migrations, or a file that `bulkhead snapshot` wrote.
 *
 * @example
 * const before = await readSide("env:DATABASE_URL");
 * @throws BulkheadError `BH_DIFF_SIDE` when it is none of these.
 */
export async function readSide(side: string): Promise<Side> {
  checkSide(side);
  const plain = { label: side, statements: [], skipped: [] };
  if (side.startsWith("env:")) {
    const sql = await openDatabase(side.slice(4));
    try {
      await limitLocks(sql);
      return { ...plain, snapshot: await readBoundary(sql, "database") };
    } finally {
      await sql.end({ timeout: 5 });
    }
  }
  if (isFolder(side)) return { label: side, ...await migrate(side) };
  return { ...plain, snapshot: parseSnapshot(readFileSync(side, "utf8"), side) };
}

/** Refuse what can't be a side before anything is started; a connection string is not repeated. */
export function checkSide(side: string): void {
  const failed = (what: string, hint: string) =>
    new BulkheadError("BH_DIFF_SIDE", `Cannot compare ${what}`, { kind: "usage", hint });
  if (/^[a-z][a-z0-9+]*:\/\//i.test(side)) {
    throw failed(
      "a connection string: every user of this machine can read the command line",
      "put it into a variable and name that: env:DATABASE_URL",
    );
  }
  if (/^env:/.test(side)) {
    if (/^env:[A-Za-z_]\w*$/.test(side)) return;
    throw failed(`"${side}": it names no variable`, "write env:DATABASE_URL");
  }
  if (isFolder(side)) return void migrationFiles(side);
  if (existsSync(side)) return;
  throw failed(
    `"${side}": there is no such file or folder`,
    "a side is env:NAME, a folder of migrations, or a file that npx bulkhead snapshot wrote",
  );
}
