import { sql } from "drizzle-orm";
import type { PostgresJsDatabase } from "drizzle-orm/postgres-js";

/** From a verified session or API key, never from a header or a body. */
export type TenantContext = { tenantId: string; actorId: string; requestId?: string };

type NoSchema = Record<string, never>;
type Database = PostgresJsDatabase<NoSchema>;
export type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

/**
 * Run one transaction for one tenant. Both settings, Bulkhead's and the application's own, get the same value in the
 * same statement and end with the transaction; without a tenant nothing is sent.
 *
 * @example
 * const mine = await withTenant(db, session, (tx) => tx.select().from(skills));
 */
export async function withTenant<T>(
  db: Database,
  { tenantId, actorId, requestId }: TenantContext,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  if (typeof tenantId !== "string" || tenantId.trim() === "") {
    throw new TypeError("Cannot open a transaction: no tenant is named");
  }
  return await db.transaction(async (tx) => {
    await tx.execute(sql`
      select bulkhead.set_tenant(${tenantId}, ${actorId}, ${requestId ?? null}),
             set_config('app.current_tenant_id', ${tenantId}, true)`);
    return await work(tx);
  });
}
