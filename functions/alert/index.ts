import process from "node:process";
import * as z from "zod";
import { connect } from "../_core/adapters/postgres.ts";
import { alertHandler } from "../_core/alert/handler.ts";
import { createOutbox } from "../_core/alert/outbox.ts";
import { readRoutes, routeVariables } from "../_core/alert/routes.ts";
import { databaseUrl, readEnv } from "../_core/env.ts";

const variables = z.object({
  SUPABASE_DB_URL: databaseUrl,
  BULKHEAD_HMAC_SECRET: z.string("set it to the Vault secret bulkhead_hmac_secret").min(43),
  BULKHEAD_PING_URL: z.url({ protocol: /^https?$/, error: "must be the URL to ping" }).optional(),
  SUPABASE_URL: z.url().optional(),
  ...routeVariables,
});

type EdgeGlobal = { EdgeRuntime?: { waitUntil(work: Promise<unknown>): void } };
const edge = (globalThis as EdgeGlobal).EdgeRuntime;

/** `POST /alert`, signed by `bulkhead.call_function`: send what is due in the outbox, or ping. */
export default {
  fetch: alertHandler(() => {
    const env = readEnv(process.env, variables);
    const now = () => new Date();
    const project = new URL(env.SUPABASE_URL ?? env.SUPABASE_DB_URL).hostname;
    // Before the connection: a missing address is found without one.
    const routes = readRoutes(env, { fetch, project, now });
    const sql = connect(env.SUPABASE_DB_URL, { max: 1, applicationName: "bulkhead alert" });
    return {
      outbox: createOutbox((text, parameters) => sql.unsafe(text, parameters as never[])),
      routes,
      pingUrl: env.BULKHEAD_PING_URL,
      hmacSecret: env.BULKHEAD_HMAC_SECRET,
      fetch,
      now,
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      waitUntil: edge && ((work) => edge.waitUntil(work)),
    };
  }),
};
