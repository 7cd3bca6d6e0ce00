import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";
import { BulkheadError } from "../../functions/_core/errors.ts";

/** One file of a folder of migrations; `path` is relative to where the command runs, with slashes. */
export type MigrationFile = { path: string; text: string };

/**
 * The migrations of a folder in the order in which they are applied: Supabase's and Drizzle's files by name, or
 * Prisma's folders. Sub-folders such as `down/` are left alone, as the migrators do.
 *
 * @example
 * for (const { path, text } of migrationFiles("supabase/migrations")) …
 * @throws BulkheadError `BH_DIFF_SIDE` when there is no migration.
 */
export function migrationFiles(folder: string): MigrationFile[] {
  const entries = readdirSync(folder).sort();
  const files = entries.filter((name) =>
    name.endsWith(".sql") && !/\.(down|undo)\.sql$/.test(name)
  );
  const nested = entries.map((name) => join(name, "migration.sql"))
    .filter((name) => existsSync(join(folder, name)));
  const found = files.length > 0 ? files : nested;
  if (found.length > 0) {
    return found.map((name) => ({
      path: relative(".", join(folder, name)).split(sep).join(posix.sep),
      text: readFileSync(join(folder, name), "utf8"),
    }));
  }
  throw new BulkheadError("BH_DIFF_SIDE", `Cannot compare "${folder}": it holds no migration`, {
    kind: "usage",
    hint: "name the folder with the .sql files, such as supabase/migrations or drizzle",
  });
}

/** Whether a path is a folder. */
export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
