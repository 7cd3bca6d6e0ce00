import { createTenantClient } from "../../../functions/_core/adapters/supabase.ts";
import type { Database } from "../database.ts";
import type { MessageService, Reply } from "./message-service.ts";

/** Who asks, taken from a verified session. */
export type Session = { tenantId: string; userId: string; requestId?: string };

/**
 * The same back end, made for one session: the client is confined to its tenant, and its writes carry the user.
 * No method names the tenant, so none can forget it.
 *
 * @example
 * const service = messageServiceAfter(url, serviceRoleKey, session);
 */
export function messageServiceAfter(url: string, key: string, session: Session): MessageService {
  const client = createTenantClient<Database>({
    url,
    key,
    tenantId: session.tenantId,
    actor: session.userId,
    requestId: session.requestId,
    tables: ["members", "developments", "units", "messages", "onboarding_attempts"],
  });
  return {
    async inbox(unit: string) {
      const { data } = await client.from("messages").select("id, body, sender").eq("unit_id", unit)
        .order("created_at").throwOnError();
      return data;
    },

    async reply({ tenant, development, unit, body }: Reply) {
      // What the request says about the tenant is compared, never believed.
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
      const { count } = await client.from("messages").update({ is_read: true }, { count: "exact" })
        .eq("is_read", false).throwOnError();
      return count ?? 0;
    },

    async deleteBefore(day: string) {
      const { count } = await client.from("messages").delete({ count: "exact" })
        .lt("created_at", day).throwOnError();
      return count ?? 0;
    },
  };
}
