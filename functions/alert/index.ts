import process from "node:process";
import * as z from "zod";
import { connect } from "../_core/adapters/postgres.ts";
import { alertHandler } from "../_core/alert/handler.ts";
import { createOutbox } from "../_core/alert/outbox.ts";
import { databaseUrl, readEnv } from "../_core/env.ts";

const variables = z.object({
  SUPABASE_DB_URL: databaseUrl,
  BULKHEAD_HMAC_SECRET: z.string("set it to the Vault secret bulkhead_hmac_secret").min(43),
  SLACK_WEBHOOK_URL: z.url({ protocol: /^https?$/, error: "must be an incoming webhook's URL" }),
  SUPABASE_URL: z.url().optional(),
});

type EdgeGlobal = { EdgeRuntime?: { waitUntil(work: Promise<unknown>): void } };
const edge = (globalThis as EdgeGlobal).EdgeRuntime;

/** `POST /alert`, signed by `bulkhead.call_function`: send what is due in the outbox to Slack. */
export default {
  fetch: alertHandler(() => {
    const env = readEnv(process.env, variables);
    const sql = connect(env.SUPABASE_DB_URL, { max: 1, applicationName: "bulkhead alert" });
    return {
      outbox: createOutbox((text, parameters) => sql.unsafe(text, parameters as never[])),
      hmacSecret: env.BULKHEAD_HMAC_SECRET,
      webhookUrl: env.SLACK_WEBHOOK_URL,
      project: new URL(env.SUPABASE_URL ?? env.SUPABASE_DB_URL).hostname,
      fetch,
      now: () => new Date(),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      waitUntil: edge && ((work) => edge.waitUntil(work)),
    };
  }),
};
