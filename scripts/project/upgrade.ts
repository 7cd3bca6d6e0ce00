import { Command } from "commander";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { isMain, runCli } from "../cli/run.ts";
import { kitFiles, planConfig, planFiles, planLock, planRemovedFile, sqlFiles } from "./install.ts";
import { type Kit, readKit, sha256 } from "./kit.ts";
import { type Lock, needLock } from "./lock.ts";
import {
  carryOut,
  checkFunctionFolders,
  findProject,
  freshVersions,
  migrationNames,
  MIGRATIONS,
  type Plan,
  type PlanOptions,
} from "./project.ts";
import { inventory, kitStatements, type Upgrade, upgradeSql } from "./sql-changes.ts";

/**
 * `bulkhead upgrade`: one new migration with every SQL object that this version of the kit defines otherwise, and the
 * new functions and workflows. An applied migration is never changed.
 *
 * @example
 * node --import tsx scripts/project/upgrade.ts --dir ../my-project --dry-run
 */
export function command(): Command {
  return new Command("upgrade")
    .description(
      "Bring a project to this version of Bulkhead: a new migration for what changed in SQL, and the changed functions and workflows.",
    )
    .option("--dir <project>", "the folder that holds supabase/", ".")
    .option("--dry-run", "print what would change as a unified diff, and change nothing")
    .option("--force", "overwrite functions and workflows that were changed by hand")
    .option(
      "--done <object>",
      "an object that you have changed in a migration of your own; may be repeated",
      (object: string, all: string[]) => [...all, object],
      [],
    )
    .option("--json", "print one JSON document on stdout")
    .addHelpText(
      "after",
      "\nExits 1 when something can't be upgraded without a person, and names each object with the reason.",
    )
    .action(run);
}

function run(options: PlanOptions & { done: string[] }): void {
  const project = findProject(options.dir);
  const lock = needLock(project, {
    cannot: `upgrade "${project}"`,
    hint: "bulkhead init, from the version that was installed",
  });
  const kit = readKit();
  if (isOlder(kit.version, lock.version)) {
    throw new BulkheadError(
      "BH_UPGRADE_NEEDED",
      `Cannot upgrade to version ${kit.version}: the project has ${lock.version}, which is newer`,
      { kind: "red", hint: `install version ${lock.version} of the package, or a newer one` },
    );
  }
  checkFunctionFolders(project);
  const plan: Plan = { changes: [], conflicts: [], notes: [] };
  const statements = kitStatements(sqlFiles(kit));
  const upgrade = upgradeSql(lock.objects, statements, new Set(options.done));
  for (const { object, reason } of upgrade.refused) {
    plan.conflicts.push({
      path: object,
      blocking: true,
      reason:
        `${reason}; change it in a migration of your own, then run again with --done "${object}"`,
    });
  }
  const migration = planMigration(project, kit, lock, upgrade, plan);
  const hadWorkflows = Object.keys(lock.files).some((path) => path.startsWith(".github/"));
  const files = kitFiles(project, kit, { workflows: hadWorkflows }, plan);
  planFiles(project, files, lock, { force: options.force === true }, plan);
  const kept = new Set(files.map(({ path }) => path));
  for (const path of Object.keys(lock.files).filter((path) => !kept.has(path))) {
    const reason = "you changed it, and the kit no longer has it; it stays";
    planRemovedFile(project, path, { lock, reason }, plan);
  }
  const config = planConfig(project, plan);
  for (const drop of upgrade.removed) {
    plan.notes.push(`No longer part of the kit; drop it yourself when nothing uses it: ${drop}`);
  }
  planLock(project, plan, {
    ...lock,
    version: kit.version,
    digest: kit.digest,
    migrations: migration === undefined ? lock.migrations : [...lock.migrations, migration],
    files: Object.fromEntries(files.map(({ path, text }) => [path, sha256(text)])),
    config: {
      functions: [...new Set([...lock.config.functions, ...config.functions])].sort(),
      schema: config.schema || lock.config.schema,
    },
    objects: inventory(statements),
  });
  const { changed, removed, refused } = upgrade;
  carryOut(project, plan, {
    ...options,
    extra: { from: lock.version, to: kit.version, objects: { changed, removed, refused } },
  });
}

/** Whether `version` comes before `other`; `1.0.0-rc.1` counts as 1.0.0. */
function isOlder(version: string, other: string): boolean {
  const [a, b] = [version, other].map((text) => text.split(/[.-]/, 3).map(Number));
  const at = a?.findIndex((part, index) => part !== b?.[index]) ?? -1;
  return at >= 0 && (a?.[at] ?? 0) < (b?.[at] ?? 0);
}

function planMigration(
  project: string,
  kit: Kit,
  lock: Lock,
  upgrade: Upgrade,
  plan: Plan,
): Lock["migrations"][number] | undefined {
  if (upgrade.statements.length === 0 || upgrade.refused.length > 0) return undefined;
  const [version = ""] = freshVersions(migrationNames(project), 1, new Date());
  const path = `${MIGRATIONS}/${version}_bulkhead_upgrade.sql`;
  const text = migrationText(kit, lock, upgrade);
  plan.changes.push({ path, before: null, after: text });
  return { path, capability: "upgrade", sha256: sha256(text) };
}

function migrationText(kit: Kit, lock: Lock, upgrade: Upgrade): string {
  const listed = (lines: readonly string[]) =>
    lines.map((line) => `--   ${line.replace(/\s+/g, " ").slice(0, 110)}\n`).join("");
  return `-- Bulkhead ${lock.version} -> ${kit.version}, written by bulkhead upgrade. One transaction: the kit is never half new.
-- Changed:
${listed(upgrade.changed)}${
    upgrade.removed.length === 0
      ? ""
      : `-- No longer part of the kit, and left for you to drop:\n${listed(upgrade.removed)}`
  }
-- Nobody waits behind this migration for longer than that; a push that gives up may be repeated.
set local lock_timeout = '10s';

${upgrade.statements.map((text) => `${text};\n`).join("\n")}`;
}

if (isMain(import.meta.url)) await runCli(command());
