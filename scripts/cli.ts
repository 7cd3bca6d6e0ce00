import process from "node:process";
import { Command } from "commander";
import { packageVersion } from "./cli/package.ts";
import { isMain, runCli } from "./cli/run.ts";

/** One command: its file is imported only when it is asked for. */
type Entry = { summary: string; load: () => Promise<{ command: () => Command }> };

const COMMANDS: Record<string, Entry> = {
  adopt: {
    summary: "read an existing database and write the migrations that seal it",
    load: () => import("./adopt/adopt.ts"),
  },
  recover: {
    summary: "bring home the rows that adoption could not place",
    load: () => import("./adopt/recover.ts"),
  },
  init: {
    summary: "install Bulkhead into a Supabase project",
    load: () => import("./project/init.ts"),
  },
  upgrade: {
    summary: "bring a project to this version",
    load: () => import("./project/upgrade.ts"),
  },
  doctor: {
    summary: "name what is missing, and the command for each",
    load: () => import("./project/doctor.ts"),
  },
  uninstall: {
    summary: "take Bulkhead out again",
    load: () => import("./project/uninstall.ts"),
  },
  status: {
    summary: "check every rule and write a report",
    load: () => import("./hardening/status-check.ts"),
  },
  lint: {
    summary: "find what can reach across tenants in a code base",
    load: () => import("./lint/lint.ts"),
  },
  readiness: {
    summary: "audit a whole application repository",
    load: () => import("./readiness/readiness.ts"),
  },
  diff: {
    summary: "judge what a change does to the tenant boundary",
    load: () => import("./diff/diff.ts"),
  },
  snapshot: {
    summary: "write the tenant boundary as a file to commit",
    load: () => import("./diff/snapshot.ts"),
  },
  matrix: {
    summary: "try every role, table and verb, and roll it back",
    load: () => import("./hardening/matrix.ts"),
  },
  tests: {
    summary: "write pgTAP tests for your own schema",
    load: () => import("./tests/generate.ts"),
  },
  repair: {
    summary: "put the declared state back",
    load: () => import("./hardening/repair.ts"),
  },
  accept: {
    summary: "answer for one finding until a date",
    load: () => import("./hardening/accept.ts"),
  },
  attest: {
    summary: "accept the present state as declared",
    load: () => import("./hardening/attest.ts"),
  },
  "service-token": {
    summary: "mint a short-lived key that the policies hold",
    load: () => import("./service/service-token.ts"),
  },
  audit: {
    summary: "who changed what: list, follow, export the ledger",
    load: () => import("./ledger/audit.ts"),
  },
  history: {
    summary: "every change of one row",
    load: () => import("./ledger/history.ts"),
  },
  undo: {
    summary: "take back a transaction or a window of time",
    load: () => import("./ledger/undo.ts"),
  },
  evidence: {
    summary: "gather the proof into one folder",
    load: () => import("./hardening/evidence.ts"),
  },
  backup: {
    summary: "back up every tenant under its own key",
    load: () => import("./backup/backup-nightly.ts"),
  },
  backups: { summary: "list the backups in the store", load: () => import("./backup/backups.ts") },
  drill: {
    summary: "restore the newest backup and prove it",
    load: () => import("./backup/restore-drill.ts"),
  },
  restore: { summary: "put a tenant's rows back", load: () => import("./backup/restore.ts") },
  prune: { summary: "apply the retention rule", load: () => import("./backup/prune.ts") },
  keys: { summary: "make and list keys", load: () => import("./backup/keys.ts") },
  verify: {
    summary: "check the ledger, or an export of it, against its seals",
    load: () => import("./ledger/verify.ts"),
  },
  incidents: {
    summary: "what is open, since when, who looks after it",
    load: () => import("./alert/incidents.ts"),
  },
  mute: {
    summary: "no message about one incident until a time",
    load: () => import("./alert/mute.ts"),
  },
  unmute: { summary: "take a mute back", load: () => import("./alert/unmute.ts") },
  ack: {
    summary: "say that somebody looks after an incident",
    load: () => import("./alert/ack.ts"),
  },
  watchdog: {
    summary: "notice from outside when the database falls silent",
    load: () => import("./alert/watchdog.ts"),
  },
};

/**
 * The program `bulkhead`; only the command named in `argv` is loaded, the others are there for the help.
 *
 * @example
 * await runCli(program(process.argv.slice(2)));
 */
export async function program(argv: readonly string[]): Promise<Command> {
  const root = new Command("bulkhead")
    .description(
      "Tenant isolation for Supabase and Postgres: enforced, watched, backed up and proved.",
    )
    .version(packageVersion(), "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    // `audit` has options and so has `audit export`: what stands after a name is for that name.
    .enablePositionalOptions()
    .addHelpText("after", "\nExit codes: docs/exit-codes.md. Error codes: docs/errors.md.");
  const [first, second] = argv;
  const asked = first === "help" ? second : first;
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = name === asked ? (await entry.load()).command().name(name) : new Command(name);
    root.addCommand(command.summary(entry.summary));
  }
  return root;
}

/** Run the program and leave the process. */
export async function main(): Promise<never> {
  if (process.argv.length === 2) process.argv.push("--help");
  return await runCli(program(process.argv.slice(2)));
}

if (isMain(import.meta.url)) await main();
