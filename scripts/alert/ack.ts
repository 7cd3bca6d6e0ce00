import process from "node:process";
import { Command } from "commander";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { refusal } from "../hardening/refusal.ts";

type Options = CommonOptions & { note?: string };

/**
 * `bulkhead ack <fingerprint>`: somebody looks after an incident; it is repeated once a day until it gets worse.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/alert/ack.ts 4c1d… --note "restoring from the backup"
 */
export function command(): Command {
  return commonOptions(new Command("ack"))
    .description("Say that somebody looks after an incident: once a day instead of every 4 hours.")
    .argument("<fingerprint>", "of the incident, or how it begins; see bulkhead incidents")
    .option("--note <text>", "for the others")
    .action(run);
}

async function run(fingerprint: string, options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const [row] = await sql<{ incident: string }[]>`
      select bulkhead.acknowledge(${fingerprint}, ${options.note ?? null})::text as incident`;
    const incident = Number(row?.incident);
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ fingerprint, incident, acknowledged: true })}\n`
        : `incident ${incident} is acknowledged\n`,
    );
  } catch (error) {
    throw refusal(error, "BH_ACK");
  } finally {
    await sql.end({ timeout: 5 });
  }
}

if (isMain(import.meta.url)) await runCli(command());
