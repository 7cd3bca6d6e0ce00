import process from "node:process";
import { Command } from "commander";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { refusal } from "../hardening/refusal.ts";

type Options = CommonOptions & { for?: string; reason?: string };

/**
 * `bulkhead mute <fingerprint>`: no message about one incident until a time; on record in the ledger.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/alert/mute.ts 4c1d… --for 2h --reason "the import is known"
 */
export function command(): Command {
  return commonOptions(new Command("mute"))
    .description("Send no message about one incident until a time; it stays open and red.")
    .argument("<fingerprint>", "of the incident, or how it begins; see bulkhead incidents")
    .option("--for <time>", "30m, 2h or 3d; 7d at most, 24h for a hole in the boundary or trail")
    .option("--reason <text>", "why, for whoever reads the audit trail")
    .action(run);
}

async function run(fingerprint: string, options: Options): Promise<void> {
  const interval = parseTime(options.for);
  const reason = (options.reason ?? "").trim();
  if (reason === "") throw usage("--reason is missing", 'add --reason "why it may be silent"');
  const sql = await openDatabase(options.databaseEnv);
  try {
    const [row] = await sql<{ until: string }[]>`
      select to_char(bulkhead.mute(${fingerprint}, ${interval}::interval, ${reason}) at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS"Z"') as until`;
    const until = row?.until ?? "";
    process.stdout.write(
      options.json ? `${JSON.stringify({ fingerprint, until })}\n` : `silent until ${until}\n`,
    );
  } catch (error) {
    throw refusal(error, "BH_MUTE");
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const UNITS: Record<string, string> = { m: "minutes", h: "hours", d: "days" };

function parseTime(text: string | undefined): string {
  const [, amount, unit] = /^(\d{1,4})([mhd])$/.exec(text ?? "") ?? [];
  if (amount === undefined || unit === undefined) {
    throw usage(
      text === undefined ? "--for is missing" : `"${text}" is no time`,
      "add --for 30m, --for 2h or --for 3d",
    );
  }
  return `${amount} ${UNITS[unit]}`;
}

const usage = (state: string, hint: string): BulkheadError =>
  new BulkheadError("BH_MUTE", `Cannot mute an incident: ${state}`, { kind: "usage", hint });

if (isMain(import.meta.url)) await runCli(command());
