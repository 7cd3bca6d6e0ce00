import process from "node:process";
import * as z from "zod";
import { openStore, storeVariables } from "../../functions/_core/adapters/open-store.ts";
import { type Kek, kekFromBase64, kekVariable } from "../../functions/_core/keys/kek.ts";
import { type Keyring, openKeyring } from "../../functions/_core/keys/keyring.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";

/** What a command needs of the environment: the store, the key-encryption key, and databases by name. */
export type BackupEnvironment = {
  readonly store: ObjectStore;
  readonly kek: Kek;
  /** The connection string that the variable `name` holds; one of those asked for. */
  database(name: string): string;
};

/**
 * Read every variable that a command needs in one go, so that one error names all that are missing.
 * `databases` are the names of the variables with connection strings.
 *
 * @example
 * const { store, kek, database } = await backupEnvironment([options.databaseEnv]);
 * @throws BulkheadError `BH_ENV`, `BH_KEK_MALFORMED`.
 */
export async function backupEnvironment(
  databases: readonly string[] = [],
): Promise<BackupEnvironment> {
  const set = z.string("set it from the bucket's application key");
  const isBucket = process.env["BULKHEAD_STORE"]?.startsWith("s3://") === true;
  const bucket = isBucket
    ? { BULKHEAD_S3_REGION: set, BULKHEAD_S3_KEY_ID: set, BULKHEAD_S3_SECRET: set }
    : {};
  const env = readEnv(
    process.env,
    z.object({ ...storeVariables, ...bucket, BULKHEAD_KEK: kekVariable })
      .and(z.object(Object.fromEntries(databases.map((name) => [name, databaseUrl])))),
  );
  const urls: Record<string, unknown> = env;
  return {
    store: openStore(env),
    kek: await kekFromBase64(env.BULKHEAD_KEK),
    database: (name) => String(urls[name] ?? ""),
  };
}

/** The same with the keyring that lies in the store. */
export async function openBackups(
  databases: readonly string[] = [],
): Promise<BackupEnvironment & { keyring: Keyring }> {
  const environment = await backupEnvironment(databases);
  return { ...environment, keyring: await openKeyring(environment) };
}

/**
 * The connection string that the variable `name` holds.
 *
 * @example
 * const url = databaseFrom(options.targetEnv);
 * @throws BulkheadError `BH_ENV`.
 */
export function databaseFrom(name: string): string {
  return readEnv(process.env, z.object({ [name]: databaseUrl }))[name] ?? "";
}
