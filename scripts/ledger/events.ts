import * as z from "zod";
import type { Sql, TransactionSql } from "../../functions/_core/adapters/postgres.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { type LedgerEvent, ledgerEvent } from "../../functions/_core/ledger/event-line.ts";

/** Which events; what is null does not matter. */
export type Filter = {
  tenant: string | null;
  actor: string | null;
  /** As the ledger calls it, see {@link resolveTable}. */
  table: string | null;
  operation: string | null;
  record: string | null;
  transaction: string | null;
  since: string | null;
  until: string | null;
};

const COLUMNS = `
  e.id::text as id, to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, e.xid::text as transaction,
  e.tenant_id as tenant, e.actor, e.actor_role as role, e.operation, e.table_name as table, e.record_id as record,
  e.before::text as before, e.after::text as after, e.request_id as request, host(e.ip_address) as address,
  e.metadata::text as metadata`;

const MATCHES = `
  ($1::text is null or e.tenant_id = $1)
  and ($2::text is null or e.actor = $2)
  and ($3::text is null or e.table_name = $3)
  and ($4::text is null or lower(e.operation) = lower($4))
  and ($5::text is null or e.record_id = $5)
  and ($6::text is null or e.xid = $6::bigint)
  and ($7::text is null or e.created_at >= $7::timestamptz)
  and ($8::text is null or e.created_at < $8::timestamptz)`;

const parametersOf = (filter: Filter) => [
  filter.tenant,
  filter.actor,
  filter.table,
  filter.operation,
  filter.record,
  filter.transaction,
  filter.since,
  filter.until,
];

/** Events and the snapshot that they were read in: where {@link eventsAfter} goes on. */
export type Page = { events: LedgerEvent[]; snapshot: string };

/**
 * The newest `limit` events, oldest first. Looks back over an hour, a day, a week and so on, until there are enough:
 * the ledger's indexes know times, not an order.
 *
 * @example
 * const { events, snapshot } = await newestEvents(sql, filter, 20);
 */
export async function newestEvents(sql: Sql, filter: Filter, limit: number): Promise<Page> {
  return await reading(sql, async (tx, snapshot) => {
    const reaches = filter.since === null && filter.transaction === null && filter.record === null
      ? ["1 hour", "1 day", "7 days", "31 days", null]
      : [null];
    let events: LedgerEvent[] = [];
    for (const reach of reaches) {
      events = await read(
        tx,
        `where ${MATCHES} and ($9::text is null or e.created_at >= now() - $9::interval)
         order by e.id desc limit ${limit}`,
        [...parametersOf(filter), reach],
      );
      if (events.length === limit) break;
    }
    return { events: events.reverse(), snapshot };
  });
}

/**
 * What was committed since an earlier page, in whatever order: an event is new when the earlier snapshot did not see
 * its transaction. A cursor on ids would miss what was numbered earlier and committed later.
 *
 * @example
 * page = await eventsAfter(sql, filter, page.snapshot);
 */
export async function eventsAfter(sql: Sql, filter: Filter, earlier: string): Promise<Page> {
  return await reading(sql, async (tx, snapshot) => ({
    events: await read(
      tx,
      `where ${MATCHES}
         and e.xid >= pg_snapshot_xmin($9::pg_snapshot)::text::bigint
         and not pg_visible_in_snapshot(e.xid::text::xid8, $9::pg_snapshot)
         and pg_visible_in_snapshot(e.xid::text::xid8, $10::pg_snapshot)
       order by e.id`,
      [...parametersOf(filter), earlier, snapshot],
    ),
    snapshot,
  }));
}

async function reading<T>(
  sql: Sql,
  work: (tx: TransactionSql, snapshot: string) => Promise<T>,
): Promise<T> {
  const result = await sql.begin("isolation level repeatable read read only", async (tx) => {
    const [row] = await tx`select pg_current_snapshot()::text as snapshot`;
    return { value: await work(tx, z.string().parse(row?.["snapshot"])) };
  });
  return result.value;
}

async function read(
  tx: TransactionSql,
  where: string,
  parameters: (string | null)[],
): Promise<LedgerEvent[]> {
  // Not prepared: a plan for all parameters would look at every event for those that are null.
  const rows = await tx.unsafe(
    `select ${COLUMNS} from bulkhead.audit_events as e ${where}`,
    parameters,
    { prepare: false },
  );
  return z.array(ledgerEvent).parse([...rows]);
}

/** A table as SQL names it and as the ledger does. */
export type LedgerTable = { name: string; ledgerName: string };

/**
 * The protected table that a person means: `messages`, or `public.messages` where two schemas have one.
 *
 * @example
 * const { ledgerName } = await resolveTable(sql, "messages");
 * @throws BulkheadError `BH_AUDIT_TABLE` when there is none, or more than one.
 */
export async function resolveTable(sql: Sql, table: string): Promise<LedgerTable> {
  const rows = await sql`
    select bulkhead.qualified(t.relation) as name, bulkhead.ledger_name(t.relation) as "ledgerName"
    from bulkhead.protected_tables as t
    join pg_catalog.pg_class as c on c.oid = t.relation
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where t.parent is null
      and ${table} in (c.relname::text, quote_ident(c.relname), n.nspname || '.' || c.relname, bulkhead.qualified(t.relation))
    order by 1`;
  const found = z.array(z.object({ name: z.string(), ledgerName: z.string() })).parse([...rows]);
  const [first, ...more] = found;
  if (first !== undefined && more.length === 0) return first;
  if (first !== undefined) {
    throw new BulkheadError(
      "BH_AUDIT_TABLE",
      `Cannot tell which table "${table}" is: ${found.map(({ name }) => name).join(", ")}`,
      { kind: "usage", hint: `name the schema, such as ${first.name}` },
    );
  }
  // The database knows why: a view, a partition, not protected.
  const [known] = await sql`select to_regclass(${table})::text as name`;
  if (typeof known?.["name"] === "string") {
    await sql`select bulkhead.audited_table(${table}::regclass)`;
  }
  throw new BulkheadError(
    "BH_AUDIT_TABLE",
    `Cannot find the table "${table}": no protected table has that name`,
    {
      kind: "usage",
      hint: "list them: select relation from bulkhead.protected_tables where parent is null",
    },
  );
}

/**
 * A time as the database reads it: `2h`, `90s`, `3d` ago by its own clock, or a date and time.
 *
 * @example
 * await resolveTime(sql, "2h"); // "2026-11-21T08:31:00.123456Z"
 * @throws BulkheadError `BH_AUDIT_TIME` when it is neither.
 */
export async function resolveTime(sql: Sql, text: string): Promise<string> {
  const ago = /^(\d{1,6})\s*([smhdw])$/.exec(text.trim());
  const units = { s: "seconds", m: "minutes", h: "hours", d: "days", w: "weeks" };
  const unit = units[(ago?.[2] ?? "s") as keyof typeof units];
  const date = ago ? undefined : new Date(text);
  if (date !== undefined && (Number.isNaN(date.getTime()) || !/^\d{4}-\d{2}-\d{2}/.test(text))) {
    throw new BulkheadError(
      "BH_AUDIT_TIME",
      `Cannot read the time "${text}": it is neither a time nor how long ago`,
      {
        kind: "usage",
        hint: "write 2h, 30m, 3d, or a time such as 2026-11-21T10:00:00Z",
      },
    );
  }
  const isZoned = /(Z|[+-]\d{2}(:?\d{2})?)$/i.test(text.slice(10));
  // Microseconds count, and Date has none: a time with its zone is the database's to read.
  const at = ago
    ? sql`clock_timestamp() - ${`${ago[1]} ${unit}`}::text::interval`
    : sql`${isZoned ? text : date?.toISOString() ?? ""}::text::timestamptz`;
  const [row] = await sql`
    select to_char((${at}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`;
  return z.string().parse(row?.["at"]);
}
