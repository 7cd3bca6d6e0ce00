import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import postgres from "postgres";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
} from "./support/postgres.ts";

type Row = { name: string; subject: string; status: string; severity: string; detail: string };

describe("canaries of OpenHouse", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  let other: postgres.Sql;

  before(async () => {
    server = await startPostgres();
  });
  after(async () => {
    await server?.stop();
  });
  // A database each: a cursor, a history and a ledger can't be rolled back.
  beforeEach(async () => {
    db = await openhouseDatabase(server, { rows: 3000 });
    const options = { max: 1, onnotice: () => {}, prepare: false };
    sql = postgres(db.url, options);
    other = postgres(db.url, options);
    // What is not sealed cannot be sampled, and would be unknown.
    await sql`select bulkhead.seal()`;
  });
  afterEach(async () => {
    await sql.end({ timeout: 1 });
    await other.end({ timeout: 1 });
    await db.drop();
  });

  const run = (cadence = "five_minutes", client = sql) =>
    client<
      Row[]
    >`select name, subject, status, severity, detail from bulkhead.run_canaries(${cadence})`;
  const statusOf = async (name: string) =>
    (await run()).filter((row) => row.name === name).map((row) => row.status).join();
  const alerts = async () =>
    (await sql`select kind from bulkhead.alert_outbox order by id`).map((row) => row["kind"])
      .join();
  const dropKeys = () =>
    sql`alter table public.messages drop constraint messages_unit_id_fkey, drop constraint messages_development_id_fkey`;
  /** A message of a unit that does not exist. */
  const orphan = (client: postgres.Sql | postgres.TransactionSql) =>
    client`
      insert into public.messages (tenant_id, development_id, unit_id, sender, body)
      select tenant_id, development_id, gen_random_uuid(), 'resident', 'x' from public.messages limit 1`;

  /** Do something in a transaction of another connection, and leave it open until told to end. */
  async function hold(work: (tx: postgres.TransactionSql) => Promise<unknown>) {
    let release = () => {};
    const released = new Promise<void>((resolve) => release = resolve);
    let ended: Promise<unknown> = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      ended = other.begin(async (tx) => {
        await work(tx);
        resolve();
        await released;
      });
      ended.catch(reject);
    });
    return () => {
      release();
      return ended;
    };
  }

  test("a hardened OpenHouse passes every canary, every five minutes and at night", async () => {
    for (const [at, cadence] of ["five_minutes", "five_minutes", "nightly"].entries()) {
      const rows = await run(cadence);
      // The first pass of all is whole.
      const isWhole = at !== 1;
      assert.deepEqual(rows.map((row) => `${row.name} ${row.status}`).sort(), [
        "abnormal_deletes pass",
        ...(isWhole ? ["attack_probe pass"] : []),
        "audit_completeness pass",
        "boundary_drift pass",
        ...(isWhole ? ["cron_history pass"] : []),
        "delivery_findings pass",
        "failed_cron_jobs pass",
        "failed_onboarding pass",
        ...(isWhole ? ["ledger_sample pass"] : []),
        "orphaned_rows pass",
        "pg_net_errors pass",
        "refused_writes pass",
        "schedule_findings pass",
        "tenant_misalignment pass",
        "trail_findings pass",
      ]);
    }
    const checks = await sql<Row[]>`select * from bulkhead.checks_canaries()`;
    assert.deepEqual(new Set(checks.map((row) => row.status)), new Set(["pass"]));
    assert.equal(await alerts(), "");
  });

  test("a quarter of a tenant's messages deleted is one alert, and resolved when they are back", async () => {
    await run();
    await sql.begin(async (tx) => {
      await tx`create temporary table gone on commit preserve rows as
        select m.* from public.messages as m
        where m.tenant_id = (select tenant_id from public.messages group by 1 order by count(*) desc limit 1)
        order by m.id limit 300`;
      await tx`select set_config('bulkhead.actor', 'mallory', true)`;
      await tx`delete from public.messages where id in (select id from gone)`;
    });
    const found = (await run()).filter((row) => row.status !== "pass");
    assert.equal(found.length, 1);
    assert.match(found[0]!.subject, /^public\.messages, tenant [0-9a-f-]{36}$/);
    assert.match(found[0]!.detail, /300 row\(s\) .* by postgres for mallory in transaction \d+/);
    await run();
    assert.equal(await alerts(), "opened");
    await sql`insert into public.messages select * from gone`;
    await run();
    assert.equal(await alerts(), "opened", "one clean run is not enough");
    await run();
    assert.equal(await alerts(), "opened,resolved");
  });

  test("the cursor does not miss rows of a transaction that was open when the pass looked", async () => {
    await dropKeys();
    await run();
    const end = await hold((tx) => orphan(tx));
    // Later transactions commit and passes run while it is open.
    await sql`update public.units set floor = 1 where id = (select id from public.units limit 1)`;
    assert.equal(await statusOf("orphaned_rows"), "pass");
    await sql`update public.units set floor = 2 where id = (select id from public.units limit 1)`;
    assert.equal(await statusOf("orphaned_rows"), "pass");
    await end();
    assert.equal(await statusOf("orphaned_rows"), "fail");
    assert.equal(await statusOf("orphaned_rows"), "fail", "it stays red while the row is there");
  });

  test("a transaction left open elsewhere hides nothing", async () => {
    await dropKeys();
    await run();
    const end = await hold((tx) => tx`select pg_current_xact_id()`);
    await orphan(sql);
    await sql`delete from public.messages where id in (select id from public.messages where tenant_id is not null limit 2000)`;
    const rows = await run();
    await end();
    const failing = new Set(rows.filter((row) => row.status === "fail").map((row) => row.name));
    assert.ok(failing.has("abnormal_deletes"));
    assert.ok(failing.has("orphaned_rows"));
  });

  test("two passes at once are one pass, and neither looks green for nothing", async () => {
    await dropKeys();
    await orphan(sql);
    const end = await hold((tx) => tx`select count(*) from bulkhead.run_canaries()`);
    const second = await run();
    await end();
    assert.deepEqual(second.map((row) => `${row.name} ${row.status}`), [
      "canaries_running unknown",
    ]);
    const [counted] =
      await sql`select count(*)::int as open from bulkhead.incidents where state = 'open'`;
    assert.equal(counted?.["open"], 1);
    assert.equal(await alerts(), "opened");
  });

  test("the nightly pass does not blind the one every five minutes", async () => {
    await run();
    // As the nightly pass does first, long before it is over.
    const end = await hold((tx) => tx`select bulkhead.roll_up_deletes()`);
    await sql`delete from public.messages where id in (select id from public.messages limit 1500)`;
    const found = (await run()).filter((row) => row.status !== "pass");
    await end();
    assert.deepEqual(
      new Set(found.map((row) => `${row.name} ${row.status}`)),
      new Set(["abnormal_deletes fail"]),
    );
    const deletes = () => sql`select sum(deleted)::int as n from bulkhead.delete_hours`;
    await run();
    assert.equal((await deletes())[0]?.["n"], 1500, "and each delete is rolled up once");
    await run();
    assert.equal((await deletes())[0]?.["n"], 1500);
  });

  test("every query of every runbook runs", async () => {
    const folder = new URL("../docs/runbooks/", import.meta.url);
    let queries = 0;
    for (const file of readdirSync(folder)) {
      const text = readFileSync(new URL(file, folder), "utf8");
      for (const [, block = ""] of text.matchAll(/```sql\n([\s\S]*?)```/g)) {
        queries += 1;
        const query = block.replaceAll("<tenant>", randomUUID()).replaceAll("<id>", randomUUID());
        await assert.doesNotReject(sql.unsafe(query), `${file}: ${block}`);
      }
    }
    assert.ok(queries >= 8);
  });

  test("a table that somebody locks is unknown within seconds, and the other checks go on", async () => {
    await run();
    const end = await hold((tx) => tx`lock table public.messages in access exclusive mode`);
    const started = Date.now();
    const rows = await run("nightly");
    await end();
    assert.ok(Date.now() - started < 40_000);
    const unknown = rows.filter((row) => row.status === "unknown");
    assert.deepEqual(
      new Set(unknown.map((row) => row.subject)),
      new Set(["coverage", "public.messages"]),
    );
    const probe = unknown.find((row) => row.subject === "coverage");
    assert.match(
      probe?.detail ?? "",
      /\d of 6 table.*public\.messages: no row could be made: 55P03/,
    );
    assert.ok(rows.some((row) => row.name === "failed_onboarding" && row.status === "pass"));
    await run();
    await run();
    const [blind] = await sql`
      select array_agg(distinct state) as states from bulkhead.incidents
      where status = 'unknown' and subject = 'public.messages'`;
    assert.deepEqual(blind?.["states"], ["resolved"]);
  });
});
