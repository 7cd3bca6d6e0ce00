import process from "node:process";
import * as z from "zod";
import { edgeDeps } from "../_core/adapters/edge-backup-deps.ts";
import { storeVariables } from "../_core/adapters/open-store.ts";
import { backupHandler } from "../_core/backup/handler.ts";
import { kekVariables } from "../_core/keys/kms-variables.ts";
import { databaseUrl, readEnv } from "../_core/env.ts";

const variables = z.object({
  SUPABASE_DB_URL: databaseUrl,
  BULKHEAD_HMAC_SECRET: z.string("set it to the Vault secret bulkhead_hmac_secret").min(43),
  ...kekVariables(process.env),
  ...storeVariables,
});

type EdgeGlobal = { EdgeRuntime?: { waitUntil(work: Promise<unknown>): void } };
const edge = (globalThis as EdgeGlobal).EdgeRuntime;

/** `POST /backup`, signed by `bulkhead.call_function`: begin a backup, or go on with one. */
export default {
  fetch: backupHandler(() => ({
    ...edgeDeps(readEnv(process.env, variables)),
    waitUntil: edge && ((work) => edge.waitUntil(work)),
  })),
};
