import process from "node:process";
import * as z from "zod";
import { openStore, storeVariables } from "../../functions/_core/adapters/open-store.ts";
import { type Kek, kekFromBase64, kekVariable } from "../../functions/_core/backup/kek.ts";
import { type Keyring, openKeyring } from "../../functions/_core/backup/keyring.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";

/**
 * The connection string that the variable `name` holds.
 *
 * @example
 * const url = databaseFrom(options.databaseEnv);
 * @throws BulkheadError `BH_ENV`.
 */
export function databaseFrom(name: string): string {
  return readEnv(process.env, z.object({ [name]: databaseUrl }))[name] ?? "";
}

/** The store, the key-encryption key and the keyring that the environment names. */
export async function openBackups(): Promise<{ store: ObjectStore; kek: Kek; keyring: Keyring }> {
  const env = readEnv(process.env, z.object({ ...storeVariables, BULKHEAD_KEK: kekVariable }));
  const store = openStore(env);
  const kek = await kekFromBase64(env.BULKHEAD_KEK);
  return { store, kek, keyring: await openKeyring({ store, kek }) };
}
