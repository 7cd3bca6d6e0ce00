import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";
import type { Database } from "../database.ts";
import type { MessageService, Reply } from "./message-service.ts";

/**
 * OpenHouse's back end as it was: a raw client with the service key, and a filter that somebody has to remember.
 * Nothing here looks wrong in review, and every method is a way into another tenant.
 *
 * @example
 * const service = messageServiceBefore(url, serviceRoleKey);
 */
export function messageServiceBefore(url: string, key: string): MessageService {
  const client = createClient<Database>(url, key, {
    auth: { persistSession: false },
    // Node 20 has no WebSocket of its own; the types of `ws` are wider than the DOM's.
    realtime: { transport: WebSocket as unknown as typeof globalThis.WebSocket },
  });
  return {
    async inbox(unit: string) {
      // The unit's id comes from the address bar.
      const { data } = await client.from("messages").select("id, body, sender").eq("unit_id", unit)
        .order("created_at").throwOnError();
      return data;
    },

    async reply({ tenant, development, unit, body }: Reply) {
      // The tenant comes from the request's body.
      await client.from("messages")
        .insert({
          tenant_id: tenant,
          development_id: development,
          unit_id: unit,
          sender: "staff",
          body,
        })
        .throwOnError();
    },

    async markAllRead() {
      // "All" is all of them.
      const { count } = await client.from("messages").update({ is_read: true }, { count: "exact" })
        .eq("is_read", false).throwOnError();
      return count ?? 0;
    },

    async deleteBefore(day: string) {
      // The forgotten filter: one tenant's clean-up deletes everybody's history.
      const { count } = await client.from("messages").delete({ count: "exact" })
        .lt("created_at", day).throwOnError();
      return count ?? 0;
    },
  };
}
