import process from "node:process";
import { Command } from "commander";
import { createKeyring, openKeyring } from "../../functions/_core/backup/keyring.ts";
import { isMain, runCli } from "../cli/run.ts";
import { backupEnvironment } from "./environment.ts";
import { plural } from "./progress.ts";

/** `bulkhead keys`: the keyring that lies beside the backups. */
export function command(): Command {
  const keys = new Command("keys").description(
    "Make and list the tenants' keys; they lie in the store, wrapped by BULKHEAD_KEK.\n" +
      "Reads BULKHEAD_STORE, BULKHEAD_S3_*, BULKHEAD_KEK. No key is ever printed.",
  );
  keys.command("init").description("Make the keyring of a new store")
    .option("--json", "print one JSON document on stdout").action(init);
  keys.command("list").description("List the tenants' keys by id")
    .option("--json", "print one JSON document on stdout").action(list);
  return keys;
}

async function init(options: { json?: boolean }): Promise<void> {
  const { store, kek } = await backupEnvironment();
  await createKeyring({ store, kek });
  const where = store.describe();
  if (options.json) return print({ store: where, kekId: kek.id });
  console.log(`Made a keyring in ${where}, wrapped by key-encryption key ${kek.id}`);
  console.error("Keep BULKHEAD_KEK somewhere else too: without it no backup can be read");
}

async function list(options: { json?: boolean }): Promise<void> {
  const { store, kek } = await backupEnvironment();
  const entries = (await openKeyring({ store, kek })).list();
  if (options.json) return print({ store: store.describe(), kekId: kek.id, keys: entries });
  for (const { tenant, id, createdAt, isCurrent } of entries) {
    console.log(`${tenant}  ${id}  ${createdAt.toISOString()}  ${isCurrent ? "current" : "old"}`);
  }
  console.error(`${plural(entries.length, "key")}, wrapped by key-encryption key ${kek.id}`);
}

function print(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
