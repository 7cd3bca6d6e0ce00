import process from "node:process";
import { Command } from "commander";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { refusal } from "../hardening/refusal.ts";

/**
 * `bulkhead unmute <fingerprint>`: take a mute back.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/alert/unmute.ts 4c1d…
 */
export function command(): Command {
  return commonOptions(new Command("unmute"))
    .description("Take a mute back: what is still there speaks at the next run.")
    .argument("<fingerprint>", "of the incident, or how it begins; see bulkhead incidents")
    .action(run);
}

async function run(fingerprint: string, options: CommonOptions): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const [row] = await sql<{ done: boolean }[]>`select bulkhead.unmute(${fingerprint}) as done`;
    if (row?.done !== true) {
      throw new BulkheadError("BH_MUTE", `Cannot unmute "${fingerprint}": it is not muted`, {
        kind: "usage",
        hint: "bulkhead incidents shows what is",
      });
    }
    process.stdout.write(
      options.json ? `${JSON.stringify({ fingerprint, muted: false })}\n` : "muted no more\n",
    );
  } catch (error) {
    throw refusal(error, "BH_MUTE");
  } finally {
    await sql.end({ timeout: 5 });
  }
}

if (isMain(import.meta.url)) await runCli(command());
