import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";
import { restoreTarget } from "../../functions/_core/adapters/postgres-restore.ts";
import type { Keyring } from "../../functions/_core/keys/keyring.ts";
import type { Manifest } from "../../functions/_core/backup/manifest-schema.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { counted } from "../../functions/_core/counted.ts";
import { restoreBackup, verifyBackup } from "../../functions/_core/backup/restore-backup.ts";
import type { DrillTarget } from "./drill-target.ts";
import { tenantAlone } from "./drill-tenant.ts";
import { runPgTap } from "./pgtap.ts";

/** One step of a drill and what it found. */
export type DrillStep = { step: string; ok: boolean; ms: number; detail: string };

/** The step that decides whether a backup is one. */
export const VERIFY = "verify every object";

/** What a drill found, for the report, the record and Slack. */
export type DrillReport = {
  backup: string;
  ok: boolean;
  problems: string[];
  steps: DrillStep[];
  startedAt: string;
  finishedAt: string;
  target: string;
  /** Rows of tenants' tables, the ledger not counted. */
  rows: number;
  tables: number;
  tests: number;
  /** Objects that were read to the last byte; 0 when one of them is not whole. */
  objects: number;
  backupStartedAt: string;
  /** From the backup's start to the drill's. */
  rpoSeconds: number;
  /** From the drill's start to restored and compared rows. */
  rtoSeconds: number;
};

/** The canaries that hold in any copy of the data; others watch a window of time that a copy does not have. */
const INVARIANTS = ["orphaned_rows", "tenant_misalignment"];

export type DrillOptions = {
  store: ObjectStore;
  keyring: Keyring;
  manifest: Manifest;
  sourceIdentity: string;
  openTarget: () => Promise<DrillTarget>;
  tests: readonly string[];
  say: (line: string) => void;
};

/**
 * Verify, restore, compare and test one backup in another Postgres. Never throws for what it finds: the report says.
 *
 * @example
 * const report = await runDrill({ store, keyring, manifest, sourceIdentity, openTarget, tests, say });
 */
export async function runDrill(options: DrillOptions): Promise<DrillReport> {
  const { manifest, store, keyring } = options;
  const started = Date.now();
  const steps: DrillStep[] = [];
  const problems: string[] = [];
  let target: DrillTarget | undefined;
  let restoredAt = 0;
  let tables = 0;
  let tests = 0;
  let objects = 0;
  const rows = manifest.objects.flatMap((object) => object.tables)
    .filter((table) => table.schema !== "bulkhead")
    .reduce((sum, table) => sum + table.rows, 0);

  const step = async (name: string, work: () => Promise<string>): Promise<boolean> => {
    const begun = Date.now();
    try {
      const detail = await work();
      steps.push({ step: name, ok: true, ms: Date.now() - begun, detail });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      problems.push(`${name}: ${detail}`);
      steps.push({ step: name, ok: false, ms: Date.now() - begun, detail });
    }
    const last = steps[steps.length - 1];
    options.say(`  ${last?.ok ? "ok  " : "FAIL"}  ${name}: ${last?.detail ?? ""}`);
    return last?.ok === true;
  };

  try {
    const isRestored = await step(VERIFY, async () => {
      const found = await verifyBackup({ store, keyring, manifest });
      objects = found.objects;
      return `${counted(found.objects, "object")}, ${
        counted(found.rows, "row")
      }, every byte read and authenticated`;
    }) && await step("start another Postgres", async () => {
      target = await options.openTarget();
      return `${target.name}, with the migrations`;
    }) && await step("restore and compare", async () => {
      const found = await withSql(target?.loadUrl, async (sql, url) => {
        const { sourceIdentity } = options;
        return await restoreBackup({
          store,
          keyring,
          manifest,
          target: restoreTarget(sql, { url, sourceIdentity }),
        });
      });
      restoredAt = Date.now();
      tables = found.tables;
      if (rows === 0) throw new Error("the backup holds no rows of tenants: nothing was proved");
      return `${found.rows} rows; counts and hashes of ${tables} tables equal; sequences set; keys hold`;
    });
    if (isRestored) {
      await step(
        "keys that point out of the backup",
        () => withSql(target?.loadUrl, (sql) => outsideKeys(sql, target?.isOwn === true)),
      );
      await step("audit trail", () => withSql(target?.url, (sql) => auditTrail(sql, manifest)));
      await step("canaries", () => withSql(target?.url, canaries));
      await step("pgTAP", async () => {
        const failed: string[] = [];
        for (const path of options.tests) {
          const file = await runPgTap(target?.url ?? "", path);
          tests += file.passed + file.failed.length;
          failed.push(...file.failed);
        }
        if (tests === 0) throw new Error("no test ran: nothing was proved");
        if (failed.length > 0) {
          throw new Error(`${failed.length} of ${tests} failed: ${failed.slice(0, 5).join("; ")}`);
        }
        return `${counted(tests, "test")} of ${counted(options.tests.length, "file")}`;
      });
      // Last: it writes, and what is looked at above is the backup as it came.
      await step(
        "one tenant alone",
        () => withSql(target?.url, (sql) => tenantAlone(sql, { store, keyring, manifest })),
      );
    }
  } finally {
    await target?.stop();
  }
  const finished = Date.now();
  return {
    backup: manifest.id,
    ok: problems.length === 0,
    problems,
    steps,
    startedAt: new Date(started).toISOString(),
    finishedAt: new Date(finished).toISOString(),
    target: target?.name ?? "none",
    rows: restoredAt === 0 ? 0 : rows,
    tables,
    tests,
    objects,
    backupStartedAt: manifest.startedAt,
    rpoSeconds: Math.max(0, (started - Date.parse(manifest.startedAt)) / 1000),
    rtoSeconds: ((restoredAt || finished) - started) / 1000,
  };
}

/**
 * Not a failure: auth.users is Supabase's own to restore. But whoever restores must know. In the drill's own
 * database the missing parents get placeholders, so that the canaries judge the backup and not the drill.
 */
async function outsideKeys(sql: Sql, isOwn: boolean): Promise<string> {
  const found = await sql<{ name: string; child: string; parent: string; rows: string }[]>`
    select b.name::text, b.child::text, b.parent::text, b.rows
    from bulkhead.broken_foreign_keys() as b
    where not b.is_exported
  `;
  if (found.length === 0) return "none is open";
  const waiting = found.map((key) => `${key.rows} rows of ${key.child} wait for ${key.parent}`)
    .join("; ");
  if (!isOwn) return waiting;
  for (const { name, child } of found) {
    const [statement] = await sql<{ text: string }[]>`
      select format('insert into %s (%s) select distinct %s from %s where %s on conflict do nothing',
        bulkhead.qualified(c.confrelid), bulkhead.quoted(bulkhead.columns_of(c.confrelid, c.confkey)),
        bulkhead.quoted(bulkhead.columns_of(c.conrelid, c.conkey)), bulkhead.qualified(c.conrelid),
        (select string_agg(format('%I is not null', k), ' and ') from unnest(bulkhead.columns_of(c.conrelid, c.conkey)) as k)) as text
      from pg_catalog.pg_constraint as c
      where c.conname = ${name} and c.conrelid = ${child}::text::regclass
    `;
    await sql.unsafe(statement?.text ?? "");
  }
  return `${waiting} (placeholders stand in for them in the drill's own database)`;
}

async function auditTrail(sql: Sql, manifest: Manifest): Promise<string> {
  const found = await sql<{ seq: string | null; part: string | null; problem: string }[]>`
    select v.seq, v.part::text, v.problem from bulkhead.verify_audit(${manifest.auditHead}) as v limit 5
  `;
  if (found.length > 0) {
    throw new Error(
      found.map((row) => `seal ${row.seq ?? "-"} ${row.part ?? ""}: ${row.problem}`).join("; "),
    );
  }
  const [count] = await sql<{ seals: string; events: string }[]>`
    select count(*) as seals, coalesce(sum(s.events), 0) as events from bulkhead.audit_seals as s
  `;
  return `${counted(Number(count?.events), "event")} under ${
    counted(Number(count?.seals), "seal")
  } match, and the head is the manifest's`;
}

async function canaries(sql: Sql): Promise<string> {
  const results = await sql<{ name: string; subject: string | null; status: string }[]>`
    select (r).name, (r).subject, (r).status from (select bulkhead.run_canaries('nightly') as r) as n
    union all
    select (r).name, (r).subject, (r).status from (select bulkhead.run_canaries() as r) as f
  `;
  // A key that is NOT VALID is so in the source, whose own canary speaks: the rows came back as they were.
  const lenient = await sql<{ child: string }[]>`
    select bulkhead.qualified(b.child) as child
    from bulkhead.broken_foreign_keys() as b
    join pg_catalog.pg_constraint as c on c.conrelid = b.child and c.conname = b.name
    where not c.convalidated
  `;
  const isAsBefore = (row: { name: string; subject: string | null }) =>
    row.name === "orphaned_rows" && lenient.some(({ child }) => child === row.subject);
  const invariant = results.filter((row) => INVARIANTS.includes(row.name));
  const bad = invariant.filter((row) => row.status !== "pass" && !isAsBefore(row));
  if (bad.length > 0) {
    throw new Error(bad.map((row) => `${row.name} ${row.subject ?? ""}: ${row.status}`).join("; "));
  }
  if (invariant.length === 0) throw new Error("no canary looked at the restored rows");
  const before = [...new Set(lenient.map(({ child }) => child))].join(", ");
  return `${results.length} results; ${INVARIANTS.join(" and ")} hold` +
    (before === "" ? "" : `, but for keys that are NOT VALID in the source too: ${before}`);
}

async function withSql<T>(
  url: string | undefined,
  work: (sql: Sql, url: string) => Promise<T>,
): Promise<T> {
  const sql = connect(url ?? "", { max: 1, applicationName: "bulkhead drill" });
  try {
    return await work(sql, url ?? "");
  } finally {
    await sql.end({ timeout: 1 });
  }
}
