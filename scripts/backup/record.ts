import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";

/** That a backup was read back: `at` is when it began, `error` null when every byte was what its manifest says. */
export type Verification = { backup: string; at: string; objects: number; error: string | null };

/** That retention was applied; `overdue` backups should have gone and have not. */
export type PruneRecord = {
  kept: number;
  removed: number;
  overdue: number;
  stopped: string | null;
};

/**
 * Write a verification where `backup_verified` looks for it; one that failed is reported to Slack from there.
 *
 * @example
 * await recordVerification(sql, { backup: id, at: manifest.startedAt, objects: 4, error: null });
 */
export async function recordVerification(sql: Sql, found: Verification): Promise<void> {
  const row = {
    backup_id: found.backup,
    backup_at: found.at,
    objects: found.objects,
    error: found.error,
  };
  await sql`select bulkhead.record_verification(${JSON.stringify(row)}::text::jsonb)`;
}

/** That a backup was read back, when (RFC 3339), and whether it was whole. */
export type LastRead = { readonly at: string; readonly isWhole: boolean };

/** The last time that each backup was read back, by its id, as far as the record goes. */
export async function lastVerified(sql: Sql): Promise<Map<string, LastRead>> {
  const rows = await sql<{ backup: string; at: Date; whole: boolean }[]>`
    select distinct on (v.backup_id) v.backup_id as backup, v.verified_at as at, v.is_whole as whole
    from bulkhead.verifications as v
    order by v.backup_id, v.verified_at desc, v.id desc
  `;
  return new Map(
    rows.map(({ backup, at, whole }) => [backup, { at: at.toISOString(), isWhole: whole }]),
  );
}

/** Write a run of `prune --apply` where `retention_overdue` looks for it; one that stopped is reported. */
export async function recordPrune(sql: Sql, found: PruneRecord): Promise<void> {
  await sql`select bulkhead.record_prune(${JSON.stringify(found)}::text::jsonb)`;
}

/**
 * Connect to the database that keeps the record before the work begins: after it, a wrong address would cost the record.
 *
 * @example
 * await using record = await openRecord(url);
 */
export async function openRecord(url: string): Promise<AsyncDisposable & { sql: Sql }> {
  const sql = connect(url, { max: 1, applicationName: "bulkhead record" });
  const close = () => sql.end({ timeout: 1 });
  try {
    await sql`select 1`;
  } catch (error) {
    await close();
    throw error;
  }
  return { sql, [Symbol.asyncDispose]: close };
}
