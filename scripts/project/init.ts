import { Command } from "commander";
import { isMain, runCli } from "../cli/run.ts";
import { planInit } from "./install.ts";
import { readKit } from "./kit.ts";
import { readLock } from "./lock.ts";
import { carryOut, findProject, type PlanOptions } from "./project.ts";

/**
 * `bulkhead init`: bring the migrations, functions, settings and workflows into a Supabase project.
 *
 * @example
 * node --import tsx scripts/project/init.ts --dir ../my-project --dry-run
 */
export function command(): Command {
  return new Command("init")
    .description(
      "Install Bulkhead into a Supabase project: migrations, functions, config.toml and workflows. No database is touched.",
    )
    .option("--dir <project>", "the folder that holds supabase/", ".")
    .option("--dry-run", "print what would change as a unified diff, and change nothing")
    .option("--force", "overwrite files that were changed by hand")
    .option("--no-workflows", "leave .github/workflows alone")
    .option("--json", "print one JSON document on stdout")
    .addHelpText(
      "after",
      "\nRun again, it changes nothing. Exits 1 when a file that is not the kit's is in the way.",
    )
    .action(run);
}

function run(options: PlanOptions & { workflows: boolean }): void {
  const project = findProject(options.dir);
  const kit = readKit();
  const lock = readLock(project);
  const plan = planInit(project, kit, lock, {
    force: options.force === true,
    workflows: options.workflows,
    now: new Date(),
  });
  if (lock === undefined && options.dryRun !== true) {
    plan.notes.push("Next: supabase db push, then bulkhead doctor. docs/install.md has each step");
  }
  carryOut(project, plan, { ...options, extra: { version: kit.version } });
}

if (isMain(import.meta.url)) await runCli(command());
