import * as z from "zod";
import { readActivity } from "../_core/adapters/activity-source.ts";
import { connect } from "../_core/adapters/postgres.ts";
import { readStatus } from "../_core/adapters/status-source.ts";
import { databaseUrl, readEnv } from "../_core/env.ts";
import { statusHandler } from "../_core/status/handler.ts";

const environment = z.object({
  SUPABASE_DB_URL: databaseUrl,
  BULKHEAD_HMAC_SECRET: z.string().optional(),
  BULKHEAD_STATUS_TOKEN: z.string().min(32, "use at least 32 characters: openssl rand -hex 32")
    .optional(),
});

/** `GET /`, `/status.json`, `/metrics` and `/healthz`; see the handler. */
export default {
  fetch: statusHandler(() => {
    const env = readEnv(Deno.env.toObject(), environment);
    const sql = connect(env.SUPABASE_DB_URL, { max: 1, applicationName: "bulkhead status page" });
    return {
      load: () => readStatus(sql),
      loadActivity: () => readActivity(sql),
      now: () => new Date(),
      hmacSecret: env.BULKHEAD_HMAC_SECRET,
      token: env.BULKHEAD_STATUS_TOKEN,
    };
  }),
};
