import process from "node:process";
import { PostgrestClient } from "@supabase/postgrest-js";
import { createTenantClient } from "../functions/_core/adapters/supabase.ts";
import type { Row } from "./measure.ts";

const TENANT = "11111111-1111-4111-8111-111111111111";
const REQUESTS = 2_000;

/** What TenantScopedClient adds to a request, its own making for every request included; nothing goes over a network. */
export async function wrapper(): Promise<Row[]> {
  const send: typeof fetch = () => Promise.resolve(Response.json([]));
  const url = "https://project.supabase.co";
  const raw = new PostgrestClient(`${url}/rest/v1`, { headers: { apikey: "k" }, fetch: send });
  const plain = () =>
    raw.from("messages").select("id, body").eq("tenant_id", TENANT).eq("unit_id", "7");
  const scoped = () => {
    const scope = { tenantId: TENANT, actor: "bench", tables: ["messages", "units"] };
    const client = createTenantClient({ url, key: "k", ...scope, fetch: send });
    return client.from("messages").select("id, body").eq("unit_id", "7");
  };
  const best = { plain: Infinity, scoped: Infinity };
  for (let round = 0; round < 9; round++) {
    best.plain = Math.min(best.plain, await cost(plain));
    best.scoped = Math.min(best.scoped, await cost(scoped));
  }
  return [{
    what: "TenantScopedClient's own cost a request, in µs",
    ratio: best.scoped - best.plain,
    atMost: 50,
  }];
}

/** Processor time of one request in µs: what else runs on the machine is none of the client's cost. */
async function cost(request: () => PromiseLike<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let n = 0; n < REQUESTS; n++) await request();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / REQUESTS;
}
