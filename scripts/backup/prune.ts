import process from "node:process";
import { Command, InvalidArgumentError } from "commander";
import { noBackup } from "../../functions/_core/backup/manifest.ts";
import {
  applyPrune,
  planPrune,
  type PrunePlan,
  pruneStopped,
} from "../../functions/_core/backup/prune.ts";
import { counted } from "../../functions/_core/counted.ts";
import { isMain, runCli } from "../cli/run.ts";
import { openBackups } from "./environment.ts";
import { openRecord, type PruneRecord, recordPrune } from "./record.ts";

type Options = {
  daily: number;
  weekly: number;
  monthly: number;
  apply?: boolean;
  force?: boolean;
  recordEnv?: string;
  json?: boolean;
};

/** `bulkhead prune`: shows what retention would remove; `--apply` removes it. */
export function command(): Command {
  return new Command("prune")
    .description(
      "Show which backups the retention rule would remove, and remove them with --apply.\n" +
        "Reads BULKHEAD_STORE, BULKHEAD_S3_PRUNER_*, BULKHEAD_KEK; that key alone may delete.",
    )
    .option("--daily <count>", "days to keep a backup of", wholeNumber, 30)
    .option("--weekly <count>", "ISO weeks before those", wholeNumber, 12)
    .option("--monthly <count>", "months before those", wholeNumber, 12)
    .option("--apply", "remove what the plan says")
    .option("--force", "allow more than 25% of the backups to go at once")
    .option(
      "--record-env <name>",
      "variable with the connection string of the database that keeps the record of --apply, for retention_overdue",
    )
    .option("--json", "print one JSON document on stdout")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { recordEnv } = options;
  const { store, keyring, database } = await openBackups("pruner", recordEnv ? [recordEnv] : []);
  await using record = recordEnv ? await openRecord(database(recordEnv)) : null;
  const note = async (found: PruneRecord) => {
    if (record && options.apply) await recordPrune(record.sql, found);
  };
  const noteStop = async (error: unknown): Promise<never> => {
    const stopped = error instanceof Error ? error.message : String(error);
    await note({ kept: 0, removed: 0, overdue: 0, stopped });
    throw error;
  };
  const plan = await planPrune({
    store,
    keyring,
    daily: options.daily,
    weekly: options.weekly,
    monthly: options.monthly,
    now: new Date(),
    isForced: options.force === true,
  }).catch(noteStop);
  if (!options.json) printPlan(plan, options.apply === true);
  // Removing more than a share stops only who would remove; without backups there is nothing to plan.
  const stop = plan.retention.stops.find(({ code }) => code !== "share" || options.apply === true);
  const result = options.apply && !stop ? await applyPrune(store, plan).catch(noteStop) : null;
  const removed = result?.removedBackups.length ?? 0;
  await note({
    kept: plan.retention.keep.length + plan.retention.setAside.length,
    removed,
    overdue: plan.retention.remove.length - removed,
    stopped: stop?.message ?? null,
  });
  if (options.json) {
    const { keep, remove, setAside, stops } = plan.retention;
    const orphans = plan.orphans.map(({ key, version, size }) => ({ key, version, size }));
    const invalid = plan.invalid.map(({ stored, error }) => ({
      key: stored.key,
      version: stored.version,
      code: error.code,
      message: error.message,
    }));
    const document = { keep, remove, setAside, stops, orphans, invalid, result };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  } else if (result) {
    console.log(
      `Removed ${counted(result.removedBackups.length, "backup")}: ` +
        `${counted(result.deletedVersions, "object")}, ${counted(result.freedBytes, "byte")}`,
    );
    for (const at of result.locked) console.log(`Locked, tried again next time: ${at}`);
  }
  if (stop) throw stop.code === "empty" ? noBackup(store) : pruneStopped(store, stop);
}

function printPlan(plan: PrunePlan, isApplied: boolean): void {
  const { keep, remove, setAside, stops } = plan.retention;
  for (const { id, reason } of keep) console.log(`keep    ${id}  ${reason}`);
  for (const { id, reason } of setAside) console.log(`spare   ${id}  ${reason}`);
  for (const id of remove) console.log(`remove  ${id}`);
  if (plan.orphans.length > 0) {
    console.log(`remove  ${counted(plan.orphans.length, "object")} of backups that never finished`);
  }
  for (const { stored, error } of plan.invalid) {
    console.error(`Invalid: ${stored.key}@${stored.version}: ${error.message}`);
  }
  for (const { message, hint } of stops) console.error(`Stop: ${message}. ${hint}.`);
  console.error(
    `${keep.length} stay, ${setAside.length} are spared, ${remove.length} go` +
      (isApplied ? "" : "; nothing was removed: add --apply"),
  );
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a whole number from 0");
}

if (isMain(import.meta.url)) await runCli(command());
