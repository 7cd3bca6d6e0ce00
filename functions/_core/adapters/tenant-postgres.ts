import type postgres from "postgres";
import { openingOf, type TenantContext, transactionOver } from "../service/tenant-transaction.ts";

type Types = Record<string, unknown>;

/**
 * postgres.js: run one transaction for one tenant. Role and context are local to it and end with it; an error inside
 * rolls everything back. Inside a transaction of the same tenant it is a savepoint.
 *
 * @example
 * const mine = await withTenant(sql, { tenantId, actor }, (tx) => tx`select * from messages`);
 * @throws BulkheadError `BH_ROLE`, when the role would bypass row level security: nothing of `work` has run.
 */
export async function withTenant<T, Custom extends Types>(
  sql: postgres.Sql<Custom> | postgres.TransactionSql<Custom>,
  context: TenantContext,
  work: (tx: postgres.TransactionSql<Custom>) => T | Promise<T>,
): Promise<T> {
  const opening = openingOf(context);
  const run = async (tx: postgres.TransactionSql<Custom>) => {
    const [row] = await tx.unsafe(opening.text, opening.values).catch((error) => {
      throw opening.explain(error);
    });
    opening.check(row);
    const mine = mortal(tx);
    try {
      // In an object: postgres.js would await every member of an array.
      return { value: await work(mine.tx) };
    } finally {
      mine.end();
    }
  };
  const result = "savepoint" in sql ? await sql.savepoint(run) : await sql.begin(run);
  return (result as { value: T }).value;
}

/** What a query of postgres.js is until it is awaited: a promise that is sent by its `handle`. */
type Unsent = { executed: unknown; handle(): unknown; reject(error: Error): void };

/**
 * A transaction that ends with its work. The driver's own `tx` goes on to write to its connection, by then perhaps in
 * somebody else's transaction, and its queries are sent when they are awaited, however late.
 */
function mortal<Custom extends Types>(
  tx: postgres.TransactionSql<Custom>,
): { tx: postgres.TransactionSql<Custom>; end(): void } {
  let isOver = false;
  const watched = (query: unknown): unknown => {
    if (!isUnsent(query)) return query;
    const send = query.handle;
    query.handle = () => {
      if (isOver && !query.executed) return query.reject(transactionOver());
      return send.call(query);
    };
    return query;
  };
  const guarded = new Proxy(tx, {
    apply(target, self, values) {
      if (isOver) throw transactionOver();
      return watched(Reflect.apply(target, self, values));
    },
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...values: unknown[]) => {
        if (isOver) throw transactionOver();
        return watched(Reflect.apply(value, target, values));
      };
    },
  });
  return { tx: guarded, end: () => void (isOver = true) };
}

function isUnsent(query: unknown): query is Unsent {
  return typeof query === "object" && query !== null && "handle" in query && "reject" in query &&
    typeof query.handle === "function" && typeof query.reject === "function";
}
