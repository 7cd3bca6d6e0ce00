import { existsSync, lstatSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { PACKAGE_ROOT } from "../cli/package.ts";
import { applyChanges, type Change, unifiedDiff } from "./files.ts";
import { FUNCTION_NAMES } from "./kit.ts";

export const MIGRATIONS = "supabase/migrations";
export const CONFIG = "supabase/config.toml";

/** A file that stays as it is although the kit has another one for its place. */
export type Conflict = {
  path: string;
  reason: string; /** The kit needs the place. */
  blocking: boolean;
};

/** What a command is about to do to a project. */
export type Plan = {
  changes: Change[];
  /** Files that were changed by hand and stay; shown, and a reason to exit with 1 when they are in the way. */
  conflicts: Conflict[];
  notes: string[];
};

/**
 * The folder of a Supabase project, as an absolute path.
 *
 * @throws BulkheadError `BH_NO_PROJECT` when it holds no supabase/config.toml, or is the kit itself.
 */
export function findProject(dir: string): string {
  const project = resolve(dir);
  const refuse = (state: string, hint: string) =>
    new BulkheadError("BH_NO_PROJECT", `Cannot use "${project}": ${state}`, {
      kind: "usage",
      hint,
    });
  if (!existsSync(project) || !statSync(project).isDirectory()) {
    throw refuse("it is no folder", "name your project's folder with --dir");
  }
  if (resolve(PACKAGE_ROOT) === project) {
    throw refuse("it is Bulkhead itself", "name your project's folder with --dir");
  }
  if (!existsSync(join(project, "supabase"))) {
    throw refuse(
      "it has no supabase folder",
      "run supabase init there, or name another with --dir",
    );
  }
  if (!existsSync(join(project, CONFIG))) {
    throw refuse(`it has no ${CONFIG}`, "run supabase init there");
  }
  return project;
}

/**
 * The CLI takes functions by the names of their folders, and uploads half of what it finds behind a link.
 *
 * @throws BulkheadError `BH_FUNCTION_TAKEN`, `BH_NO_PROJECT`.
 */
export function checkFunctionFolders(project: string): void {
  const folder = join(project, "supabase/functions");
  if (existsSync(folder) && lstatSync(folder).isSymbolicLink()) {
    throw new BulkheadError(
      "BH_NO_PROJECT",
      `Cannot install functions into "supabase/functions": it is a symbolic link`,
      {
        kind: "usage",
        hint: "replace the link by a folder: the Supabase CLI uploads incomplete code through it",
      },
    );
  }
  for (const name of FUNCTION_NAMES) {
    if (!existsSync(join(folder, name, "index.ts"))) continue;
    throw new BulkheadError(
      "BH_FUNCTION_TAKEN",
      `Cannot install the function "${name}": supabase/functions/${name} is a function of yours`,
      { kind: "red", hint: `rename your function: the database calls ${name} by this name` },
    );
  }
}

/** The names of the project's migrations, in the order in which the CLI applies them. */
export function migrationNames(project: string): string[] {
  const folder = join(project, MIGRATIONS);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => /^[0-9]+_.*\.sql$/.test(name)).sort();
}

/**
 * Versions for `count` new migrations: fourteen digits each, now or a second after the project's newest.
 *
 * @example
 * freshVersions(["20240101000000_first.sql"], 2, new Date("2026-01-01T00:00:00Z")); // ["20260101000000", "20260101000001"]
 * @throws BulkheadError `BH_MIGRATION_NAMES` when the newest version leaves no room after it.
 */
export function freshVersions(names: readonly string[], count: number, now: Date): string[] {
  const newest = names.map((name) => name.split("_", 1)[0] ?? "").sort().at(-1) ?? "";
  const stamp = (time: number) => new Date(time).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  const present = stamp(now.getTime());
  // Not every fourteen digits are a time: then it is counted on, as a number.
  const after = newest >= present ? newest : "";
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(after)?.slice(1).map(Number);
  const [y = 0, mo = 1, d = 1, h = 0, mi = 0, s = 0] = parts ?? [];
  const time = after === "" ? now.getTime() - 1000 : Date.UTC(y, mo - 1, d, h, mi, s);
  const isTime = after === "" || stamp(time) === after;
  const versions = Array.from(
    { length: count },
    (_, i) => isTime ? stamp(time + (i + 1) * 1000) : String(BigInt(after) + BigInt(i + 1)),
  );
  if (versions.every((version) => /^\d{14}$/.test(version) && version > newest)) return versions;
  throw new BulkheadError(
    "BH_MIGRATION_NAMES",
    `Cannot name a migration after "${newest}": versions of fourteen digits do not sort after it`,
    { kind: "usage", hint: "rename that migration: supabase migration repair tells the database" },
  );
}

/** Flags that init, upgrade and uninstall share. */
export type PlanOptions = { dir: string; dryRun?: boolean; force?: boolean; json?: boolean };

/**
 * Show a plan and, unless it is a dry run, carry it out: the diff or one line a file on stdout. Blocking conflicts stop
 * everything and exit with 1; other conflicts are files that merely stay as somebody wrote them.
 */
export function carryOut(
  project: string,
  plan: Plan,
  options: PlanOptions & { extra?: Record<string, unknown> },
): void {
  const changes = plan.changes.filter(({ before, after }) => before !== after);
  const isBlocked = plan.conflicts.some(({ blocking }) => blocking);
  if (!isBlocked && options.dryRun !== true) applyChanges(project, changes);
  const verb = ({ before, after }: Change) =>
    before === null ? "create" : after === null ? "remove" : "change";
  if (options.json) {
    const document = {
      project,
      dry_run: options.dryRun === true,
      written: !isBlocked && options.dryRun !== true,
      changes: changes.map((change) => ({ path: change.path, action: verb(change) })),
      conflicts: plan.conflicts,
      notes: plan.notes,
      ...options.extra,
    };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  } else {
    if (options.dryRun === true) process.stdout.write(unifiedDiff(changes));
    else if (!isBlocked) {
      for (const change of changes) process.stdout.write(`${verb(change)}  ${change.path}\n`);
    }
    for (const { path, reason } of plan.conflicts) {
      process.stdout.write(`conflict  ${path}: ${reason}\n`);
    }
    for (const note of plan.notes) process.stderr.write(`${note}\n`);
    if (changes.length === 0 && plan.conflicts.length === 0) {
      process.stderr.write("Nothing to do\n");
    }
  }
  if (!isBlocked) return;
  process.exitCode = EXIT.red;
  if (!options.json) process.stderr.write("Nothing was written\n");
}
