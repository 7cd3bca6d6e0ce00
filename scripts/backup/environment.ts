import process from "node:process";
import * as z from "zod";
import {
  openStore,
  roleVariables,
  type StoreRole,
  storeVariables,
} from "../../functions/_core/adapters/open-store.ts";
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

/** `shredder`: writes with the writer's key and deletes with the pruner's, so that neither does both. */
type CommandRole = StoreRole | "shredder";

/**
 * Read every variable that a command needs in one go, so that one error names all that are missing.
 * `role` says whose key opens the bucket, `databases` which variables hold connection strings.
 *
 * @example
 * const { store, kek, database } = await backupEnvironment("writer", [options.databaseEnv]);
 * @throws BulkheadError `BH_ENV`, `BH_KEK_MALFORMED`.
 */
export async function backupEnvironment(
  role: CommandRole,
  databases: readonly string[] = [],
): Promise<BackupEnvironment> {
  const isBucket = process.env["BULKHEAD_STORE"]?.startsWith("s3://") === true;
  const bucket = isBucket ? bucketVariables(role) : {};
  const env = readEnv(
    process.env,
    z.object({ ...storeVariables, ...bucket, BULKHEAD_KEK: kekVariable })
      .and(z.object(Object.fromEntries(databases.map((name) => [name, databaseUrl])))),
  );
  const urls: Record<string, unknown> = env;
  return {
    store: role === "shredder"
      ? { ...openStore(env, "writer"), deleteVersion: openStore(env, "pruner").deleteVersion }
      : openStore(env, role),
    kek: await kekFromBase64(env.BULKHEAD_KEK),
    database: (name) => String(urls[name] ?? ""),
  };
}

function bucketVariables(role: CommandRole): Record<string, z.ZodType<string>> {
  const roles: readonly StoreRole[] = role === "shredder" ? ["writer", "pruner"] : [role];
  const keys = roles.flatMap((each) => {
    const set = z.string(`set it from the ${each}'s key of the bucket (docs/store.md)`);
    return [[roleVariables[each].keyId, set], [roleVariables[each].secret, set]] as const;
  });
  return { BULKHEAD_S3_REGION: z.string("set it to the bucket's"), ...Object.fromEntries(keys) };
}

/** The same with the keyring that lies in the store. */
export async function openBackups(
  role: CommandRole,
  databases: readonly string[] = [],
): Promise<BackupEnvironment & { keyring: Keyring }> {
  const environment = await backupEnvironment(role, databases);
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
