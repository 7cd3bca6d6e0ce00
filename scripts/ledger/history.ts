import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { ledgerEvent } from "../../functions/_core/ledger/event-line.ts";
import { openDatabase } from "../cli/database.ts";
import { isMain, runCli } from "../cli/run.ts";
import { resolveTable } from "./events.ts";
import { printEvents } from "./print.ts";

type Options = { databaseEnv: string; json?: boolean; wide?: boolean };

/** `bulkhead history <table> <id…>`: who changed this row. */
export function command(): Command {
  return new Command("history")
    .description(
      "Every change of one row, oldest first: when, in which transaction, by whom, what.",
    )
    .argument("<table>", "such as messages, or public.messages")
    .argument("<id...>", "its key; one value for each column")
    .option("--wide", "whole lines, not cut to the terminal")
    .option(
      "--database-env <name>",
      "environment variable that holds the connection string",
      "DATABASE_URL",
    )
    .option("--json", "print one JSON document a line")
    .action(run);
}

async function run(table: string, id: string[], options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const { name, ledgerName } = await resolveTable(sql, table);
    const rows = await sql`
      select h.event_id::text as id, to_char(h.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
        h.transaction_id::text as transaction, h.tenant_id as tenant, h.actor, h.actor_role as role, h.operation,
        ${ledgerName}::text as table, h.record_id as record, h.before::text as before, h.after::text as after, h.request_id as request,
        host(h.ip_address) as address, h.metadata::text as metadata
      from bulkhead.history(${name}::text::regclass, variadic ${id}::text[]) as h`;
    const events = z.array(ledgerEvent).parse([...rows]);
    printEvents(events, { ...options, tenant: "" });
    if (events.length === 0) process.stderr.write(`The ledger knows no such row of ${name}\n`);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

if (isMain(import.meta.url)) await runCli(command());
