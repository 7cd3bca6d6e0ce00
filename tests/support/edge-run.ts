import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { openSource } from "../../functions/_core/adapters/postgres-export.ts";
import { openEdgeLedger } from "../../functions/_core/adapters/postgres-runs.ts";
import {
  edgeBackup,
  type EdgeBackupOptions,
  type EdgeBackupOutcome,
} from "../../functions/_core/backup/edge-backup.ts";
import { listBackups } from "../../functions/_core/backup/manifest.ts";
import type { Manifest } from "../../functions/_core/backup/manifest-schema.ts";
import { objectsByTenant, tablesOf } from "../../functions/_core/backup/parts.ts";
import { openKeyring } from "../../functions/_core/keys/keyring.ts";
import type { BackupWorld } from "./backup-world.ts";
import { type Database, kitDatabase, type Server, withSql } from "./postgres.ts";
import { ROOT } from "./sql-files.ts";

/** COPY text of one part, small enough for a test. */
export const PART = 65_536;

/** Where a call works; `change` stands between the call and what it works with. */
export type EdgeCall = {
  url: string;
  world: BackupWorld;
  change?: (options: EdgeBackupOptions) => EdgeBackupOptions;
};

/**
 * One call of the function, in this process, with a worker of its own.
 *
 * @example
 * const { state } = await edgeCall({ url: db.url, world });
 */
export async function edgeCall({ url, world, change }: EdgeCall): Promise<EdgeBackupOutcome> {
  const sql = connect(url, { max: 1 });
  const source = await openSource(url, { shared: false });
  try {
    const options: EdgeBackupOptions = {
      source,
      ledger: openEdgeLedger(sql),
      store: world.store,
      keyring: await openKeyring({ store: world.store, kek: world.kek }),
      tool: "test",
      now: () => new Date(),
      callAgain: () => Promise.resolve(),
    };
    return await edgeBackup(change ? change(options) : options);
  } finally {
    await source.close();
    await sql.end({ timeout: 1 });
  }
}

/** Calls until the backup is complete; answers how many it took. */
export async function edgeRun(call: EdgeCall, limit = 200): Promise<number> {
  for (let calls = 1; calls <= limit; calls++) {
    const { state } = await edgeCall(call);
    if (state === "complete") return calls;
    if (state !== "continues") throw new Error(`the call ended ${state}`);
  }
  throw new Error(`not complete after ${limit} calls`);
}

/** Parts and tenants small enough for a test. */
export async function edgeLimits(
  url: string,
  of: { part: number; tenant?: number },
): Promise<void> {
  await withSql(url, (sql) =>
    sql`
      update bulkhead.settings
      set edge_part_bytes = ${of.part}, edge_tenant_bytes = ${of.tenant ?? 64 * 2 ** 20}
    `);
}

/** What a worker that was killed leaves: a lease that nobody renews, at its end. */
export async function leaseEnds(url: string): Promise<void> {
  await withSql(url, (sql) =>
    sql`
      update bulkhead.backup_runs set leased_until = now() - interval '1 second'
      where state = 'running' and lease_token is not null
    `);
}

/** An empty database with OpenHouse's schema. */
export async function emptyOpenhouse(server: Server): Promise<Database> {
  const db = await kitDatabase(server);
  for (const file of ["schema", "harden"]) {
    const sql = readFileSync(join(ROOT, `examples/openhouse/${file}.sql`), "utf8");
    await withSql(db.url, (target) => target.unsafe(sql));
  }
  return db;
}

/** The newest backup's manifest. */
export async function newest(world: BackupWorld): Promise<Manifest> {
  const [backup] = (await listBackups(world)).valid;
  assert.ok(backup);
  return backup.manifest;
}

/** The record, oldest first. */
export const runs = (url: string) =>
  withSql(url, (sql) => sql`select * from bulkhead.backup_runs order by started_at, id`);

/** Each tenant's tables as the manifest lists them against the database as it is now. */
export async function assertEqual(url: string, manifest: Manifest): Promise<void> {
  await withSql(url, async (sql) => {
    const [there] = await sql`select count(*)::int as n from bulkhead.tenants_to_export()`;
    assert.equal(objectsByTenant(manifest).size, Number(there?.["n"]) + 1);
    for (const [tenant, parts] of objectsByTenant(manifest)) {
      if (tenant === "@global") continue;
      for (const { schema, name, rows, contentHash } of tablesOf(parts)) {
        const [row] = await sql`
          select h.rows::int as rows, h.hash
          from bulkhead.content_hash(${`${schema}.${name}`}::text::regclass, ${tenant}) as h
        `;
        assert.deepEqual([rows, contentHash], [row?.["rows"], row?.["hash"]], `${tenant} ${name}`);
      }
    }
  });
}
