import process from "node:process";
import { Command, Option } from "commander";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { counted } from "../../functions/_core/counted.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { exactString } from "../../functions/_core/ledger/exact-json.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { whole } from "./audit-list.ts";
import { resolveTable, resolveTime } from "./events.ts";
import { type Applied, applyUndo, planUndo, printPlan, type Step, type Undo } from "./undo-plan.ts";

type Options = CommonOptions & {
  transaction?: string;
  tenant?: string;
  since?: string;
  until?: string;
  table?: string[];
  actor?: string;
  conflicts: string;
  acting?: string;
  apply?: string | boolean;
  rows: string;
  wide?: boolean;
};

/** `bulkhead undo`: the plan first, then the doing, whole or not at all. */
export function command(): Command {
  return commonOptions(new Command("undo"))
    .description(
      "Take back a transaction, or what was done in a tenant's window of time.\nShows the plan; changes nothing unless told to.",
    )
    .option("--transaction <number>", "a transaction, as bulkhead audit shows it", whole)
    .option("--tenant <id>", "what was done to one tenant's rows")
    .option("--since <time>", "from transactions begun then on: 2h, 30m ago, or a time")
    .option("--until <time>", "to transactions begun before; default now")
    .option("--table <names...>", "only in these tables")
    .option("--actor <name>", "only what this actor did")
    .addOption(
      new Option("--conflicts <choice>", "rows that later writes own, or that cannot be put back")
        .choices(["refuse", "skip", "overwrite"]).default("refuse"),
    )
    .option("--acting <name>", "who undoes, for the ledger; default bulkhead undo")
    .option("--apply [plan]", "do it, by the plan that was shown where one is named")
    .option("--rows <number>", "how many rows to show", "20")
    .option("--wide", "whole lines, not cut to the terminal")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const undo = await undoOf(sql, options);
    const steps = await planUndo(sql, undo);
    const digest = steps[0]?.digest;
    const inTheWay = steps.filter(({ state }) =>
      state === "conflict" || state === "blocked"
    ).length;
    if (!options.json) show(steps, options);
    if (!options.apply || digest === undefined) {
      if (options.json) print({ plan: digest ?? null, steps, applied: null });
      if (inTheWay > 0) process.exitCode = EXIT.red;
      return;
    }
    const plan = typeof options.apply === "string" ? options.apply : digest;
    const done = await applyUndo(sql, undo, { digest: plan, acting: options.acting ?? null });
    if (options.json) print({ plan: digest, steps, applied: done });
    else report(done);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function undoOf(sql: Sql, options: Options): Promise<Undo> {
  const tables = [];
  for (const table of options.table ?? []) tables.push((await resolveTable(sql, table)).name);
  return {
    transaction: options.transaction ?? null,
    tenant: options.tenant ?? null,
    since: options.since === undefined ? null : await resolveTime(sql, options.since),
    until: options.until === undefined ? null : await resolveTime(sql, options.until),
    tables: options.table === undefined ? null : tables,
    actor: options.actor ?? null,
    conflicts: options.conflicts,
  };
}

function show(steps: readonly Step[], options: Options): void {
  const [first] = steps;
  if (first === undefined) {
    process.stdout.write("Nothing to undo: every row is as it was before\n");
    return;
  }
  process.stdout.write(`Plan ${first.digest}: ${counted(steps.length, "row")}\n`);
  printPlan(steps, { rows: rowsOf(options.rows), wide: options.wide ?? false });
  if (options.apply) return;
  const owned = steps.filter(({ state }) => state === "conflict").length;
  const blocked = steps.filter(({ state }) => state === "blocked").length;
  process.stderr.write(
    "Nothing was changed. An undo sets back no sequence and sends no mail twice: triggers are held.\n",
  );
  if (owned + blocked > 0) {
    process.stderr.write(
      `${counted(owned + blocked, "row")} in the way: leave them with --conflicts skip` +
        (owned > 0 ? ", or take later writes back too with --conflicts overwrite\n" : "\n"),
    );
  } else process.stderr.write(`Do it with --apply ${first.digest}\n`);
}

function report(done: readonly Applied[]): void {
  for (const { tenant, table, action, rows } of done) {
    const past = { insert: "inserted", update: "set back", delete: "deleted" }[action] ?? action;
    process.stdout.write(`${counted(rows, "row")} of ${table} ${past} (${tenant})\n`);
  }
  if (done.length === 0) process.stdout.write("Nothing was left to do\n");
}

function rowsOf(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new BulkheadError("BH_USAGE", `Cannot show "${text}" rows: that is no number`, {
    kind: "usage",
    hint: "bulkhead undo --rows 20",
  });
}

function print(document: unknown): void {
  process.stdout.write(`${exactString(document)}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
