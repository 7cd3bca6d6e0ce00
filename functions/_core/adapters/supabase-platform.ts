import { PostgrestClient } from "@supabase/postgrest-js";
import type { SupabaseClient } from "@supabase/supabase-js";
import { BulkheadError } from "../errors.ts";
import { parseActor } from "../service/tenant-scope.ts";
import { type Address, credentialsOf, parseAddress } from "./supabase-address.ts";

/** What {@link asPlatform} takes: who looks across tenants, why, and for how long. */
export type PlatformOptions = Address & {
  reason: string;
  /** 1 to 60, 15 unless said otherwise. */
  minutes?: number | undefined;
  actor: string;
  requestId?: string | undefined;
};

/**
 * The one way across tenants: a plain supabase-js client, made only when `bulkhead_api.record_platform_access` has put
 * who and why into the ledger, and refusing requests once its time is over. It reads what its key may read; writes
 * still name a tenant, or the guard refuses them.
 *
 * @example
 * const platform = await asPlatform<Database>({ url, key, actor: "billing job", reason: "monthly usage of all tenants" });
 * const { data } = await platform.from("usage").select("tenant_id, total");
 * @throws BulkheadError `BH_PLATFORM`, kind `refused`, without a reason or when it could not be recorded.
 */
export async function asPlatform<Database>(
  options: PlatformOptions,
): Promise<SupabaseClient<Database>> {
  const { reason, minutes = 15 } = options;
  if (typeof reason !== "string" || reason.trim().length < 10 || reason.length > 500) {
    throw refused("no reason of 10 to 500 characters is given");
  }
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > 60) {
    throw refused("it lasts 1 to 60 whole minutes");
  }
  const address = parseAddress(options);
  const context = parseActor(options);
  const headers = {
    ...credentialsOf(address),
    "x-actor": context.actor,
    "x-request-id": context.requestId,
  };
  const send: typeof fetch = (input, init) => address.fetch(input, { ...init, redirect: "manual" });
  const api = new PostgrestClient(`${address.url}/rest/v1`, {
    schema: "bulkhead_api",
    headers,
    fetch: send,
  });
  const { data, error } = await api.rpc("record_platform_access", { reason, minutes });
  const until = typeof data === "string" ? Date.parse(data) : NaN;
  if (error !== null || Number.isNaN(until)) {
    throw refused(`its reason could not be recorded: ${error?.message ?? "no end was answered"}`);
  }
  // Loaded here, so that tenant clients start without auth and realtime.
  const { createClient } = await import("@supabase/supabase-js");
  return createClient<Database>(address.url, address.key, {
    global: {
      fetch: (input, init) => {
        if (Date.now() >= until) throw refused("its time is over; ask again, with a reason");
        const stamped = new Headers(init?.headers);
        for (const [name, value] of Object.entries(headers)) stamped.set(name, value);
        return send(input, { ...init, headers: stamped });
      },
    },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    // No channel is ever opened, but supabase-js insists on a WebSocket where the platform has none (Node 20).
    realtime: { transport: NoRealtime },
  });
}

class NoRealtime {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly readyState = 3;
  readonly protocol = "";
  readonly url: string;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  constructor(url: string | URL) {
    this.url = String(url);
  }
  send(): never {
    throw refused("it opens no channel");
  }
  close(): void {}
  addEventListener(): void {}
  removeEventListener(): void {}
}

function refused(state: string): BulkheadError {
  return new BulkheadError("BH_PLATFORM", `Cannot work across tenants: ${state}`, {
    kind: "refused",
    hint:
      'Say who and why, e.g. asPlatform({ reason: "ticket 812: find a lost invoice" }), and expose the schema bulkhead_api.',
  });
}
