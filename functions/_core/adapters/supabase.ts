import { FunctionsClient } from "@supabase/functions-js";
import { PostgrestClient } from "@supabase/postgrest-js";
import { StorageClient } from "@supabase/storage-js";
import { BulkheadError } from "../errors.ts";
import type { Credentials } from "../service/context-headers.ts";
import { gate } from "../service/request-gate.ts";
import { type Services, TenantScopedClient } from "../service/tenant-scoped-client.ts";
import type { TenantScope, TenantScopeInput } from "../service/tenant-scope.ts";
import {
  type Address,
  credentialsOf,
  parseAddress,
  type UsableAddress,
} from "./supabase-address.ts";
import { asPlatform } from "./supabase-platform.ts";
import { reportRefusal } from "./report-refusal.ts";
import type { TenantClient } from "./tenant-types.ts";

export { asPlatform } from "./supabase-platform.ts";
export { TenantScopedClient };
export type { TenantClient, TenantTable, TenantTables, TenantView } from "./tenant-types.ts";

/** What {@link createTenantClient} takes: where, with which key, for whom. */
export type TenantClientOptions<Column extends string = "tenant_id"> =
  & Omit<TenantScopeInput, "tenantColumn">
  & Address
  & {
    /** Hears that a refused write could not be put into the ledger; writes to the log unless given. */
    onUnreported?: ((error: BulkheadError) => void) | undefined;
  }
  & ("tenant_id" extends Column ? { tenantColumn?: Column } : { tenantColumn: Column });

/**
 * supabase-js with the service key, confined to one tenant: every request passes the gate, or none leaves.
 *
 * @example
 * const client = createTenantClient<Database>({ url, key, tenantId, actor, tables: ["units", "messages"] });
 * await client.from("messages").insert({ unit_id, development_id, sender: "staff", body: "Keys are ready" });
 * @throws BulkheadError, kind `usage`, when url, key, tenant or actor is missing or malformed.
 */
export function createTenantClient<Database, Column extends string = "tenant_id">(
  options: TenantClientOptions<Column>,
): TenantClient<Database, Column> {
  const { url, key, serviceToken, fetch: send, onUnreported, ...scope } = options;
  const address = parseAddress({ url, key, serviceToken, fetch: send });
  const unreported = onUnreported ?? ((error) => console.error(error.code, error.message));
  return new TenantScopedClient(scope, (parsed) => connect(address, parsed, unreported));
}

/**
 * The parts of supabase-js that a tenant client uses, each behind the gate. Not a whole client: one is made for every
 * request, and a whole one starts auth and realtime, at forty times the price.
 */
function connect(
  address: UsableAddress,
  scope: TenantScope,
  unreported: (error: BulkheadError) => void,
): Services {
  const { url } = address;
  const credentials = credentialsOf(address);
  const fetch = gated(scope, { base: url, credentials }, {
    send: address.fetch,
    unreported,
  });
  const rest = new PostgrestClient(`${url}/rest/v1`, { schema: "public", fetch });
  return {
    from(name) {
      // Written out: comparing the inferred types as a whole is beyond the compiler.
      const table = rest.from(name);
      return {
        select: (columns, options) => table.select<string, unknown>(columns, options),
        insert: (rows, options) => table.insert(rows, options),
        update: (changes, options) => table.update(changes, options),
        upsert: (rows, options) => table.upsert(rows, options),
        delete: (options) => table.delete(options),
      };
    },
    rpc: (name, values, options) => rest.rpc(name, values, options),
    bucket: (name) => new StorageClient(`${url}/storage/v1`, {}, fetch).from(name),
    invoke: (name, options) =>
      new FunctionsClient(`${url}/functions/v1`, { customFetch: fetch }).invoke(name, options),
    platform: (request) =>
      asPlatform({ ...address, ...request, actor: scope.actor, requestId: scope.requestId }),
  };
}

/** `fetch` behind the gate. A refusal is answered like a refusal of the API: as `error`, and never retried. */
function gated(
  scope: TenantScope,
  gateway: { base: string; credentials: Credentials },
  { send, unreported }: { send: typeof fetch; unreported: (error: BulkheadError) => void },
): typeof fetch {
  return async (input, init = {}) => {
    try {
      const { url, headers } = gate(scope, gateway, {
        url: String(input),
        method: init.method ?? "GET",
        headers: new Headers(init.headers),
        body: init.body ?? undefined,
      });
      // A redirect is another request, and would not pass the gate.
      const response = await send(url, { ...init, headers, redirect: "manual" });
      const request = { url, method: init.method ?? "GET", headers };
      await reportRefusal(send, { base: gateway.base, request, response }).catch(unreported);
      return response;
    } catch (error) {
      if (!(error instanceof BulkheadError)) throw error;
      const { code, message, hint } = error;
      return Response.json({ code, message, hint, details: null }, { status: error.status });
    }
  };
}
