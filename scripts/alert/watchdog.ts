import { readFileSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { readStatus } from "../../functions/_core/adapters/status-source.ts";
import type { NoticeAlert } from "../../functions/_core/alert/payload.ts";
import { renderAlert } from "../../functions/_core/alert/render.ts";
import { postToSlack } from "../../functions/_core/alert/slack.ts";
import { decide, type Decision, type Memory, memory } from "../../functions/_core/alert/memory.ts";
import { judge, type Judgement } from "../../functions/_core/alert/watch.ts";
import { readEnv } from "../../functions/_core/env.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { publicStatus } from "../../functions/_core/status/contract.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";

type Options = CommonOptions & {
  url?: string;
  slackEnv: string;
  maxAge: string;
  state?: string;
  repeat: string;
  slack: boolean;
};

const webhookUrl = z.url({
  protocol: /^https?$/,
  error: "set it to the URL of an incoming webhook, or use --no-slack",
});

/** The part of a status that counts here. */
type Answer = { verdict: "green" | "red" | "unknown"; checked_at: string; stale?: string[] };

/** The part of `bulkhead.watch()` that counts here. */
const watched = z.object({ is_fresh: z.boolean(), problems: z.array(z.string()) });

/**
 * `bulkhead watchdog`: ask from outside whether the database still reports, freshly and green; tell Slack when not.
 *
 * @example
 * node --import tsx scripts/alert/watchdog.ts --url https://project.supabase.co/functions/v1/status/status.json
 */
export function command(): Command {
  return commonOptions(new Command("watchdog"))
    .description(
      "Ask from outside whether the database still reports, freshly and green; post to Slack when it does not.",
    )
    .option("--url <url>", "ask this /status.json instead of the database")
    .option("--max-age <minutes>", "older answers count as silence", "15")
    .option("--slack-env <name>", "variable that holds the webhook's URL", "SLACK_WEBHOOK_URL")
    .option("--state <file>", "remember what was said, so that it is said once")
    .option("--repeat <hours>", "with --state: say it again after this long", "4")
    .option("--no-slack", "only print and exit")
    .addHelpText(
      "after",
      "\nExits 0 when green, 1 on red, 3 on unknown or stale, 4 when nobody answers.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const minutes = positive("--max-age", options.maxAge, "give minutes: --max-age 15");
  const repeatHours = positive("--repeat", options.repeat, "give hours: --repeat 4");
  // Read before anything is asked: a watchdog that finds out at night that it can't bark is none.
  const webhook = options.slack
    ? readEnv(process.env, z.object({ [options.slackEnv]: webhookUrl }))[
      options.slackEnv
    ]
    : undefined;
  const judgement = await look(options, minutes);
  if (webhook !== undefined) {
    const { say, next } = decide(recall(options.state), judgement, {
      now: new Date(),
      repeatHours,
    });
    if (say !== undefined) await bark(webhook, judgement, { say, since: next.since, options });
    // Only after Slack took it: what nobody heard is said again.
    remember(options.state, next);
  }
  process.stdout.write(
    options.json ? `${JSON.stringify(judgement)}\n` : `${judgement.verdict}: ${judgement.detail}\n`,
  );
  process.exitCode = EXIT_OF[judgement.verdict];
}

const EXIT_OF = {
  green: EXIT.ok,
  red: EXIT.red,
  unknown: EXIT.unknown,
  silent: EXIT.unavailable,
} as const;

async function look(options: Options, minutes: number): Promise<Judgement> {
  try {
    const answer = options.url === undefined
      ? await askDatabase(options)
      : await askUrl(options.url);
    return judge(answer, { now: new Date(), maxAgeMinutes: minutes });
  } catch (error) {
    // Misuse is for whoever called; silence is for Slack.
    if (error instanceof BulkheadError && error.kind === "usage") throw error;
    return { verdict: "silent", detail: error instanceof Error ? error.message : "no answer" };
  }
}

function positive(name: string, text: string, hint: string): number {
  const number = Number(text);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new BulkheadError("BH_USAGE", `Cannot read ${name} "${text}": no number above 0`, {
    kind: "usage",
    hint,
  });
}

/** Nothing, when there is no file yet or it is damaged: then it is said once more. */
function recall(file: string | undefined): Memory | undefined {
  if (file === undefined) return undefined;
  try {
    return memory.safeParse(JSON.parse(readFileSync(file, "utf8"))).data;
  } catch {
    return undefined;
  }
}

function remember(file: string | undefined, next: Memory): void {
  if (file === undefined) return;
  try {
    // Whole or not at all, whenever the runner is stopped.
    writeFileSync(`${file}.new`, `${JSON.stringify(next)}\n`);
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw new BulkheadError("BH_WATCHDOG", `Cannot remember in "${file}": it can't be written`, {
      kind: "usage",
      hint: "name a file in a folder that exists, or leave --state out",
      cause,
    });
  }
}

async function askDatabase(options: Options): Promise<Answer> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const { verdict, checked_at } = await readStatus(sql);
    const [row] = await sql`select bulkhead.watch() as watch`;
    const { is_fresh, problems } = watched.parse(row?.["watch"]);
    return { verdict, checked_at, ...(is_fresh ? {} : { stale: problems }) };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function askUrl(url: string): Promise<Answer> {
  const where = URL.canParse(url) ? new URL(url).host : url;
  const refuse = (state: string, cause?: unknown) =>
    new BulkheadError("BH_WATCHDOG", `Cannot ask "${where}": ${state}`, {
      kind: "unavailable",
      hint: "check that functions/status is deployed and that the URL ends in /status.json",
      cause,
    });
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new BulkheadError("BH_USAGE", `Cannot read --url "${where}": no http(s) URL`, {
      kind: "usage",
      hint: "give https://<project>/functions/v1/status/status.json",
    });
  }
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(30_000), cache: "no-store" });
  } catch (cause) {
    throw refuse("no answer", cause);
  }
  if (!response.ok) throw refuse(`HTTP ${response.status}`);
  const parsed = publicStatus.pick({ verdict: true, checked_at: true })
    .safeParse(await response.json().catch(() => null));
  if (!parsed.success) throw refuse("the answer is no status");
  return parsed.data;
}

async function bark(
  webhook: string,
  judgement: Judgement,
  news: { say: NonNullable<Decision["say"]>; since: string; options: Options },
): Promise<void> {
  const { say, since, options } = news;
  const isOver = say === "over";
  const state = judgement.verdict === "red" ? "status is red" : judgement.verdict;
  const alert: NoticeAlert = {
    kind: "notice",
    severity: isOver ? "info" : "critical",
    sequence: 1,
    payload: {
      title: isOver
        ? "Watchdog: green again"
        : `Watchdog: ${say === "still" ? "still " : ""}${state}`,
      detail: judgement.detail,
      facts: isOver ? {} : { Since: since.slice(0, 16).replace("T", " ") + " UTC" },
      actions: isOver ? [] : [
        "Open the status page, or run bulkhead status.",
        "Check that the database is up and that pg_cron runs: select * from bulkhead.timetable.",
      ],
      runbook: "docs/runbooks/watchdog.md",
    },
  };
  const project = options.url === undefined ? `$${options.databaseEnv}` : new URL(options.url).host;
  const outcome = await postToSlack(webhook, renderAlert(alert, { project }), { fetch });
  if (outcome.outcome === "sent") return;
  throw new BulkheadError(
    "BH_SLACK",
    `Cannot post to Slack: ${outcome.error} (and ${judgement.detail})`,
    { kind: "unavailable", hint: `check the webhook in ${options.slackEnv}` },
  );
}

if (isMain(import.meta.url)) await runCli(command());
