import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import * as z from "zod";
import { PACKAGE_ROOT } from "../cli/package.ts";

/** Where the edge half goes, relative to the project. The underscore keeps the CLI from taking it for a function. */
export const FUNCTIONS_FOLDER = "supabase/functions/_bulkhead";
/** The functions that the database calls by name. */
export const FUNCTION_NAMES = ["backup", "alert", "status"] as const;

/** A file of the kit as it should lie in a project; `path` is relative, with slashes. */
export type KitFile = { path: string; text: string };
/** A migration of the kit: `capability` is `tenancy`, `audit_events`, … */
export type KitMigration = { capability: string; text: string };
/** Everything that init and upgrade bring. */
export type Kit = {
  version: string;
  /** One hash over everything below: whether two installations are the same version. */
  digest: string;
  migrations: KitMigration[];
  functions: KitFile[];
  workflows: KitFile[];
};

const packageShape = z.object({ version: z.string() });
const denoShape = z.object({ imports: z.record(z.string(), z.string()) });

/** The kit's workflows that make sense in a project; its own `ci` does not. */
const WORKFLOWS = ["backup-nightly.yml", "restore-drill.yml", "watchdog.yml"];

/**
 * Read what this version of the kit installs.
 *
 * @example
 * const { version, migrations } = readKit();
 */
export function readKit(root: string = PACKAGE_ROOT): Kit {
  const read = (...parts: string[]) => readFileSync(join(root, ...parts), "utf8");
  const { version } = packageShape.parse(JSON.parse(read("package.json")));
  const { imports } = denoShape.parse(JSON.parse(read("deno.json")));
  const migrations = readdirSync(join(root, "migrations")).sort().flatMap((file) => {
    const [, capability] = /^[0-9]+_(.*)\.sql$/.exec(file) ?? [];
    return capability === undefined ? [] : [{ capability, text: read("migrations", file) }];
  });
  const functions = sources(join(root, "functions")).map((file) => ({
    path: `${FUNCTIONS_FOLDER}/${file}`,
    text: read("functions", file),
  }));
  // Without the kit's own settings: in a project the CLI resolves the packages.
  const map = `${JSON.stringify({ imports }, null, 2)}\n`;
  functions.push({ path: `${FUNCTIONS_FOLDER}/deno.json`, text: map });
  const workflows = WORKFLOWS.map((file) => ({
    path: `.github/workflows/bulkhead-${file}`,
    text: projectWorkflow(read(".github/workflows", file)),
  }));
  const parts = [
    version,
    ...migrations.flatMap(({ capability, text }) => [capability, text]),
    ...[...functions, ...workflows].flatMap(({ path, text }) => [path, text]),
  ];
  return { version, digest: sha256(parts.join("\0")), migrations, functions, workflows };
}

/** The hash that the lock file keeps of a file. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** In a project the kit is a package: its program is called by name. */
function projectWorkflow(text: string): string {
  return text.replace(/node scripts\/bin\.mjs/g, "npx --no-install bulkhead")
    .replace(/^name: (?!bulkhead)/m, "name: bulkhead-");
}

/** The files that the functions reach by relative imports, with slashes: nothing else of the core is deployed. */
function sources(folder: string): string[] {
  const found = new Set<string>();
  const queue = FUNCTION_NAMES.map((name) => `${name}/index.ts`);
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, specifier = ""] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      queue.push(posix.join(posix.dirname(file), specifier));
    }
  }
  return [...found].sort();
}
