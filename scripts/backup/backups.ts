import process from "node:process";
import { Command } from "commander";
import { listBackups, newestBackup, noBackup } from "../../functions/_core/backup/manifest.ts";
import { checkBackupId } from "../../functions/_core/backup/names.ts";
import { tenantsIn } from "../../functions/_core/backup/parts.ts";
import { verifyBackup } from "../../functions/_core/backup/restore-backup.ts";
import { counted } from "../../functions/_core/counted.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { isMain, runCli } from "../cli/run.ts";
import { openBackups } from "./environment.ts";
import { ago, bytes, printable, reportObject } from "./progress.ts";
import { type LastRead, lastVerified, openRecord, recordVerification } from "./record.ts";

type Options = { json?: boolean };
type Recorded = Options & { recordEnv?: string };

/** `bulkhead backups`: what is in the store. */
export function command(): Command {
  const backups = new Command("backups").description(
    "List, show and verify the backups of a store.\nReads BULKHEAD_STORE, BULKHEAD_S3_READER_*, BULKHEAD_KEK.",
  );
  const json = ["--json", "print one JSON document on stdout"] as const;
  backups.command("list").description("List every backup, newest first, and how old it is")
    .option(...json)
    .option(
      "--record-env <name>",
      "variable with the connection string of the database that keeps the record: says when each was verified",
    )
    .action(list);
  backups.command("show").description("Show the tenants of one backup; the newest unless named")
    .argument("[id]").option(...json).action(show);
  backups.command("verify").description("Read and authenticate every byte of one backup")
    .argument("[id]").option(...json)
    .option(
      "--record-env <name>",
      "variable with the connection string of the database that keeps the record, for backup_verified",
    )
    .action(verify);
  return backups;
}

async function list(options: Recorded): Promise<void> {
  const { recordEnv } = options;
  const { store, keyring, database } = await openBackups("reader", recordEnv ? [recordEnv] : []);
  await using record = recordEnv ? await openRecord(database(recordEnv)) : null;
  const { valid, invalid } = await listBackups({ store, keyring });
  const verified = record && await lastVerified(record.sql);
  const now = Date.now();
  const found = valid.map(({ manifest }) => ({
    backup: manifest.id,
    source: manifest.source,
    startedAt: manifest.startedAt,
    ageSeconds: Math.round((now - Date.parse(manifest.startedAt)) / 1000),
    // Null: never read back, as far as the record goes. Absent: nobody looked.
    ...(verified ? { verified: verified.get(manifest.id) ?? null } : {}),
    tenants: tenantsIn(manifest),
    rows: manifest.rows,
    bytes: manifest.objects.reduce((sum, object) => sum + object.size, 0),
  }));
  const broken = invalid.map(({ stored, error }) => ({ key: stored.key, error: error.message }));
  if (options.json) print({ store: store.describe(), backups: found, broken });
  else {
    for (const each of found) {
      console.log(
        `${each.backup}  ${ago(each.ageSeconds)}  ${each.source}  ` +
          `${counted(each.tenants, "tenant")}  ${counted(each.rows, "row")}  ${bytes(each.bytes)}` +
          (verified ? `  ${verifiedOn(verified.get(each.backup))}` : ""),
      );
    }
    for (const each of broken) console.error(`Broken: ${each.error}`);
    console.error(`${counted(found.length, "backup")} in ${store.describe()}`);
  }
  const [first] = invalid;
  if (first) {
    const { code, hint } = first.error;
    throw new BulkheadError(
      code,
      `Cannot read ${counted(broken.length, "manifest")} in ${store.describe()}: ${
        broken.map(({ key }) => key).join(", ")
      }`,
      { kind: "integrity", hint, cause: first.error },
    );
  }
  if (found.length === 0) throw noBackup(store);
}

function verifiedOn(last: LastRead | undefined): string {
  if (!last) return "never verified";
  return `${last.isWhole ? "verified" : "NOT WHOLE"} ${last.at.slice(0, 10)}`;
}

async function show(id: string | undefined, options: Options): Promise<void> {
  const named = id === undefined ? {} : { id: checkBackupId(id) };
  const { store, keyring } = await openBackups("reader");
  const { manifest, sha256 } = await newestBackup({ store, keyring, ...named });
  if (options.json) return print({ ...manifest, sha256 });
  console.log(
    `${manifest.id}  ${manifest.source}  ${manifest.startedAt}  ${counted(manifest.rows, "row")}`,
  );
  for (const object of manifest.objects) {
    const from = object.backup === manifest.id ? "" : `  unchanged since ${object.backup}`;
    const part = object.part === 1 ? "" : `  part ${object.part}`;
    console.log(
      `  ${printable(object.tenant)}${part}  ${counted(object.rows, "row")}  ${
        bytes(object.size)
      }${from}`,
    );
  }
}

async function verify(
  id: string | undefined,
  options: Recorded,
): Promise<void> {
  const named = id === undefined ? {} : { id: checkBackupId(id) };
  const { recordEnv } = options;
  const { store, keyring, database } = await openBackups("reader", recordEnv ? [recordEnv] : []);
  await using record = recordEnv ? await openRecord(database(recordEnv)) : null;
  const { manifest } = await newestBackup({ store, keyring, ...named });
  const note = async (objects: number, error: string | null) => {
    const made = { backup: manifest.id, at: manifest.startedAt, objects, error };
    if (record) await recordVerification(record.sql, made);
  };
  const read = { store, keyring, manifest, onProgress: reportObject };
  const found = await verifyBackup(read).catch(async (error) => {
    // A store that does not answer says nothing about the backup.
    const isDamage = error instanceof BulkheadError && error.kind === "integrity";
    if (isDamage) await note(0, error.message);
    throw error;
  });
  await note(found.objects, null);
  if (options.json) return print({ backup: manifest.id, ...found });
  console.log(
    `Backup ${manifest.id} is whole: ${counted(found.objects, "object")}, ` +
      `${counted(found.rows, "row")}, every byte read`,
  );
  for (const tenant of found.shredded) {
    console.log(`Not read: ${printable(tenant)}, its keys were shredded`);
  }
}

function print(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
