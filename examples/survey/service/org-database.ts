import type postgres from "postgres";
import { withTenant } from "../../../functions/_core/adapters/tenant-postgres.ts";
import type { TenantSession } from "../../../functions/_core/service/open-session.ts";

/** One transaction of one organization. */
export type OrgDatabase = <T>(work: (tx: postgres.TransactionSql) => Promise<T>) => Promise<T>;

/**
 * Transactions of one organization. The platform's older policies read a setting of their own; it gets the same value
 * in the same transaction. Where either can't be set nothing of `work` runs.
 *
 * @example
 * const mine = await orgDatabase(pool, session)((tx) => tx`select * from public.sessions`);
 */
export function orgDatabase(pool: postgres.Sql, session: TenantSession): OrgDatabase {
  // The platform logs in as a role of its own, which obeys the policies.
  const context = { ...session, tenantKind: "bigint", role: "application_role" } as const;
  return (work) =>
    withTenant(pool, context, async (tx) => {
      await tx`select set_config('app.current_org_id', ${session.tenantId}, true)`;
      return await work(tx);
    });
}
