import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";

/**
 * The folder of this installation, the one with package.json: migrations, docs and the SQL of the commands lie at the
 * same place in it whether this file runs as TypeScript or compiled, from `dist/`.
 *
 * @example
 * readFileSync(join(PACKAGE_ROOT, "migrations", "001_tenancy.sql"), "utf8");
 */
export const PACKAGE_ROOT: string = rootOf(import.meta.dirname);

/** Whether this is a clone, whose source runs as it is, as `scripts/bin.mjs` has it; a package carries `dist/`. */
export const IS_CLONE: boolean = existsSync(join(PACKAGE_ROOT, "scripts/cli.ts"));

/**
 * The version of this installation.
 *
 * @example
 * packageVersion(); // "0.1.0"
 */
export function packageVersion(): string {
  const text = readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

function rootOf(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const above = dirname(folder);
  if (above === folder) throw new Error("Cannot find package.json above the commands: it is gone");
  return rootOf(above);
}
