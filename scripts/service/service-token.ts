import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { readEnv } from "../../functions/_core/env.ts";
import { mintServiceToken, SERVICE_ROLE } from "../../functions/_core/service/service-token.ts";
import { isMain, runCli } from "../cli/run.ts";

type Options = { secretEnv: string; minutes: string; json?: boolean };

/**
 * `bulkhead service-token`: a JWT by which a back end arrives as `bulkhead_service` instead of `service_role`. The token
 * is the result and goes to stdout alone; the secret comes from the environment.
 *
 * @example
 * SUPABASE_JWT_SECRET=… node --import tsx scripts/service/service-token.ts --minutes 15
 */
export function command(): Command {
  return new Command("service-token")
    .description(
      "Mint a short-lived JWT for the role bulkhead_service, which the policies hold.\n" +
        "Keep what it prints out of logs and shell history.",
    )
    .option(
      "--secret-env <name>",
      "variable that holds the project's JWT secret",
      "SUPABASE_JWT_SECRET",
    )
    .option("--minutes <count>", "how long it is good for, at most a day", "60")
    .option("--json", "print one JSON document on stdout")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const env = readEnv(
    process.env,
    z.object({ [options.secretEnv]: z.string("set it to the project's JWT secret") }),
  );
  const now = new Date();
  const minutes = Number(options.minutes);
  const token = await mintServiceToken(env[options.secretEnv] ?? "", { now, minutes });
  const expires = new Date(Math.floor(now.getTime() / 1000 + minutes * 60) * 1000).toISOString();
  process.stdout.write(
    options.json ? `${JSON.stringify({ role: SERVICE_ROLE, expires, token })}\n` : `${token}\n`,
  );
  if (!options.json) process.stderr.write(`good until ${expires}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
