import { type SQL, sql } from "drizzle-orm";
import {
  type Opening,
  openingOf,
  type TenantContext,
  transactionOver,
} from "../service/tenant-transaction.ts";

/** What is needed of a Drizzle database over Postgres, whatever its driver, and of its transactions. */
type Executable = { execute(query: SQL): PromiseLike<unknown> };
type DrizzleDatabase<Tx extends Executable> = {
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
};

/**
 * Drizzle: run one transaction for one tenant. Role and context are local to it and end with it; an error inside rolls
 * everything back. Inside a transaction of the same tenant it is a savepoint.
 *
 * @example
 * const mine = await withTenant(db, { tenantId, actor }, (tx) => tx.select().from(messages));
 * @throws BulkheadError `BH_ROLE`, when the role would bypass row level security: nothing of `work` has run.
 */
export async function withTenant<T, Tx extends Executable>(
  db: DrizzleDatabase<Tx>,
  context: TenantContext,
  work: (tx: Tx) => T | Promise<T>,
): Promise<T> {
  const opening = openingOf(context);
  return await db.transaction(async (tx) => {
    opening.check(await first(tx, opening));
    let isOver = false;
    const mine = new Proxy(tx, {
      get(target, name) {
        if (isOver) throw transactionOver();
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    try {
      const result = await work(mine);
      // After an error that was caught inside, some drivers commit nothing and say nothing: this fails then.
      await tx.execute(sql.raw("select 1"));
      return result;
    } finally {
      isOver = true;
    }
  });
}

async function first(tx: Executable, opening: Opening): Promise<unknown> {
  try {
    return firstRow(await tx.execute(statement(opening)));
  } catch (error) {
    // Drizzle puts its own error around the driver's.
    throw opening.explain(error instanceof Error && error.cause ? error.cause : error);
  }
}

/** The opening as Drizzle writes it: text between parameters. */
function statement({ text, values }: Opening): SQL {
  const parts = text.split(/\$(\d)/);
  return sql.join(
    parts.map((part, index) => index % 2 ? sql`${values[Number(part) - 1]}` : sql.raw(part)),
  );
}

/** postgres.js answers with rows, node-postgres with an object that holds them. */
function firstRow(result: unknown): unknown {
  if (Array.isArray(result)) return result[0];
  if (typeof result === "object" && result !== null && "rows" in result) {
    return Array.isArray(result.rows) ? result.rows[0] : undefined;
  }
  return undefined;
}
