import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { addToConfig } from "./config-toml.ts";
import { textOf } from "./files.ts";
import { type Kit, type KitFile, sha256 } from "./kit.ts";
import { type Lock, LOCK_PATH, lockText } from "./lock.ts";
import {
  checkFunctionFolders,
  CONFIG,
  freshVersions,
  migrationNames,
  MIGRATIONS,
  type Plan,
} from "./project.ts";
import { inventory, kitStatements } from "./sql-changes.ts";

/** What the planners are told besides the project and the kit. */
export type InstallOptions = { force: boolean; workflows: boolean; now: Date };

/**
 * What `bulkhead init` has to do in a project: everything in a new one, nothing in one that has it all.
 *
 * @throws BulkheadError `BH_UPGRADE_NEEDED` when another version of the kit is installed.
 */
export function planInit(
  project: string,
  kit: Kit,
  lock: Lock | undefined,
  options: InstallOptions,
): Plan {
  if (lock !== undefined && lock.digest !== kit.digest) {
    throw new BulkheadError(
      "BH_UPGRADE_NEEDED",
      `Cannot install version ${kit.version}: the project has another one, ${lock.version}`,
      { kind: "red", hint: "bulkhead upgrade --dry-run, then bulkhead upgrade" },
    );
  }
  checkFunctionFolders(project);
  const plan: Plan = { changes: [], conflicts: [], notes: [] };
  const migrations = planMigrations(project, kit, lock, options, plan);
  const files = kitFiles(project, kit, options, plan);
  planFiles(project, files, lock, options, plan);
  const config = planConfig(project, plan);
  planLock(project, plan, {
    format: 1,
    version: kit.version,
    digest: kit.digest,
    migrations,
    files: {
      ...lock?.files,
      ...Object.fromEntries(files.map(({ path, text }) => [path, sha256(text)])),
    },
    config: {
      functions: [...new Set([...(lock?.config.functions ?? []), ...config.functions])].sort(),
      schema: config.schema || (lock?.config.schema ?? false),
    },
    objects: inventory(kitStatements(sqlFiles(kit))),
  });
  return plan;
}

/** The migrations as the SQL side wants them. */
export function sqlFiles(kit: Kit): { name: string; text: string }[] {
  return kit.migrations.map(({ capability, text }) => ({ name: capability, text }));
}

/** The record comes last: it says that everything before it is there. */
export function planLock(project: string, plan: Plan, lock: Lock): void {
  plan.changes.push({ path: LOCK_PATH, before: textOf(project, LOCK_PATH), after: lockText(lock) });
}

/** Add what config.toml lacks. */
export function planConfig(
  project: string,
  plan: Plan,
): { functions: string[]; schema: boolean } {
  const before = textOf(project, CONFIG) ?? "";
  const { text, functions, schema } = addToConfig(before);
  plan.changes.push({ path: CONFIG, before, after: text });
  return { functions, schema };
}

/**
 * Functions and workflows: written where the place is free or holds what the kit wrote, kept where somebody changed
 * them. A change of theirs is in the way only when the kit has something new for the same file.
 */
export function planFiles(
  project: string,
  files: readonly KitFile[],
  lock: Lock | undefined,
  options: { force: boolean },
  plan: Plan,
): void {
  for (const { path, text } of files) {
    const before = textOf(project, path);
    const installed = lock?.files[path];
    const isTheirs = before !== null && before !== text && sha256(before) !== installed;
    if (!isTheirs || options.force) plan.changes.push({ path, before, after: text });
    else {
      const isNews = installed !== sha256(text);
      plan.conflicts.push({
        path,
        blocking: isNews,
        reason: installed === undefined
          ? "a file that is not the kit's is there; --force overwrites it"
          : isNews
          ? "you changed it, and the kit has a new version of it; --force overwrites yours"
          : "you changed it; it stays as it is",
      });
    }
  }
}

/** Functions, and workflows where GitHub would read them. */
export function kitFiles(
  project: string,
  kit: Kit,
  options: { workflows: boolean },
  plan: Plan,
): KitFile[] {
  if (!options.workflows) return kit.functions;
  const root = repositoryAbove(project);
  if (root !== undefined) {
    plan.notes.push(
      `Workflows left out: GitHub reads them at the top of the repository, ${root}, only. Copy them from ${
        kit.workflows
          .map(({ path }) => path).join(", ")
      } of a project that has them`,
    );
    return kit.functions;
  }
  return [...kit.functions, ...kit.workflows];
}

/** The repository that the project is only a folder of. */
function repositoryAbove(project: string): string | undefined {
  if (existsSync(join(project, ".git"))) return undefined;
  for (let up = dirname(project); up !== dirname(up); up = dirname(up)) {
    if (existsSync(join(up, ".git"))) return up;
  }
  return undefined;
}

function planMigrations(
  project: string,
  kit: Kit,
  lock: Lock | undefined,
  options: InstallOptions,
  plan: Plan,
): Lock["migrations"] {
  if (lock !== undefined) {
    for (const { path, sha256: installed, capability } of lock.migrations) {
      const before = textOf(project, path);
      if (before !== null && sha256(before) === installed) continue;
      const text = kit.migrations.find((migration) => migration.capability === capability)?.text;
      if (options.force && text !== undefined && sha256(text) === installed) {
        plan.changes.push({ path, before, after: text });
      } else {
        plan.conflicts.push({
          path,
          blocking: false,
          reason: before === null
            ? "the migration is gone; --force puts it back"
            : "you changed the migration; it stays as it is",
        });
      }
    }
    return lock.migrations;
  }
  const names = migrationNames(project);
  const known = sinceUninstall(names);
  const found = kit.migrations.map(({ capability, text }) => {
    const name = known.find((file) => file.slice(15) === `bulkhead_${capability}.sql`);
    return { capability, text, path: name && `${MIGRATIONS}/${name}` };
  });
  const versions = freshVersions(names, found.length, options.now);
  return found.map(({ capability, text, path }) => {
    if (path === undefined) {
      path = `${MIGRATIONS}/${versions.shift()}_bulkhead_${capability}.sql`;
      plan.changes.push({ path, before: null, after: text });
    } else if (textOf(project, path) !== text) {
      plan.conflicts.push({
        path,
        blocking: true,
        reason:
          `it is not this version's migration, and ${LOCK_PATH} is missing; run the init of the version it came from`,
      });
    }
    return { path, capability, sha256: sha256(text) };
  });
}

/** What came before an uninstall is gone from the database, so it does not count. */
function sinceUninstall(names: readonly string[]): string[] {
  const last = names.findLastIndex((name) => /^\d{14}_bulkhead_uninstall\.sql$/.test(name));
  return names.slice(last + 1).filter((name) => /^\d{14}_/.test(name));
}

/** A file that the kit wrote goes; one that somebody changed stays, for the reason. */
export function planRemovedFile(
  project: string,
  path: string,
  { lock, reason }: { lock: Lock; reason: string },
  plan: Plan,
): void {
  const before = textOf(project, path);
  if (before === null) return;
  if (sha256(before) === lock.files[path]) plan.changes.push({ path, before, after: null });
  else plan.conflicts.push({ path, reason, blocking: false });
}
