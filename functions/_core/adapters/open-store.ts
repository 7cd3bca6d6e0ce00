import * as z from "zod";
import type { ObjectStore } from "../backup/object-store.ts";
import { BulkheadError } from "../errors.ts";
import { folderStore } from "./folder-store.ts";

const STORE =
  /^(?:s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:\/[A-Za-z0-9._~=+-]+)*\/?|file:\/\/\/.*)$/;

/** The variables of a store, to be spread into the object that a command gives to `readEnv`. */
export const storeVariables = {
  BULKHEAD_STORE: z.string("set it to s3://bucket/prefix or file:///absolute/folder")
    .regex(STORE, "must look like s3://bucket/prefix or file:///absolute/folder"),
  BULKHEAD_S3_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an https:// address" })
    .optional(),
  BULKHEAD_S3_REGION: z.string().optional(),
  BULKHEAD_S3_KEY_ID: z.string().optional(),
  BULKHEAD_S3_SECRET: z.string().optional(),
  BULKHEAD_S3_READER_KEY_ID: z.string().optional(),
  BULKHEAD_S3_READER_SECRET: z.string().optional(),
  BULKHEAD_S3_PRUNER_KEY_ID: z.string().optional(),
  BULKHEAD_S3_PRUNER_SECRET: z.string().optional(),
  BULKHEAD_S3_LOCK_DAYS: z.string().regex(/^\d{1,4}$/, "must be a whole number of days").optional(),
};

const storeEnv = z.object(storeVariables);
export type StoreEnv = z.infer<typeof storeEnv>;

/** Whose key opens a bucket: who writes can't delete, who reads can't write, who deletes lives elsewhere. */
export type StoreRole = "writer" | "reader" | "pruner";

/** The variables that hold each role's key. None stands in for another: a stolen key can do its own part only. */
export const roleVariables = {
  writer: { keyId: "BULKHEAD_S3_KEY_ID", secret: "BULKHEAD_S3_SECRET" },
  reader: { keyId: "BULKHEAD_S3_READER_KEY_ID", secret: "BULKHEAD_S3_READER_SECRET" },
  pruner: { keyId: "BULKHEAD_S3_PRUNER_KEY_ID", secret: "BULKHEAD_S3_PRUNER_SECRET" },
} as const;

/**
 * The object store that the environment names, opened with the key of `role`.
 *
 * @example
 * const env = readEnv(process.env, z.object({ ...storeVariables, ...kekVariables(process.env) }));
 * const store = openStore(env, "reader");
 */
export function openStore(env: StoreEnv, role: StoreRole): ObjectStore {
  const url = env.BULKHEAD_STORE;
  if (url.startsWith("file://")) {
    const path = decodeURIComponent(new URL(url).pathname).replace(/(?<=.)\/+$/, "");
    return folderStore(path);
  }
  const { BULKHEAD_S3_ENDPOINT: endpoint, BULKHEAD_S3_REGION: region } = env;
  const names = roleVariables[role];
  const keyId = env[names.keyId], secret = env[names.secret];
  if (!region || !keyId || !secret) {
    const missing = [
      ["BULKHEAD_S3_REGION", region],
      [names.keyId, keyId],
      [names.secret, secret],
    ].filter(([, value]) => !value).map(([variable]) => variable);
    throw new BulkheadError(
      "BH_ENV",
      `Cannot open the store "${url}": ${missing.join(", ")} ${
        missing.length > 1 ? "are" : "is"
      } not set`,
      { kind: "usage", hint: `Set them from the ${role}'s key of the bucket; see docs/store.md` },
    );
  }
  if (endpoint) checkEndpoint(endpoint);
  const [bucket = "", ...prefix] = url.slice("s3://".length).replace(/\/$/, "").split("/");
  return lazyStore(`s3://${[bucket, ...prefix].join("/")}`, async () => {
    // The SDK costs every command 20 MB and a third of a second, so it is loaded by the first request.
    const { s3Store } = await import("./s3-store.ts");
    return s3Store({
      bucket,
      prefix: prefix.join("/"),
      region,
      keyId,
      secret,
      ...(endpoint ? { endpoint } : {}),
      ...(env.BULKHEAD_S3_LOCK_DAYS ? { lockDays: Number(env.BULKHEAD_S3_LOCK_DAYS) } : {}),
    });
  });
}

function lazyStore(name: string, load: () => Promise<ObjectStore>): ObjectStore {
  let loading: Promise<ObjectStore> | undefined;
  const store = () => loading ??= load();
  return {
    put: async (key, body, options) => await (await store()).put(key, body, options),
    get: async (key, options) => await (await store()).get(key, options),
    head: async (key, options) => await (await store()).head(key, options),
    async *list(prefix) {
      yield* (await store()).list(prefix);
    },
    async *listVersions(prefix) {
      yield* (await store()).listVersions(prefix);
    },
    deleteVersion: async (key, version) => await (await store()).deleteVersion(key, version),
    extendLock: async (stored) => await (await store()).extendLock?.(stored),
    clock: async () => await (await store()).clock?.() ?? null,
    describe: () => name,
  };
}

/** Objects are encrypted, names and sizes are not: plain HTTP stays on this machine. */
function checkEndpoint(endpoint: string): void {
  const { protocol, hostname } = new URL(endpoint);
  if (protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname)) return;
  throw new BulkheadError(
    "BH_ENV",
    `Cannot open the store at "${protocol}//${hostname}": it is not encrypted`,
    { kind: "usage", hint: "Set BULKHEAD_S3_ENDPOINT to an https:// address" },
  );
}
