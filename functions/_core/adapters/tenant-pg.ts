import type { Pool, PoolClient } from "pg";
import { openingOf, type TenantContext, transactionOver } from "../service/tenant-transaction.ts";

/** The transaction: `query` of node-postgres, and nothing else of the client. */
export type PgTransaction = Pick<PoolClient, "query">;

/** Transactions that are open, so that one inside another becomes a savepoint of the same client. */
const open = new WeakMap<object, PoolClient>();

/**
 * node-postgres: run one transaction for one tenant, on a client of the pool that goes back afterwards. Role and
 * context are local to it and end with it; an error inside rolls everything back. Inside a transaction of the same
 * tenant it is a savepoint.
 *
 * @example
 * const { rows } = await withTenant(pool, { tenantId, actor }, (tx) => tx.query("select * from messages"));
 * @throws BulkheadError `BH_ROLE`, when the role would bypass row level security: nothing of `work` has run.
 */
export async function withTenant<T>(
  pool: Pool | PgTransaction,
  context: TenantContext,
  work: (tx: PgTransaction) => T | Promise<T>,
): Promise<T> {
  const opening = openingOf(context);
  const outer = open.get(pool);
  if (outer !== undefined) {
    return await inside(outer, opening, work, {
      begin: "savepoint bulkhead_tenant",
      commit: "release savepoint bulkhead_tenant",
      rollback: "rollback to savepoint bulkhead_tenant",
    });
  }
  if (!("connect" in pool)) throw transactionOver();
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    return await inside(client, opening, work, {
      begin: "begin",
      commit: "commit",
      rollback: "rollback",
    }, (error) => broken = error);
  } finally {
    // A client that could not even roll back is not given to anybody else.
    client.release(broken);
  }
}

async function inside<T>(
  client: PoolClient,
  opening: ReturnType<typeof openingOf>,
  work: (tx: PgTransaction) => T | Promise<T>,
  words: { begin: string; commit: string; rollback: string },
  onBroken: (error: Error) => void = () => {},
): Promise<T> {
  let isOver = false;
  const query = (...values: unknown[]): unknown => {
    if (isOver) throw transactionOver();
    return Reflect.apply(client.query, client, values);
  };
  const tx = { query } as object as PgTransaction;
  await client.query(words.begin);
  try {
    const { rows } = await client.query(opening.text, opening.values).catch((error) => {
      throw opening.explain(error);
    });
    opening.check(rows[0]);
    open.set(tx, client);
    const result = await work(tx);
    isOver = true;
    const { command } = await client.query(words.commit);
    // After an error that was caught inside, Postgres answers a commit with a rollback, and says nothing else.
    if (command === "ROLLBACK") throw new Error("Cannot commit: a query of the transaction failed");
    return result;
  } catch (error) {
    isOver = true;
    await client.query(words.rollback).catch(onBroken);
    throw error;
  } finally {
    open.delete(tx);
  }
}
