import process from "node:process";
import { Command } from "commander";
import { readMatrix } from "../../functions/_core/adapters/matrix-read.ts";
import { measureMatrix } from "../../functions/_core/adapters/matrix-run.ts";
import { readWorld } from "../../functions/_core/adapters/matrix-world.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { type Actor, planActors } from "../../functions/_core/matrix/actors.ts";
import { renderMatrix, renderMatrixMarkdown } from "../../functions/_core/matrix/report.ts";
import { createReport } from "../../functions/_core/matrix/verdict.ts";
import type { World } from "../../functions/_core/matrix/world.ts";
import { readConfig } from "../cli/config.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { onlyTables } from "../cli/tables.ts";

type Options = CommonOptions & {
  config: string;
  table?: string[];
  role?: string[];
  readOnly?: boolean;
  markdown?: boolean;
};

const EXITS = { green: EXIT.ok, red: EXIT.red, unknown: EXIT.unknown };

/**
 * `bulkhead matrix`: who may read and write whose rows, tried out in one transaction that is rolled back.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/hardening/matrix.ts --table public.messages
 */
export function command(): Command {
  return commonOptions(new Command("matrix"))
    .description(
      "Try every role, table and verb on rows of two made-up tenants, in one transaction that is rolled back. Needs no kit.",
    )
    .option("--config <file>", "the choices", "bulkhead.toml")
    .option("--table <name...>", "only these tables")
    .option("--role <name...>", "only these columns, or database roles")
    .option("--read-only", "write nothing: SELECT alone, on rows and members that exist")
    .option("--markdown", "print a Markdown table")
    .addHelpText(
      "after",
      "\nNo row, no ledger event and no queued request stays. Two things cannot be rolled back: numbers that your" +
        "\ntriggers take from sequences (and the ledger's own), and what a trigger does outside the database. Your" +
        "\ntriggers run. No lock is waited for longer than 500 ms, no table takes longer than 15 s; TRUNCATE is read" +
        "\nfrom the grants, not tried." +
        "\nExits 0 when every cell is closed, 1 when another tenant's rows are open, 3 when a cell is not known.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const given = await readConfig(options.config);
  const sql = await openDatabase(options.databaseEnv);
  try {
    const { world, guessed } = await readWorld(sql, given);
    if (world.facts.standby && !options.readOnly) {
      throw new BulkheadError("BH_MATRIX_STANDBY", "Cannot write on this server: it is a standby", {
        kind: "usage",
        hint: "name the primary, or measure SELECT alone with --read-only",
      });
    }
    const chosen = {
      ...(options.table ? { only: onlyTables(world, options.table) } : {}),
      ...(options.role ? { actors: onlyActors(world, options.role) } : {}),
      onTable: progress,
    };
    const { actors, results } = options.readOnly
      ? await readMatrix(sql, world, chosen)
      : await measureMatrix(sql, world, { ...chosen, clone: true });
    progress(0, 0);
    const report = createReport(world, actors, results, options.readOnly ? "read-only" : "seeded");
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else if (options.markdown) process.stdout.write(renderMatrixMarkdown(report));
    else process.stdout.write(renderMatrix(report, terminal()));
    if (guessed) {
      const { membership } = world;
      process.stderr.write(
        `Guessed: tenants in ${world.classes.tenants.id} by ${world.classes.config.tenants.column}, members ${
          membership ? `in ${membership.table.id}` : "by app_metadata"
        }. Say it in ${options.config}: bulkhead adopt --write-config\n`,
      );
    }
    process.exitCode = EXITS[report.verdict];
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** One line that is written over, where somebody looks. */
function progress(done: number, total: number): void {
  if (process.stderr.isTTY !== true) return;
  process.stderr.write(total === 0 ? "\r\u001b[K" : `\r\u001b[Ktable ${done + 1} of ${total}`);
}

function onlyActors(world: World, names: readonly string[]): (actor: Actor) => boolean {
  const actors = planActors(world);
  const is = (actor: Actor, name: string) => actor.name === name || actor.role === name;
  for (const name of names) {
    if (actors.some((actor) => is(actor, name))) continue;
    throw new BulkheadError("BH_MATRIX_ROLE", `Cannot act as "${name}": nobody is called so here`, {
      kind: "usage",
      hint: `choose from ${actors.map((actor) => actor.name).join(", ")}`,
    });
  }
  return (actor) => names.some((name) => is(actor, name));
}

/** Colour only where somebody looks at it; https://no-color.org. */
function terminal(): { colour: boolean; width: number } {
  const colour = process.stdout.isTTY === true && !process.env["NO_COLOR"] &&
    process.env["TERM"] !== "dumb";
  return { colour, width: process.stdout.isTTY ? Math.max(80, process.stdout.columns ?? 80) : 80 };
}

if (isMain(import.meta.url)) await runCli(command());
