import process from "node:process";
import { Command } from "commander";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";

type Options = CommonOptions & { all?: boolean };

/** One incident as `--json` prints it; times are RFC 3339. */
type Incident = {
  incident: number;
  fingerprint: string;
  name: string;
  subject: string;
  title: string;
  severity: string;
  status: string;
  state: string;
  opened_at: string;
  resolved_at: string | null;
  breaches: number;
  relapses: number;
  observed: number | null;
  threshold: number | null;
  muted_until: string | null;
  muted_by: string | null;
  mute_reason: string | null;
  acknowledged_by: string | null;
};

/**
 * `bulkhead incidents`: what is open, since when, who looks after it and what is muted.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/alert/incidents.ts --all
 */
export function command(): Command {
  return commonOptions(new Command("incidents"))
    .description("List open incidents: since when, who looks after them, what is muted.")
    .option("--all", "those of the last 30 days too")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const [row] = await sql<{ incidents: Incident[] }[]>`
      select coalesce(json_agg(to_json(found) order by found.state, found.severity, found.incident desc), '[]') as incidents
      from (
        select i.id as incident, i.fingerprint, i.name, coalesce(i.subject, 'database') as subject, i.title,
          i.severity, i.status, i.state, i.opened_at, i.resolved_at, i.breaches, i.relapses, i.observed, i.threshold,
          m.until as muted_until, m.muted_by, m.reason as mute_reason, i.acknowledged_by
        from bulkhead.incidents as i
        left join bulkhead.mutes as m on m.fingerprint = i.fingerprint
          and bulkhead.is_muted(i.fingerprint, i.name, i.category, i.severity)
        where i.state = 'open' or ${
      options.all === true
    } and i.resolved_at > now() - interval '30 days'
      ) as found`;
    const found = row?.incidents ?? [];
    if (options.json) process.stdout.write(`${JSON.stringify({ incidents: found })}\n`);
    else if (found.length === 0) process.stdout.write("no incident is open\n");
    else process.stdout.write(found.map(lines).join(""));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function lines(incident: Incident): string {
  const notes = [
    `since ${minute(incident.opened_at)}`,
    incident.resolved_at === null ? "" : `resolved ${minute(incident.resolved_at)}`,
    incident.relapses === 0 ? "" : `came back ${incident.relapses}x`,
    incident.acknowledged_by === null ? "" : `${incident.acknowledged_by} is on it`,
    incident.muted_until === null ? "" : `muted until ${minute(incident.muted_until)}`,
  ].filter((note) => note !== "");
  const state = incident.state === "resolved"
    ? "resolved"
    : incident.status === "unknown"
    ? "unknown"
    : incident.severity;
  return `${incident.fingerprint.slice(0, 12)}  ${state.padEnd(8)}  ${
    cut(`${incident.name} ${incident.subject}`, 54)
  }\n${" ".repeat(14)}${cut(notes.join(", "), 64)}\n`;
}

const minute = (time: string): string =>
  `${new Date(time).toISOString().slice(0, 16).replace("T", " ")}Z`;

/** A subject may hold anything: one line, no control characters. */
function cut(text: string, max: number): string {
  const clean = text.replaceAll(/[^\P{C}]/gu, " ");
  return clean.length <= max ? clean : `${clean.slice(0, max - 1)}…`;
}

if (isMain(import.meta.url)) await runCli(command());
