import { type Activity, activity, HISTORY_HOURS } from "../status/activity.ts";
import type { Sql, TransactionSql } from "./postgres.ts";

/**
 * What happened lately, read in one snapshot.
 *
 * @example
 * const { incidents, drills } = await readActivity(sql);
 */
export async function readActivity(sql: Sql): Promise<Activity> {
  return await sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx`set local statement_timeout = '30s'`;
    const [ledger] = await tx`
      select bulkhead.audit_head() as head,
        (select count(*)::float8 from bulkhead.audit_seals) as seals,
        (select to_jsonb(s.sealed_at) from bulkhead.audit_seals as s order by s.seq desc limit 1) as sealed_at,
        (select to_jsonb(max(r.finished_at)) from bulkhead.backup_runs as r where r.state = 'complete') as anchored_at
    `;
    const [verified] = await tx`
      select v.backup_id, to_jsonb(v.verified_at) as verified_at
      from bulkhead.verifications as v where v.is_whole order by v.verified_at desc limit 1
    `;
    return activity.parse({
      incidents: await tx`
        select i.id::float8 as id, i.name, i.subject, i.title, i.severity, i.fingerprint,
          to_jsonb(i.opened_at) as opened_at, to_jsonb(i.resolved_at) as resolved_at
        from bulkhead.incidents as i
        where i.state = 'open' or i.resolved_at > now() - interval '30 days'
        order by i.state, i.opened_at desc
        limit 100
      `,
      canaries: await canaries(tx),
      tenants: await tx`
        select b.tenant_id as tenant, b.backup_id, to_jsonb(b.backed_up_at) as backed_up_at,
          (
            select sum((o.entry ->> 'size')::float8)
            from bulkhead.backup_objects as o
            where o.backup_id = b.backup_id and o.tenant_id = b.tenant_id
          ) as stored_bytes
        from bulkhead.tenant_backups as b
        order by b.backed_up_at, b.tenant_id
        limit 50
      `,
      verified: verified ?? null,
      drills: await tx`
        select d.backup_id, to_jsonb(d.finished_at) as finished_at, d.is_passed, d.restored_rows::float8 as rows,
          d.rto_seconds::float8 as rto_seconds, d.rpo_seconds::float8 as rpo_seconds
        from bulkhead.drills as d order by d.finished_at desc limit 12
      `,
      ledger,
      migration: await newestMigration(tx),
    });
  });
}

/** The worst of each hour. */
async function canaries(tx: TransactionSql): Promise<readonly unknown[]> {
  return await tx`
    select c.name, c.title,
      (select to_jsonb(max(r.finished_at)) from bulkhead.canary_runs as r where r.canary = c.name) as last_run_at,
      (
        select jsonb_agg(w.worst order by h.hour)
        from generate_series(${HISTORY_HOURS - 1}, 0, -1) as a (age)
        cross join lateral (select date_trunc('hour', now()) - make_interval(hours => a.age) as hour) as h
        left join lateral (
          select case
            when bool_or(r.status = 'fail') then 'fail'
            when bool_or(r.status = 'unknown') then 'unknown'
            when bool_or(r.status = 'pass') then 'pass'
          end as worst
          from bulkhead.canary_runs as r
          where r.canary = c.name and r.started_at >= h.hour and r.started_at < h.hour + interval '1 hour'
        ) as w on true
      ) as hours
    from bulkhead.canaries as c
    where c.is_enabled
    order by c.name
  `;
}

async function newestMigration(tx: TransactionSql): Promise<string | null> {
  const [found] =
    await tx`select to_regclass('supabase_migrations.schema_migrations') is not null as is_there`;
  if (!found?.["is_there"]) return null;
  const [row] =
    await tx`select version || '_' || name as newest from supabase_migrations.schema_migrations order by version desc limit 1`;
  return row?.["newest"] ?? null;
}
