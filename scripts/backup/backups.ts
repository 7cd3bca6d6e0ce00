import process from "node:process";
import { Command } from "commander";
import { listBackups, newestBackup } from "../../functions/_core/backup/manifest.ts";
import { verifyBackup } from "../../functions/_core/backup/restore-backup.ts";
import { EXIT } from "../../functions/_core/errors.ts";
import { isMain, runCli } from "../cli/run.ts";
import { openBackups } from "./environment.ts";
import { bytes } from "./progress.ts";

type Options = { json?: boolean };

/** `bulkhead backups`: what is in the store. */
export function command(): Command {
  const backups = new Command("backups").description(
    "List, show and verify the backups of a store.\nReads BULKHEAD_STORE, BULKHEAD_S3_*, BULKHEAD_KEK.",
  );
  const json = ["--json", "print one JSON document on stdout"] as const;
  backups.command("list").description("every backup, newest first").option(...json).action(list);
  backups.command("show").description("the tenants of one backup; the newest unless named")
    .argument("[id]").option(...json).action(show);
  backups.command("verify").description("read and authenticate every byte of one backup")
    .argument("[id]").option(...json).action(verify);
  return backups;
}

async function list(options: Options): Promise<void> {
  const { store, kek } = await openBackups();
  const { valid, invalid } = await listBackups({ store, kek });
  const found = valid.map(({ manifest }) => ({
    backup: manifest.id,
    source: manifest.source,
    startedAt: manifest.startedAt,
    tenants: manifest.objects.filter((object) => object.kind === "tenant").length,
    rows: manifest.rows,
    bytes: manifest.objects.reduce((sum, object) => sum + object.size, 0),
  }));
  const broken = invalid.map(({ stored, error }) => ({ key: stored.key, error: error.message }));
  if (options.json) print({ store: store.describe(), backups: found, broken });
  else {
    for (const each of found) {
      console.log(
        `${each.backup}  ${each.source}  ${each.tenants} tenants  ${each.rows} rows  ${
          bytes(each.bytes)
        }`,
      );
    }
    for (const each of broken) console.error(`Broken: ${each.error}`);
    console.error(`${found.length} backups in ${store.describe()}`);
  }
  if (broken.length > 0 || found.length === 0) process.exitCode = EXIT.red;
}

async function show(id: string | undefined, options: Options): Promise<void> {
  const { store, kek } = await openBackups();
  const { manifest, sha256 } = await newestBackup({ store, kek, ...(id ? { id } : {}) });
  if (options.json) return print({ ...manifest, sha256 });
  console.log(`${manifest.id}  ${manifest.source}  ${manifest.startedAt}  ${manifest.rows} rows`);
  for (const object of manifest.objects) {
    const from = object.backup === manifest.id ? "" : `  unchanged since ${object.backup}`;
    console.log(`  ${object.tenant}  ${object.rows} rows  ${bytes(object.size)}${from}`);
  }
}

async function verify(id: string | undefined, options: Options): Promise<void> {
  const { store, kek, keyring } = await openBackups();
  const { manifest } = await newestBackup({ store, kek, ...(id ? { id } : {}) });
  const found = await verifyBackup({ store, keyring, manifest });
  if (options.json) return print({ backup: manifest.id, ...found });
  console.log(
    `Backup ${manifest.id} is whole: ${found.objects} objects, ${found.rows} rows, every byte read`,
  );
}

function print(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
