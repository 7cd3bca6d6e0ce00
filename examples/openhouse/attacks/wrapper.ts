import {
  createTenantClient,
  type TenantClient,
} from "../../../functions/_core/adapters/supabase.ts";
import { BulkheadError } from "../../../functions/_core/errors.ts";
import type { Database } from "../database.ts";
import type { Attack, AttackContext, AttackResult, Target } from "./types.ts";

/** What a programmer may try past the types: they are a help, not a boundary. */
type Loose = {
  from(
    table: string,
  ): Record<"select" | "insert" | "update" | "upsert" | "delete", (...values: unknown[]) => Chain>;
  rpc(name: string): unknown;
};
type Chain = PromiseLike<{ error: { code?: string; message: string } | null }> & {
  setHeader(name: string, value: string): Chain;
  url: URL;
  body: unknown;
};
type Try = (client: Loose, target: Target, context: AttackContext) => unknown;

/** The wrapper is judged by what leaves the process: nothing, or it was not stopped. */
function attack(
  id: string,
  threat: string,
  title: string,
  attempt: Try,
  control: Try = attempt,
): Attack {
  return {
    id: `wrapper-${id}`,
    threat,
    layer: "service_role",
    title,
    async run(context): Promise<AttackResult> {
      const controlled = await send(context, context.own, control);
      if (controlled.left !== 1) {
        return {
          outcome: "open",
          by: "nothing",
          detail: `not proven: the control sent ${controlled.left} requests: ${controlled.refusal}`,
        };
      }
      const { left, refusal } = await send(context, context.victim, attempt);
      if (left > 0) {
        return { outcome: "open", by: "nothing", detail: `${left} request left the process` };
      }
      if (!refusal.startsWith("BH_")) {
        return { outcome: "open", by: "nothing", detail: `not proven: ${refusal}` };
      }
      return { outcome: "stopped", by: "wrapper", detail: refusal };
    },
  };
}

async function send(
  context: AttackContext,
  target: Target,
  attempt: Try,
): Promise<{ left: number; refusal: string }> {
  let left = 0;
  const client: TenantClient<Database> = createTenantClient<Database>({
    url: "http://127.0.0.1:9",
    key: "service-key",
    tenantId: context.own.tenant,
    actor: "attacks",
    tables: ["members", "developments", "units", "messages", "onboarding_attempts"],
    fetch: () => {
      left++;
      return Promise.resolve(Response.json([]));
    },
  });
  try {
    const result = await (attempt(client as object as Loose, target, context) as PromiseLike<
      Awaited<Chain> | undefined
    >);
    return {
      left,
      refusal: result?.error ? `${result.error.code} ${result.error.message}` : "no refusal",
    };
  } catch (error) {
    return {
      left,
      refusal: error instanceof BulkheadError ? `${error.code} ${error.message}` : String(error),
    };
  }
}

const row = (target: Target) => ({
  development_id: target.development,
  unit_id: target.unit,
  sender: "staff",
  body: "hello",
});

/** Attempts through TenantScopedClient, which holds the service key. */
export const wrapper: Attack[] = [
  attack(
    "insert",
    "insert",
    "the wrapped client inserts a row of another tenant",
    (client, target) =>
      client.from("messages").insert({ ...row(target), tenant_id: target.tenant }),
  ),
  attack(
    "insert-mixed",
    "insert",
    "the wrapped client inserts a batch with one foreign row",
    (client, target, { own }) =>
      client.from("messages").insert([row(own), { ...row(target), tenant_id: target.tenant }]),
  ),
  attack(
    "move",
    "move a row",
    "the wrapped client sets the tenant column",
    (client, target) => client.from("messages").update({ tenant_id: target.tenant }),
    (client) => client.from("messages").update({ is_read: true }),
  ),
  attack(
    "upsert",
    "upsert",
    "the wrapped client upserts on the bare primary key",
    (client, target) =>
      client.from("messages").upsert({ id: target.message, ...row(target) }, { onConflict: "id" }),
    (client, target) =>
      client.from("messages").upsert({ id: target.message, ...row(target) }, {
        onConflict: "tenant_id,id",
      }),
  ),
  attack(
    "table",
    "read",
    "the wrapped client reads a table that is no tenant table",
    (client) => client.from("profiles").select("*"),
    (client) => client.from("units").select("*"),
  ),
  attack(
    "table-injection",
    "read",
    "the wrapped client smuggles parameters in the table's name",
    (client, target) => client.from(`messages?tenant_id=eq.${target.tenant}&x`).select("*"),
    (client) => client.from("messages").select("*"),
  ),
  attack(
    "embed",
    "read",
    "the wrapped client embeds a table that is no tenant table",
    (client) => client.from("messages").select("*, tenants(*)"),
    (client) => client.from("messages").select("*, units(*)"),
  ),
  attack(
    "rpc",
    "definer function",
    "the wrapped client calls a function",
    (client) => client.rpc("search_messages"),
    (client) => client.from("messages").select("*"),
  ),
  attack(
    "header",
    "forged header",
    "the wrapped client changes x-tenant-id on the builder",
    (client, target) => client.from("messages").select("*").setHeader("x-tenant-id", target.tenant),
  ),
  attack(
    "filter",
    "read",
    "the wrapped client strips the filter off the builder",
    (client) => {
      const query = client.from("messages").select("*");
      query.url.searchParams.delete("tenant_id");
      return query;
    },
    (client) => client.from("messages").select("*"),
  ),
  attack("body", "insert", "the wrapped client swaps the body of the builder", (client, target) => {
    const query = client.from("messages").insert(row(target));
    query.body = { ...row(target), tenant_id: target.tenant };
    return query;
  }),
];
