import * as z from "zod";
import type { EdgeLedger, TenantProgress } from "../backup/edge-ledger.ts";
import type { RunLedger } from "../backup/export-source.ts";
import { manifestObject } from "../backup/manifest-schema.ts";
import { BulkheadError } from "../errors.ts";
import type { Sql } from "./postgres.ts";
import { stagedParts, stageTenantRows } from "./postgres-staging.ts";

/**
 * The record of runs in `bulkhead.backup_runs`. The runner's pool must have one connection: its claim is an
 * advisory lock of the session, which ends with the process, however that ends.
 *
 * @example
 * const ledger = openRunLedger(connect(url, { max: 1 }), "runner");
 */
export function openRunLedger(sql: Sql): RunLedger {
  return open(sql, "runner");
}

/**
 * The same for the function `backup`, which holds a lease instead, and lays out in the database what has to outlive
 * a call.
 *
 * @example
 * const ledger = openEdgeLedger(connect(url, { max: 1 }));
 */
export function openEdgeLedger(sql: Sql): EdgeLedger {
  return open(sql, "edge");
}

function open(sql: Sql, source: "runner" | "edge"): EdgeLedger {
  let id = "";
  let token = "";
  const json = (value: unknown) => JSON.stringify(value);
  const claim = async (proposed: string | null) => {
    const [row] = await translated(() =>
      sql<{ backup_id: string | null; token: string | null }[]>`
        select * from bulkhead.claim_backup(${proposed}, ${source})
      `
    );
    id = row?.backup_id ?? "";
    token = row?.token ?? "";
    return id;
  };
  return {
    claim,
    resume: async () => await claim(null) || null,
    async callBytes() {
      const [row] = await sql`select edge_part_bytes::float8 as bytes from bulkhead.settings`;
      return z.number().parse(row?.["bytes"]);
    },
    async progress() {
      const rows = await sql<{ tenant: string; progress: TenantProgress }[]>`
        select
          coalesce(o.tenant_id, s.tenant_id) as tenant,
          case when o.tenant_id is not null and o.are_all then 'done' else 'begun' end as progress
        from (
          select tenant_id, count(*) = max(parts) as are_all
          from bulkhead.backup_objects
          where backup_id = ${id}
          group by tenant_id
        ) as o
        full join (
          select tenant_id from bulkhead.backup_staged where backup_id = ${id}
        ) as s on s.tenant_id = o.tenant_id
      `;
      return new Map(rows.map((row) => [row.tenant, row.progress]));
    },
    stage: (tenant) => translated(() => stageTenantRows(sql, { id, token, tenant })),
    staged: (tenant) => stagedParts(sql, { id, tenant }),
    async attempt(what) {
      const [row] = await translated(() =>
        sql<{ tries: number }[]>`
          select bulkhead.try_backup_object(${id}, ${token}::uuid, ${what}) as tries
        `
      );
      return row?.tries ?? 0;
    },
    async recordParts(entries, of) {
      await translated(() =>
        sql`
          select bulkhead.record_backup_object(${id}, ${token}::uuid, e.entry, ${of})
          from jsonb_array_elements(${json(entries)}::text::jsonb) as e (entry)
        `
      );
    },
    async renew() {
      await translated(() => sql`select bulkhead.hold_backup(${id}, ${token}::uuid)`);
    },
    async objects() {
      // Some of a tenant's parts are none of it.
      const rows = await sql`
        select o.entry
        from (
          select tenant_id, part, entry, parts, count(*) over (partition by tenant_id) as there
          from bulkhead.backup_objects
          where backup_id = ${id}
        ) as o
        where o.there = o.parts
        order by o.tenant_id, o.part
      `;
      return rows.map((row) => manifestObject.parse(row["entry"]));
    },
    async record(entry) {
      await translated(() =>
        sql`select bulkhead.record_backup_object(${id}, ${token}::uuid, ${
          json(entry)
        }::text::jsonb)`
      );
    },
    async note(fingerprint, leftOut) {
      const [row] = await translated(() =>
        sql<{ same: boolean }[]>`
          select bulkhead.note_backup(${id}, ${token}::uuid, ${fingerprint}, ${
          leftOut ?? null
        }) as same
        `
      );
      return row?.same === true;
    },
    async leftOut() {
      const [row] = await sql<{ tenants: string[] }[]>`
        select left_out as tenants from bulkhead.backup_runs where id = ${id}
      `;
      return row?.tenants ?? [];
    },
    async earlier(backupId) {
      const [run] = await sql`
        select r.snapshot_xmin::text as xmin, r.schema_fingerprint as fingerprint
        from bulkhead.backup_runs as r
        where r.id = ${backupId} and r.state = 'complete' and r.snapshot_xmin is not null
          and r.system_identifier = (select c.system_identifier from pg_catalog.pg_control_system() as c)
      `;
      if (!run) return null;
      const { xmin, fingerprint } = z.object({ xmin: z.string(), fingerprint: z.string() }).parse(
        run,
      );
      const rows = await sql<{ tenant: string }[]>`
        select distinct e.tenant_id as tenant
        from bulkhead.audit_events as e
        where e.xid >= ${xmin}::text::bigint and e.tenant_id is not null
        union
        -- Sealed since: the leaves of older events are new.
        select s.tenant_id
        from bulkhead.audit_shares as s
        join bulkhead.audit_seals as l on l.seq = s.seq
        where l.xid >= ${xmin}::text::bigint and s.tenant_id is not null
      `;
      return { id: backupId, fingerprint, changedTenants: new Set(rows.map((row) => row.tenant)) };
    },
    async lastComparison() {
      const [row] = await sql<{ at: Date | null }[]>`
        select max(r.started_at) as at
        from bulkhead.backup_runs as r
        where r.state = 'complete' and r.is_compared
          and r.system_identifier = (select c.system_identifier from pg_catalog.pg_control_system() as c)
      `;
      return row?.at ?? null;
    },
    async complete(facts) {
      await finish("complete", {
        snapshot_xmin: facts.snapshotXmin,
        schema_fingerprint: facts.fingerprint,
        tenants: facts.tenants,
        rows: facts.rows,
        raw_bytes: facts.rawBytes,
        stored_bytes: facts.storedBytes,
        manifest_key: facts.manifestKey,
        manifest_sha256: facts.manifestSha256,
        left_out: facts.leftOut,
        kek_since: facts.kekSince?.toISOString() ?? null,
        referenced: facts.referenced,
        is_compared: facts.isCompared,
        unrecorded: facts.unrecorded,
      });
    },
    async fail(message) {
      if (id !== "") await finish("failed", { error: message });
    },
    async release() {
      await translated(() => sql`select bulkhead.hold_backup(${id}, ${token}::uuid, interval '0')`);
    },
  };

  async function finish(state: string, facts: Record<string, unknown>): Promise<void> {
    await translated(() =>
      sql`select bulkhead.finish_backup(${id}, ${token}::uuid, ${state}, ${
        json(facts)
      }::text::jsonb)`
    );
  }
}

const HINTS: Record<string, string> = {
  BH602: "Wait until it has ended: select * from bulkhead.backup_runs where state = 'running'",
  BH603: "Nothing: the other run goes on",
  // The run's row was another one at the end of a snapshot than at its begin.
  "40001": "Nothing: the other run goes on",
};

async function translated<T>(work: () => PromiseLike<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = typeof error === "object" && error !== null && "code" in error
      ? String(error.code)
      : "";
    const hint = HINTS[code];
    if (hint === undefined || !(error instanceof Error)) throw error;
    throw new BulkheadError(
      code === "40001" ? "BH603" : code,
      `Cannot go on with the backup: ${error.message}`,
      {
        kind: "red",
        hint,
        cause: error,
      },
    );
  }
}
