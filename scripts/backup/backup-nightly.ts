import process from "node:process";
import { setDefaultHighWaterMark } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { Command, InvalidArgumentError } from "commander";
import { nodeSealTools } from "../../functions/_core/adapters/node-seal-tools.ts";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { openSource } from "../../functions/_core/adapters/postgres-export.ts";
import { openRunLedger } from "../../functions/_core/adapters/postgres-runs.ts";
import { tenantsIn } from "../../functions/_core/backup/parts.ts";
import { openKeyring } from "../../functions/_core/keys/keyring.ts";
import {
  type BackupResult,
  recordFailure,
  runBackup,
} from "../../functions/_core/backup/run-backup.ts";
import { counted } from "../../functions/_core/counted.ts";
import { packageVersion } from "../cli/package.ts";
import { type CommonOptions, commonOptions, isMain, onInterrupt, runCli } from "../cli/run.ts";
import { backupEnvironment } from "./environment.ts";
import { bytes, progressOf } from "./progress.ts";

type Options = CommonOptions & { concurrency: number; full?: boolean; scheduled?: boolean };

/** `bulkhead backup`: every tenant under its own key into the store, in one snapshot. */
export function command(): Command {
  return commonOptions(
    new Command("backup").description(
      "Back up every tenant under its own key, in one snapshot; the manifest is written last.\n" +
        "Reads DATABASE_URL, BULKHEAD_STORE, BULKHEAD_S3_*, BULKHEAD_KEK. " +
        "Progress on stderr: a bar on a terminal, JSON lines otherwise and with --json.",
    ),
  )
    .option("--concurrency <n>", "tenants at a time", wholeNumber, 2)
    .option(
      "--scheduled",
      "do nothing unless bulkhead.configure_backups('runner') gave the nightly backup to a runner",
    )
    .option("--full", "copy every tenant, also those without an event since their last object")
    .action(backup);
}

async function backup(options: Options): Promise<void> {
  // Node's own default from version 22 on. With 16 KiB the socket of a COPY is stopped, and its rows copied, once more.
  setDefaultHighWaterMark(false, 65_536);
  // Nearly all that a backup allocates is garbage soon. A young generation that grows to 32 MB saves it no time, and
  // took a third of its memory. V8 reads this whenever it would grow; one without it says so on stderr and goes on.
  setFlagsFromString("--semi-space-growth-factor=1");
  const { store, kek, database } = await backupEnvironment("writer", [options.databaseEnv]);
  const url = database(options.databaseEnv);

  if (options.scheduled) {
    const maker = await makerOf(url);
    if (maker !== "runner") return standDown(maker, options);
  }
  const interrupted = new AbortController();
  const sql = connect(url, { max: 1, applicationName: "bulkhead backup runs" });
  const progress = await progressOf(options.json === true);
  let ended: Promise<unknown> = Promise.resolve();
  const done = onInterrupt(async () => {
    interrupted.abort(new Error("interrupted (Ctrl-C)"));
    await ended.catch(() => {});
  });
  try {
    const work = run();
    ended = work;
    const result = await work;
    progress.stop();
    print(result, options);
  } finally {
    done();
    progress.stop();
    await sql.end({ timeout: 1 });
  }

  async function run(): Promise<BackupResult> {
    const ledger = openRunLedger(sql);
    // The database answers while the keyring is read.
    const opening = openSource(url, { shared: true });
    opening.catch(() => {});
    try {
      const keyring = await openKeyring({ store, kek }).catch(async (error) => {
        await recordFailure(ledger, error, new Date());
        throw error;
      });
      return await runBackup({
        source: await opening,
        ledger,
        store,
        keyring,
        tool: `bulkhead ${packageVersion()}`,
        sealTools: nodeSealTools,
        concurrency: options.concurrency,
        full: options.full === true,
        signal: interrupted.signal,
        onProgress: progress.report,
      });
    } finally {
      await opening.then((source) => source.close(), () => {});
    }
  }
}

/** Who is to make the nightly backup. */
async function makerOf(url: string): Promise<string> {
  const sql = connect(url, { max: 1, applicationName: "bulkhead backup" });
  try {
    const [row] = await sql<{ maker: string }[]>`
      select s.backup_by as maker from bulkhead.settings as s`;
    return row?.maker ?? "none";
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function standDown(maker: string, options: Options): void {
  if (options.json) process.stdout.write(`${JSON.stringify({ backup: null, maker }, null, 2)}\n`);
  else console.log(`Nothing to do: the nightly backup is made by "${maker}"`);
  console.error("To have the runner make it: select bulkhead.configure_backups('runner')");
}

function print({ manifest, stored, referenced, unrecorded }: BackupResult, options: Options): void {
  const size = manifest.objects.reduce((sum, object) => sum + object.size, 0);
  const result = {
    backup: manifest.id,
    manifest: stored.stored.key,
    sha256: stored.sha256,
    tenants: tenantsIn(manifest),
    referenced,
    unrecorded,
    objects: manifest.objects.length,
    rows: manifest.rows,
    bytes: size,
    seconds: (Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt)) / 1000,
  };
  if (options.json) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  console.log(
    `Backup ${result.backup} is complete: ${counted(result.rows, "row")} of ` +
      `${counted(result.tenants, "tenant")} in ${counted(result.objects, "object")}, ` +
      `${bytes(size)}, ${result.seconds} s`,
  );
  if (referenced > 0) {
    console.log(
      `Unchanged: ${counted(referenced, "tenant")}, for which earlier objects stand`,
    );
  }
  if (unrecorded.length > 0) {
    console.log(
      `Changed without an event in the ledger, and copied: ${
        unrecorded.map((tenant) => JSON.stringify(tenant)).join(", ")
      }`,
    );
  }
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1 to 99.");
}

if (isMain(import.meta.url)) await runCli(command());
