import process from "node:process";
import * as z from "zod";
import {
  openStore,
  roleVariables,
  type StoreRole,
  storeVariables,
} from "../../functions/_core/adapters/open-store.ts";
import { openKek } from "../../functions/_core/adapters/open-kek.ts";
import type { Kek } from "../../functions/_core/keys/kek.ts";
import { kekVariables } from "../../functions/_core/keys/kms-variables.ts";
import { type Keyring, openKeyring } from "../../functions/_core/keys/keyring.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
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
    z.object({ ...storeVariables, ...bucket, ...kekVariables(process.env) })
      .and(z.object(Object.fromEntries(databases.map((name) => [name, databaseUrl])))),
  );
  const urls: Record<string, unknown> = env;
  return {
    store: role === "shredder"
      ? { ...openStore(env, "writer"), deleteVersion: openStore(env, "pruner").deleteVersion }
      : openStore(env, role),
    kek: await openKek(env),
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

/**
 * A second key-encryption key: a key in the variable `kek`, or a service's key that the variable `kms` names. The
 * service's credentials are in the same variables as for the first.
 *
 * @example
 * const newKek = await kekFrom({ kek: options.newKekEnv, kms: "BULKHEAD_NEW_KMS" });
 * @throws BulkheadError `BH_ENV`.
 */
export async function kekFrom(names: { kek: string; kms: string }): Promise<Kek> {
  const { [names.kek]: key, [names.kms]: service, ...rest } = process.env;
  const variables = { ...rest, BULKHEAD_KEK: key, BULKHEAD_KMS: service };
  const schemas = kekVariables(variables);
  const { BULKHEAD_KEK, BULKHEAD_KMS, ...others } = schemas;
  // Under the names that whoever runs this has set.
  const env = named(names, () =>
    readEnv(
      { ...rest, [names.kek]: key, [names.kms]: service },
      z.object({ ...others, [names.kek]: BULKHEAD_KEK, [names.kms]: BULKHEAD_KMS }),
    ));
  return await openKek({ ...env, BULKHEAD_KEK: key, BULKHEAD_KMS: service });
}

/** What the schemas say of the first key, said of the second: a remedy must not name the key that is in use. */
function named<T>(names: { kek: string; kms: string }, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BulkheadError)) throw error;
    const { code, kind, message } = error;
    const hint = error.hint.replace(/\bBULKHEAD_KEK\b/g, names.kek)
      .replace(/\bBULKHEAD_KMS\b/g, names.kms);
    throw new BulkheadError(code, message, { kind, hint, cause: error });
  }
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
