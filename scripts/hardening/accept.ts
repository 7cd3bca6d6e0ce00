import process from "node:process";
import { Command } from "commander";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { refusal } from "./refusal.ts";

type Options = CommonOptions & { reason?: string; until?: string; revoke?: boolean };

/**
 * `bulkhead accept <fingerprint>`: answer for one finding until a date. Holes in the boundary, the guard, the schedule
 * and the audit trail are refused.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/hardening/accept.ts 4c1d… --reason "moves in May" --until 2027-06-01
 */
export function command(): Command {
  return commonOptions(new Command("accept"))
    .description("Silence one finding until a date, with a reason in the audit trail.")
    .argument("<fingerprint>", "of the finding, see bulkhead status --json")
    .option("--reason <text>", "why, for whoever reads the audit trail")
    .option("--until <date>", "YYYY-MM-DD, at most a year from now")
    .option("--revoke", "take the acceptance back")
    .action(run);
}

async function run(fingerprint: string, options: Options): Promise<void> {
  const until = options.revoke ? null : parseDate(options.until);
  if (!options.revoke && (options.reason ?? "").trim() === "") {
    throw usage("Cannot accept a finding: --reason is missing", 'add --reason "why it may stay"');
  }
  const sql = await openDatabase(options.databaseEnv);
  try {
    const result = until === null
      ? await sql`select bulkhead.unaccept(${fingerprint}) as done`
      : await sql`select bulkhead.accept(${fingerprint}, ${
        options.reason ?? ""
      }, ${until}::timestamptz)`;
    const isRevoked = until === null && result[0]?.["done"] === true;
    if (until === null && !isRevoked) {
      throw usage(
        `Cannot revoke "${fingerprint}": nobody accepted it`,
        "select * from bulkhead.accepted_findings",
      );
    }
    const answer = { fingerprint, accepted: until !== null, until };
    if (options.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else {
      process.stdout.write(
        until ? `accepted until ${until}\n` : "revoked: it is a finding again\n",
      );
    }
  } catch (error) {
    throw refusal(error, "BH_ACCEPT");
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function parseDate(text: string | undefined): string {
  if (text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text)) {
    const day = new Date(`${text}T00:00:00Z`);
    if (!Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)) return text;
  }
  throw usage(
    `Cannot accept a finding until "${text ?? ""}": that is no day`,
    "add --until YYYY-MM-DD",
  );
}

function usage(message: string, hint: string): BulkheadError {
  return new BulkheadError("BH_ACCEPT", message, { kind: "usage", hint });
}

if (isMain(import.meta.url)) await runCli(command());
