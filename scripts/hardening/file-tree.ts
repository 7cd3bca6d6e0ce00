import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { IS_CLONE, PACKAGE_ROOT } from "../cli/package.ts";

/** What runs, and what defines it; not what was installed, generated or written by a run. */
const PARTS = [
  "migrations",
  "functions",
  "scripts",
  "supabase",
  ".github",
  "package.json",
  "package-lock.json",
  "deno.json",
  // In a clone it is whatever was built there some day.
  ...(IS_CLONE ? [] : ["dist"]),
];

/**
 * The kit's own files with the first digits of their SHA-256, as a tree: which code made this evidence.
 *
 * @example
 * process.stdout.write(await fileTree());
 */
export async function fileTree(): Promise<string> {
  const lines: string[] = [];
  for (const part of PARTS) await walk(part, 0, lines);
  return `${lines.join("\n")}\n`;
}

async function walk(path: string, depth: number, lines: string[]): Promise<void> {
  const indent = "  ".repeat(depth);
  const name = path.split("/").at(-1) ?? path;
  const entries = await readdir(join(PACKAGE_ROOT, path), { withFileTypes: true }).catch(() =>
    undefined
  );
  if (entries === undefined) {
    const bytes = await readFile(join(PACKAGE_ROOT, path)).catch(() => undefined);
    if (bytes === undefined) return;
    const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    lines.push(`${`${indent}${name}`.padEnd(56)} ${digest} ${String(bytes.length).padStart(9)}`);
    return;
  }
  lines.push(`${indent}${name}/`);
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    // A link (supabase/migrations) leads to what is listed already; reports are results.
    const isListed = entry.isSymbolicLink() || entry.name === "reports" ||
      entry.name === "node_modules" || entry.name === ".temp" ||
      /\.(d\.ts|map)$/.test(entry.name);
    if (!isListed) await walk(`${path}/${entry.name}`, depth + 1, lines);
  }
}
