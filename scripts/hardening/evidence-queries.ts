import type { Sql, TransactionSql } from "../../functions/_core/adapters/postgres.ts";

/** What the database contributes, read in one moment; `null` where there is nothing to show. */
export type DatabaseEvidence = {
  canaries: unknown[] | null;
  backupRuns: unknown[] | null;
  backupObjects: unknown[] | null;
  drills: unknown[] | null;
  incidents: unknown[];
  ledger: {
    head: string;
    anchor: string | null;
    seals: number;
    newest_seal: string | null;
    problems: unknown[];
  };
  versions: unknown;
};

/**
 * Read everything in one repeatable-read, read-only transaction. `anchor` is a head of the chain kept elsewhere.
 *
 * @example
 * const found = await readEvidence(sql, manifest?.auditHead ?? null);
 */
export async function readEvidence(sql: Sql, anchor: string | null): Promise<DatabaseEvidence> {
  return await sql.begin("isolation level repeatable read read only", async (tx) => ({
    canaries: await rows(
      tx,
      `select (canary).* from bulkhead.checks_canaries() as canary where exists (select from bulkhead.canary_runs)`,
    ),
    backupRuns: await rows(
      tx,
      `select id, source, state, started_at, finished_at, tenants, tenant_rows, raw_bytes, stored_bytes, left_out,
        manifest_key, manifest_sha256, schema_fingerprint, error
      from bulkhead.backup_runs
      where exists (select from bulkhead.backup_runs where state = 'complete')
      order by started_at desc
      limit 30`,
    ),
    backupObjects: await rows(
      tx,
      `select o.tenant_id, o.part, o.entry, o.recorded_at
      from bulkhead.backup_objects as o
      where o.backup_id = (
        select r.id from bulkhead.backup_runs as r where r.state = 'complete' order by r.started_at desc limit 1
      )
      order by o.tenant_id, o.part`,
    ),
    drills: await rows(tx, `select * from bulkhead.drills order by finished_at desc limit 12`),
    incidents: await rows(
      tx,
      `select id, name, subject, title, severity, category, status, state, opened_at, resolved_at, last_seen_at, breaches, detail
      from bulkhead.incidents
      where state = 'open' or opened_at > now() - interval '90 days'
      order by opened_at desc`,
    ) ?? [],
    ledger: await ledger(tx, anchor),
    versions: await versions(tx),
  }));
}

async function ledger(
  tx: TransactionSql,
  anchor: string | null,
): Promise<DatabaseEvidence["ledger"]> {
  const [head] = await tx<{ head: string; seals: number; newest_seal: string | null }[]>`
    select
      bulkhead.audit_head() as head,
      (select count(*)::int from bulkhead.audit_seals) as seals,
      (select max(sealed_at)::text from bulkhead.audit_seals) as newest_seal
  `;
  const problems =
    await tx`select seq::text, part::text, problem from bulkhead.verify_audit(${anchor})`;
  return {
    head: head?.head ?? "",
    anchor,
    seals: head?.seals ?? 0,
    newest_seal: head?.newest_seal ?? null,
    problems: [...problems],
  };
}

async function versions(tx: TransactionSql): Promise<unknown> {
  const [row] = await tx`
    select
      version() as server,
      (select jsonb_object_agg(extname, extversion order by extname) from pg_catalog.pg_extension) as extensions,
      to_regclass('supabase_migrations.schema_migrations') is not null as has_migrations
  `;
  const migrations = row?.["has_migrations"]
    ? await tx`select version, name from supabase_migrations.schema_migrations order by version`
    : [];
  return { server: row?.["server"], extensions: row?.["extensions"], migrations: [...migrations] };
}

async function rows(tx: TransactionSql, statement: string): Promise<unknown[] | null> {
  const found = await tx.unsafe(statement);
  return found.length === 0 ? null : [...found];
}
