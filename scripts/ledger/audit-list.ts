import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { isInterrupted, onInterrupt } from "../cli/run.ts";
import { eventsAfter, type Filter, newestEvents, resolveTable, resolveTime } from "./events.ts";
import { printEvents } from "./print.ts";

type Options = {
  databaseEnv: string;
  json?: boolean;
  wide?: boolean;
  follow?: boolean;
  limit: number;
  tenant?: string;
  actor?: string;
  table?: string;
  operation?: string;
  record?: string;
  transaction?: string;
  since?: string;
  until?: string;
};

/**
 * Makes a command list the ledger: `bulkhead audit [--follow] [--tenant …] [--since 2h]`.
 *
 * @example
 * const audit = listEvents(new Command("audit"));
 */
export function listEvents(command: Command): Command {
  return command
    .option("--tenant <id>", "events of one tenant")
    .option("--actor <name>", "events of one actor")
    .option("--table <name>", "events of one table, such as messages or public.messages")
    .option(
      "--operation <name>",
      "insert, update, delete, truncate, or an event of the application",
    )
    .option("--record <id>", "events of one row, by its key as the ledger writes it")
    .option("--transaction <number>", "events of one transaction", whole)
    .option("--since <time>", "2h, 30m, 3d ago, or a time such as 2026-11-21T10:00:00Z")
    .option("--until <time>", "the same, for the end")
    .option("--limit <number>", "how many at most, the newest", limit, 50)
    .addOption(
      new Option("--follow", "go on with what is written from now on").conflicts("until"),
    )
    .option("--wide", "whole lines, not cut to the terminal")
    .option(
      "--database-env <name>",
      "environment variable that holds the connection string",
      "DATABASE_URL",
    )
    .option("--json", "print one JSON document a line")
    .action(list);
}

async function list(options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  const done = onInterrupt(() => sql.end({ timeout: 1 }));
  try {
    const filter = await filterOf(sql, options);
    let page = await newestEvents(sql, filter, options.limit);
    printEvents(page.events, options);
    if (page.events.length === 0 && !options.follow) {
      process.stderr.write("The ledger holds no such event\n");
    }
    while (options.follow && !isInterrupted()) {
      await sleep(500);
      page = await eventsAfter(sql, filter, page.snapshot);
      printEvents(page.events, options);
    }
  } finally {
    done();
    await sql.end({ timeout: 1 });
  }
}

async function filterOf(sql: Sql, options: Options): Promise<Filter> {
  const { actor, operation, record, transaction } = options;
  const tenant = options.tenant === undefined
    ? null
    : (await sql`select bulkhead.check_tenant(${options.tenant}) as id`)[0]?.["id"];
  const table = options.table === undefined ? null : await resolveTable(sql, options.table);
  return {
    tenant,
    actor: actor ?? null,
    table: table?.ledgerName ?? null,
    operation: operation ?? null,
    record: record ?? null,
    transaction: transaction ?? null,
    ...await periodOf(sql, options),
  };
}

async function periodOf(sql: Sql, options: Options): Promise<Pick<Filter, "since" | "until">> {
  const at = (text?: string) => text === undefined ? null : resolveTime(sql, text);
  const [since, until] = [await at(options.since), await at(options.until)];
  if (since !== null && until !== null && since >= until) {
    throw new BulkheadError(
      "BH_AUDIT_TIME",
      `Cannot list from "${options.since}" to "${options.until}": the end is before the beginning`,
      { kind: "usage", hint: "give the earlier time to --since, such as --since 2h --until 1h" },
    );
  }
  return { since, until };
}

/**
 * A number on the command line, kept as text: transactions may be larger than JavaScript's.
 *
 * @throws BulkheadError `BH_USAGE` when it is none.
 */
export function whole(text: string): string {
  if (/^#?\d{1,18}$/.test(text)) return text.replace("#", "");
  throw new BulkheadError("BH_USAGE", `Cannot read the transaction "${text}": it is no number`, {
    kind: "usage",
    hint: "npx bulkhead audit shows the number of each transaction after its time",
  });
}

function limit(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= 100_000) return value;
  throw new BulkheadError(
    "BH_USAGE",
    `Cannot print "${text}" events: that is no number from 1 to 100000`,
    {
      kind: "usage",
      hint: "bulkhead audit --limit 50",
    },
  );
}
