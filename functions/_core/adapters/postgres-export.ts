import * as z from "zod";
import type {
  ExportSession,
  ExportSource,
  ExportTable,
  SourceState,
} from "../backup/export-source.ts";
import { connect, copyOut, placeOf, type Sql, type TransactionSql } from "./postgres.ts";

/** How values are written; the same as in `bulkhead.content_hash`. */
const SESSION = `
  set local datestyle = 'ISO, YMD'; set local intervalstyle = 'iso_8601'; set local timezone = 'UTC';
  set local extra_float_digits = 3; set local bytea_output = 'hex'; set local lc_monetary = 'C';
  set local xmloption = 'content'; set local quote_all_identifiers = off; set local array_nulls = on;
  set local client_encoding = 'UTF8'; set local search_path = '';
  set local row_security = off; set local statement_timeout = 0; set local lock_timeout = '30s';
  set local idle_in_transaction_session_timeout = 0`;

const SNAPSHOT = "isolation level repeatable read read only";

const stateRow = z.object({
  tenants: z.array(z.string()),
  fingerprint: z.string(),
  migrations: z.array(z.string()),
  audit_head: z.string().nullable(),
  snapshot_xmin: z.string(),
});
const tableRows = z.array(z.object({
  scope: z.enum(["tenant", "global", "both"]),
  schema: z.string(),
  name: z.string(),
  columns: z.array(z.string()),
}));

/**
 * A database to export. With `shared`, one transaction exports its snapshot and every session reads that
 * moment (the runner); without, each session has its own (the edge, which can't keep a session open).
 * Reads run under `row_security = off`: a row that a policy would hide raises instead of missing.
 *
 * @example
 * const source = await openSource(env.DATABASE_URL, { shared: true });
 * try { await runBackup({ source, … }); } finally { await source.close(); }
 */
export async function openSource(url: string, options: { shared: boolean }): Promise<ExportSource> {
  const opened = new Set<Promise<Held>>();
  const open = (snapshot: string | null) => {
    const opening = hold(url, snapshot);
    opened.add(opening);
    return opening;
  };
  const main = open(null);
  const { tx } = await main;
  try {
    const snapshot = options.shared ? await exportSnapshot(tx) : null;
    let idle: Promise<Held> | undefined = main;
    return {
      snapshot: options.shared ? "shared" : "per-object",
      state: () => readState(tx, placeOf(url)),
      async openSession() {
        const reader = open(snapshot);
        // A hash takes as long as its COPY: with a snapshot to share, a second connection computes it meanwhile. The one
        // whose snapshot it is has nothing else to do.
        const hasher = snapshot === null ? reader : idle ?? open(snapshot);
        idle = undefined;
        const own = [reader, hasher].filter((each) => each !== main);
        return sessionOf(...await Promise.all([reader, hasher]), () => endAll(own));
      },
      close: () => endAll(opened),
    };
  } catch (error) {
    await endAll(opened);
    throw error;
  }
}

/** Also those that are still on their way. */
async function endAll(opened: Iterable<Promise<Held>>): Promise<void> {
  await Promise.all([...opened].map((opening) => opening.then((held) => held.end(), () => {})));
}

async function exportSnapshot(tx: TransactionSql): Promise<string> {
  const [row] = await tx<{ id: string }[]>`select pg_catalog.pg_export_snapshot() as id`;
  return row?.id ?? "";
}

async function readState(tx: TransactionSql, project: string): Promise<SourceState> {
  const [tables, [first]] = await Promise.all([
    tx`
      select t.scope, t.schema_name::text as schema, t.table_name::text as name, to_json(t.columns) as columns
      from bulkhead.tables_to_export() as t
      order by t.ordinal
    `,
    tx`
      select
        (select coalesce(json_agg(t.tenant), '[]') from bulkhead.tenants_to_export() as t (tenant)) as tenants,
        bulkhead.schema_fingerprint() as fingerprint,
        to_json(bulkhead.applied_migrations()) as migrations,
        bulkhead.audit_head() as audit_head,
        pg_snapshot_xmin(pg_current_snapshot())::text as snapshot_xmin
    `,
  ]);
  const row = stateRow.parse(first);
  return {
    tables: tableRows.parse(tables),
    project,
    tenants: row.tenants,
    fingerprint: row.fingerprint,
    migrations: row.migrations,
    auditHead: row.audit_head,
    snapshotXmin: row.snapshot_xmin,
  };
}

type Facts = Awaited<ReturnType<ExportSession["hash"]>>;

function sessionOf(held: Held, hashing: Held, close: () => Promise<void>): ExportSession {
  const { tx } = held;
  const relation = (table: ExportTable) => `${quote(table.schema)}.${quote(table.name)}`;
  const hash = async (table: ExportTable, tenant: string | null): Promise<Facts> => {
    const [row] = await hashing.tx<{ rows: string; hash: string }[]>`
      select h.rows, h.hash from bulkhead.content_hash(${
      relation(table)
    }::text::regclass, ${tenant}) as h
    `;
    return { rows: Number(row?.rows), hash: row?.hash ?? "" };
  };
  let begun: { table: ExportTable; tenant: string | null; facts: Promise<Facts> } | undefined;
  return {
    async copy(table, tenant) {
      if (hashing !== held) {
        begun = { table, tenant, facts: hash(table, tenant) };
        // Whoever asks for it hears of it; a COPY that fails first is the error to report.
        begun.facts.catch(() => {});
      }
      const [row] = await tx<{ query: string }[]>`
        select bulkhead.export_query(${relation(table)}::text::regclass, ${tenant}) as query
      `;
      return await copyOut(tx, `copy (${row?.query}) to stdout`);
    },
    hash(table, tenant) {
      return begun?.table === table && begun.tenant === tenant ? begun.facts : hash(table, tenant);
    },
    async documents(tenant) {
      if (tenant !== null) return {};
      const [row] = await tx`select bulkhead.documents_to_export() as documents`;
      return z.record(z.string(), z.unknown()).parse(row?.["documents"]);
    },
    close,
  };
}

/** A quoted identifier. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

type Held = { readonly tx: TransactionSql; end(): Promise<void> };

/** A transaction that stays open until `end`, on a connection of its own: an aborted COPY costs that one. */
async function hold(url: string, snapshot: string | null): Promise<Held> {
  const sql: Sql = connect(url, { max: 1, applicationName: "bulkhead backup", arrays: false });
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  try {
    return await new Promise<Held>((resolve, reject) => {
      sql.begin(SNAPSHOT, async (tx) => {
        const shown = snapshot && `set transaction snapshot '${snapshot.replaceAll("'", "")}';`;
        await tx.unsafe(`${shown ?? ""}${SESSION}`);
        resolve({
          tx,
          end: async () => {
            release();
            await sql.end({ timeout: 0 });
          },
        });
        await released;
      }).catch(reject);
    });
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw error;
  }
}
