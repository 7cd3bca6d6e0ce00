import { Command } from "commander";
import process from "node:process";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { reencryptColumn } from "../../functions/_core/adapters/reencrypt.ts";
import { fieldCipher } from "../../functions/_core/keys/field-cipher.ts";
import { createKeyring, type KeyringEntry } from "../../functions/_core/keys/keyring.ts";
import { rotateKek } from "../../functions/_core/keys/rotate-kek.ts";
import { checkShred, shredTenant } from "../../functions/_core/keys/shred.ts";
import { counted } from "../../functions/_core/counted.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { backupEnvironment, kekFrom, openBackups } from "./environment.ts";
import { printable } from "./progress.ts";

type Json = { json?: boolean };

/** `bulkhead keys`: the keyring that lies beside the backups. */
export function command(): Command {
  const keys = new Command("keys").description(
    "Make, rotate and destroy the tenants' keys; they lie in the store, wrapped by BULKHEAD_KEK " +
      "or by the key of a service (BULKHEAD_KMS).\n" +
      "Reads BULKHEAD_STORE, BULKHEAD_S3_*. No key is ever printed.",
  );
  const json = ["--json", "print one JSON document on stdout"] as const;
  keys.command("init").description("Make the keyring of a new store").option(...json).action(init);
  keys.command("list").description("List the keys by id").option(...json).action(list);
  keys.command("rotate-kek")
    .description(
      "Put the keyring under another key-encryption key; run it again if it was interrupted.\n" +
        "The new one is in BULKHEAD_NEW_KEK, or is the service's key that BULKHEAD_NEW_KMS names. " +
        "Then set BULKHEAD_KEK or BULKHEAD_KMS to it everywhere, and destroy the old one.",
    )
    .option("--new-kek-env <name>", "variable that holds the new key", "BULKHEAD_NEW_KEK")
    .option(...json)
    .action(rotate);
  keys.command("rotate-tenant")
    .description(
      "Give a tenant new keys; the old ones stay for what they encrypted.\n" +
        "The next backup copies the tenant whole.",
    )
    .argument("<tenant>")
    .option(...json)
    .action(rotateTenant);
  keys.command("shred")
    .description(
      "Destroy a tenant's keys for good, so that no backup of it can be read again, and issue a " +
        "certificate.\nShows what would go; --apply destroys it, with the writer's and the pruner's key.",
    )
    .requiredOption("--tenant <id>", "the tenant")
    .option("--apply", "destroy the keys: nothing brings them back")
    .option(...json)
    .action(shred);
  commonOptions(
    keys.command("re-encrypt")
      .description("Encrypt a column's values under the tenants' current keys, after rotate-tenant")
      .requiredOption("--table <name>", "qualified, such as public.integrations")
      .requiredOption("--column <name>", "a text column")
      .requiredOption("--class <name>", "the secret class that the values were encrypted under"),
  ).action(reencrypt);
  return keys;
}

async function init(options: Json): Promise<void> {
  const { store, kek } = await backupEnvironment("writer");
  await createKeyring({ store, kek });
  const where = store.describe();
  if (options.json) return print({ store: where, kekId: kek.id });
  console.log(`Made a keyring in ${where}, wrapped by key-encryption key ${kek.id}`);
  console.error(
    kek.name === "BULKHEAD_KEK"
      ? "Keep BULKHEAD_KEK somewhere else too: without it no backup can be read"
      : `Never delete ${kek.name}: without it no backup can be read`,
  );
}

async function list(options: Json): Promise<void> {
  const { store, kek, keyring } = await openBackups("reader");
  const entries = keyring.list();
  if (options.json) return print({ store: store.describe(), kekId: kek.id, keys: entries });
  for (const entry of entries) console.log(line(entry));
  console.error(`${counted(entries.length, "key")}, wrapped by key-encryption key ${kek.id}`);
}

async function rotate(options: Json & { newKekEnv: string }): Promise<void> {
  const { store, kek } = await backupEnvironment("writer");
  const newKek = await kekFrom({ kek: options.newKekEnv, kms: "BULKHEAD_NEW_KMS" });
  const result = await rotateKek({ store, kek, newKek });
  if (options.json) return print(result);
  const { kekId, epoch, isChanged } = result;
  console.log(
    isChanged
      ? `${counted(result.keys, "key")} now wrapped by key-encryption key ${kekId}, epoch ${epoch}`
      : `Already under key-encryption key ${kekId}: nothing to do`,
  );
  console.error(
    newKek.name === "BULKHEAD_KEK"
      ? `Set BULKHEAD_KEK to the value of ${options.newKekEnv} wherever Bulkhead runs: until then backups fail`
      : `Set BULKHEAD_KMS to ${newKek.name}, and unset BULKHEAD_KEK, wherever Bulkhead runs: until then backups fail`,
  );
}

async function rotateTenant(tenant: string, options: Json): Promise<void> {
  const { keyring } = await openBackups("writer");
  const made = await keyring.rotateTenant(tenant);
  if (options.json) return print({ tenant, keys: made });
  for (const entry of made) console.log(line(entry));
}

async function shred(options: Json & { tenant: string; apply?: boolean }): Promise<void> {
  const { store, kek, keyring } = await openBackups(options.apply ? "shredder" : "reader");
  const { tenant } = options;
  if (!options.apply) {
    await checkShred({ store, kek, tenant });
    const keys = keyring.list().filter((key) => key.tenant === tenant);
    if (options.json) return print({ tenant, keys, isApplied: false });
    for (const entry of keys) console.log(line(entry));
    console.error(`${counted(keys.length, "key")} would go; nothing was destroyed: add --apply`);
    return;
  }
  const { certificate, key } = await shredTenant({ store, kek, tenant });
  if (options.json) return print({ key, certificate, isApplied: true });
  console.log(
    `Destroyed ${counted(certificate.keys.length, "key")} of tenant "${tenant}" and ` +
      `${counted(certificate.deletedVersions, "older version")} of the keyring`,
  );
  for (const { copy, until } of certificate.remaining) {
    console.log(`Remains: ${copy}${until ? `: ${until.slice(0, 10)}` : ""}`);
  }
  console.log(`Certificate: ${key}`);
}

async function reencrypt(
  options: CommonOptions & { table: string; column: string; class: string },
): Promise<void> {
  const { keyring, database } = await openBackups("writer", [options.databaseEnv]);
  const sql = connect(database(options.databaseEnv), { max: 1, applicationName: "bulkhead keys" });
  try {
    const { table, column, class: secretClass } = options;
    const done = await reencryptColumn(sql, fieldCipher(keyring), { table, column, secretClass });
    if (options.json) return print({ table, column, ...done });
    console.log(`Encrypted ${done.renewed} of ${counted(done.seen, "value")} of ${table} anew`);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function line({ tenant, use, id, createdAt, isCurrent }: KeyringEntry): string {
  const age = isCurrent ? "current" : "old";
  return `${printable(tenant)}  ${use}  ${id}  ${createdAt.toISOString()}  ${age}`;
}

function print(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

if (isMain(import.meta.url)) await runCli(command());
