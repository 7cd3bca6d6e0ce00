import type postgres from "postgres";

/** Who acts, as PostgREST would tell the database. */
export type Actor = {
  role: string;
  /** The JWT's claims; `role` is added unless it is there. */
  claims?: Record<string, unknown>;
  /** HTTP request headers, lower case. */
  headers?: Record<string, string>;
  /** Further transaction-local settings, e.g. `{ "bulkhead.tenant": id }`. */
  settings?: Record<string, string>;
};

/**
 * Run one transaction as a role, with claims and headers set as PostgREST sets them. An error rolls back.
 *
 * @example
 * const rows = await asRole(sql, { role: "authenticated", claims: { sub } }, (tx) => tx`select * from messages`);
 */
export async function asRole<T>(
  sql: postgres.Sql,
  actor: Actor,
  work: (tx: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  let result: T | undefined;
  await sql.begin(async (tx) => {
    const settings: Record<string, string> = { ...actor.settings };
    if (actor.claims) {
      settings["request.jwt.claims"] = JSON.stringify({ role: actor.role, ...actor.claims });
    }
    if (actor.headers) settings["request.headers"] = JSON.stringify(actor.headers);
    for (const [name, value] of Object.entries(settings)) {
      await tx`select set_config(${name}, ${value}, true)`;
    }
    await tx`select set_config('role', ${actor.role}, true)`;
    result = await work(tx);
  });
  return result as T;
}
