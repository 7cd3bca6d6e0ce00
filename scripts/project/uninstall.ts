import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { isMain, runCli } from "../cli/run.ts";
import { removeFromConfig } from "./config-toml.ts";
import { textOf } from "./files.ts";
import { planRemovedFile } from "./install.ts";
import { LOCK_PATH, needLock } from "./lock.ts";
import {
  carryOut,
  CONFIG,
  findProject,
  freshVersions,
  migrationNames,
  MIGRATIONS,
  type Plan,
  type PlanOptions,
} from "./project.ts";
import { uninstallSql } from "./uninstall-sql.ts";

type Options = PlanOptions & {
  write?: boolean;
  files?: boolean;
  unprotect?: boolean;
  databaseEnv: string;
};

/**
 * `bulkhead uninstall`: print the migration that takes the kit out, or write it; remove the files that init brought.
 *
 * @example
 * node --import tsx scripts/project/uninstall.ts --dir ../my-project --write --unprotect
 */
export function command(): Command {
  return new Command("uninstall")
    .description(
      "Print the migration that takes Bulkhead out of a database, or write it into the project. It runs when you push it.",
    )
    .option("--dir <project>", "the folder that holds supabase/", ".")
    .option("--write", "write it as a new migration of the project instead of printing it")
    .option("--unprotect", "take the protection off every table, too")
    .option(
      "--files",
      "remove the functions, workflows and settings that init brought, where unchanged",
    )
    .option("--dry-run", "print what would change as a unified diff, and change nothing")
    .option(
      "--database-env <name>",
      "environment variable of a database to look at for protected tables; not needed",
      "DATABASE_URL",
    )
    .option("--json", "print one JSON document on stdout")
    .addHelpText(
      "after",
      "\nRefuses while tables are protected: at once where the variable is set, and the migration itself again.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (options.unprotect !== true) await refuseProtected(options.databaseEnv);
  const sql = uninstallSql({ unprotect: options.unprotect === true });
  if (!options.write && !options.files) {
    process.stdout.write(options.json ? `${JSON.stringify({ sql }, null, 2)}\n` : sql);
    return;
  }
  const project = findProject(options.dir);
  const plan: Plan = { changes: [], conflicts: [], notes: [] };
  if (options.write) {
    const names = migrationNames(project);
    const isThere = names.at(-1)?.endsWith("_bulkhead_uninstall.sql") === true;
    const [version = ""] = isThere
      ? [names.at(-1)?.slice(0, 14)]
      : freshVersions(names, 1, new Date());
    const path = `${MIGRATIONS}/${version}_bulkhead_uninstall.sql`;
    plan.changes.push({ path, before: textOf(project, path), after: sql });
    plan.notes.push(
      "After the push: delete the Vault secrets bulkhead_functions_url and bulkhead_hmac_secret, and take bulkhead_api out of the API's exposed schemas",
    );
  }
  if (options.files) planRemoval(project, plan);
  carryOut(project, plan, options);
}

/** The migrations stay: the database remembers them, and `supabase db push` compares. */
function planRemoval(project: string, plan: Plan): void {
  const lock = needLock(project, {
    cannot: `remove files from "${project}"`,
    hint: "only what bulkhead init recorded is removed",
  });
  for (const path of Object.keys(lock.files)) {
    planRemovedFile(project, path, { lock, reason: "you changed it; it stays" }, plan);
  }
  const before = textOf(project, CONFIG) ?? "";
  const { text, left } = removeFromConfig(before);
  plan.changes.push({ path: CONFIG, before, after: text });
  for (const entry of left) {
    plan.conflicts.push({
      path: CONFIG,
      reason: `${entry} was changed; it stays`,
      blocking: false,
    });
  }
  plan.changes.push({ path: LOCK_PATH, before: textOf(project, LOCK_PATH), after: null });
  plan.notes.push("The migrations stay: the database remembers them");
}

/** Without a database there is nothing to ask; the migration refuses by itself. */
async function refuseProtected(name: string): Promise<void> {
  if (!process.env[name]) return;
  const sql = await openDatabase(name);
  try {
    const [kit] = await sql`select to_regclass('bulkhead.protected_tables') is not null as found`;
    if (kit?.["found"] !== true) return;
    const rows = z.array(z.object({ name: z.string() })).parse([
      ...await sql`
        select relation::text as name from bulkhead.protected_tables where parent is null order by 1`,
    ]);
    if (rows.length === 0) return;
    throw new BulkheadError(
      "BH_PROTECTED",
      `Cannot uninstall: ${rows.length} tables are protected: ${
        rows.map((row) => row.name).join(", ")
      }`,
      {
        kind: "red",
        hint: "unprotect them, or say --unprotect to take the protection off every table",
      },
    );
  } finally {
    await sql.end({ timeout: 5 });
  }
}

if (isMain(import.meta.url)) await runCli(command());
