import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { refusal } from "./refusal.ts";

/**
 * `bulkhead attest <note>`: accept the present state of policies, keys, triggers and surroundings as declared. Holes
 * stay red.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/hardening/attest.ts "agents read each other's messages since release 42"
 */
export function command(): Command {
  return commonOptions(new Command("attest"))
    .description("Accept the present state as the declared one, with a note in the audit trail.")
    .argument("<note>", "what was changed on purpose, and why")
    .action(run);
}

async function run(note: string, options: CommonOptions): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const [row] = await sql`select bulkhead.attest(${note}) as tables`;
    const { tables } = z.object({ tables: z.int() }).parse(row);
    if (options.json) process.stdout.write(`${JSON.stringify({ note, tables })}\n`);
    else process.stdout.write(`attested: ${tables} tables were other than declared\n`);
  } catch (error) {
    throw refusal(error, "BH_ATTEST");
  } finally {
    await sql.end({ timeout: 5 });
  }
}

if (isMain(import.meta.url)) await runCli(command());
