import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { depth } from "./support/depth.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
} from "./support/postgres.ts";

type Row = { name: string; subject: string; status: string; detail: string };

let server: Server;
let db: Database;
let sql: postgres.Sql;
let other: postgres.Sql;
before(async () => void (server = await startPostgres()));
after(() => server?.stop());
beforeEach(async () => {
  db = await openhouseDatabase(server, { rows: 300 });
  const options = { max: 1, onnotice: () => {}, prepare: false };
  sql = postgres(db.url, options);
  other = postgres(db.url, options);
});
afterEach(async () => {
  await sql.end({ timeout: 1 });
  await other.end({ timeout: 1 });
  await db.drop();
});

const add = (name: string, query: string, rest = "") =>
  sql.unsafe(`select bulkhead.add_canary('${name}', $q$${query}$q$${rest})`);
const run = async (name: string) => {
  const [row] = await sql<Row[]>`
    select r.* from bulkhead.run_canary(bulkhead.begin_canary(${name}, 'nightly')) as r`;
  return row!;
};
const grant = () => sql`grant select on public.messages, public.units to bulkhead_canary`;
const incidents = async () =>
  (await sql`select name || ' ' || status || ' ' || state as line from bulkhead.incidents order by id`)
    .map((row) => String(row["line"]));

test("add_canary(): each row is an offender; remove_canary() ends its incident", async () => {
  await grant();
  await sql`create table public.flags (id integer primary key, subject text, tenant_id text)`;
  await sql`grant select on public.flags to bulkhead_canary`;
  await add("raised_flags", "select id, subject, tenant_id from public.flags -- every one");
  assert.equal((await run("raised_flags")).status, "pass");
  await sql`insert into public.flags values (1, 'harbour', 'acme'), (2, 'harbour', 'birch'), (3, 'bridge', 'acme')`;
  await sql`call bulkhead.run_pass()`;
  const rows = await sql<
    Row[]
  >`select * from bulkhead.checks_canaries() where name = 'raised_flags'`;
  assert.deepEqual(rows.map((row) => `${row.subject} ${row.status}`), [
    "bridge fail",
    "harbour fail",
  ]);
  assert.match(rows[1]!.detail, /^2 row\(s\)\nTenants: acme, birch$/);
  assert.deepEqual(await incidents(), ["raised_flags fail open", "raised_flags fail open"]);
  assert.deepEqual([...await sql`select bulkhead.remove_canary('raised_flags') as gone`], [{
    gone: true,
  }]);
  assert.deepEqual(await incidents(), ["raised_flags fail resolved", "raised_flags fail resolved"]);
  assert.deepEqual([...await sql`select bulkhead.remove_canary('raised_flags') as gone`], [{
    gone: false,
  }]);
});

test("add_canary() sees every tenant's rows, and the threshold as a setting", async () => {
  await grant();
  await add(
    "many_messages",
    "select count(*) as observed, 'messages' as subject from public.messages having count(*) > (current_setting('bulkhead.threshold')::jsonb ->> 'max')::int",
    `, '{"max": 100}'`,
  );
  const row = await run("many_messages");
  assert.equal(row.status, "fail");
  const [all] = await sql`select count(*)::int as n from public.messages`;
  assert.match(
    (await sql`select (result).observed::int as n from bulkhead.canary_results order by run_id desc limit 1`)[
      0
    ]!["n"].toString(),
    new RegExp(`^${all?.["n"]}$`),
  );
});

test("add_canary() refuses what cannot run, and names that are taken", async () => {
  for (
    const [name, query, says] of [
      ["typo", "select from nowhere_at_all", /relation "nowhere_at_all" does not exist/],
      [
        "secret",
        "select * from public.onboarding_attempts",
        /grant select on table … to bulkhead_canary/,
      ],
      ["orphaned_rows", "select 1", /Bulkhead has a check of that name/],
      ["rls_disabled", "select 1", /Bulkhead has a check of that name/],
      ["Not a name", "select 1", /canaries_name_check/],
      [
        "writer",
        "with gone as (delete from public.messages returning id) select * from gone",
        /top level/,
      ],
      ["several", "select 1) as a; drop table public.messages; --", /Cannot add canary "several"/],
    ] as const
  ) {
    await assert.rejects(add(name, query), (error: Error & { code?: string }) => {
      assert.equal(error.code, "BH405", error.message);
      assert.match(error.message, says);
      return true;
    });
  }
  await assert.rejects(sql`select bulkhead.remove_canary('orphaned_rows')`, { code: "BH405" });
  const [own] = await sql`select count(*)::int as n from bulkhead.canaries where query is not null`;
  assert.equal(own?.["n"], 0);
});

test("a query that writes, raises or returns garbage is unknown, changes nothing, and hides no other check", async () => {
  await grant();
  await sql.unsafe(`
    create function public.sneak() returns bigint language plpgsql security definer set search_path = '' as $f$
      begin delete from public.messages; return 1; end $f$;
    create function public.burst() returns text language plpgsql as $f$ begin raise exception 'boom'; end $f$;
    create function public.quiet() returns void language plpgsql as $f$ begin perform pg_advisory_xact_lock(1); end $f$;`);
  await add("writes", "select public.sneak()");
  await add("becomes", "select set_config('role', 'none', false), public.sneak()");
  await sql.unsafe(
    "create sequence public.numbers; grant usage on sequence public.numbers to bulkhead_canary",
  );
  await add("draws", "select nextval('public.numbers')");
  await add("raises", "select public.burst()");
  await add("garbage", "select 'a lot' as observed");
  await add("fine", "select public.quiet() where false");
  const count = async () => (await sql`select count(*)::int as n from public.messages`)[0]!["n"];
  const was = await count();
  await sql`call bulkhead.run_pass()`;
  const rows = await sql<Row[]>`
    select c.* from bulkhead.checks_canaries() as c join bulkhead.canaries as k using (name) where k.query is not null order by 1`;
  assert.deepEqual(rows.map((row) => `${row.name} ${row.status}`), [
    "becomes unknown",
    "draws unknown",
    "fine pass",
    "garbage unknown",
    "raises unknown",
    "writes unknown",
  ]);
  assert.match(rows[5]!.detail, /read-only transaction/);
  assert.equal(await count(), was);
  const passed = await sql<Row[]>`select * from bulkhead.checks_canaries() where status = 'pass'`;
  assert.ok(passed.some((row) => row.name === "orphaned_rows"));
  assert.equal((await incidents()).filter((line) => line.endsWith(" unknown open")).length, 5);
});

test("a check that hangs is seen running, cancelled by the reaper, unknown; the pass goes on, and it comes last next time", async () => {
  await add("aaa_hangs", "select pg_sleep(600)", `, time_limit => '1 second'`);
  const pass = sql`call bulkhead.run_pass()`.then(() => "done");
  await until(async () =>
    (await other`select from bulkhead.canary_runs where canary = 'aaa_hangs' and status = 'running'`)
      .length === 1
  );
  assert.deepEqual([...await other`select bulkhead.reap_canaries() as n`], [{ n: 0 }], "not yet");
  await sleep(1100);
  assert.deepEqual([...await other`select bulkhead.reap_canaries() as n`], [{ n: 1 }]);
  assert.equal(await pass, "done");
  const runs = await sql`select canary, status from bulkhead.canary_runs order by id`;
  assert.deepEqual({ ...runs[0] }, { canary: "aaa_hangs", status: "unknown" });
  assert.ok(runs.some((row) => row["canary"] === "orphaned_rows" && row["status"] === "pass"));
  assert.deepEqual(await incidents(), ["aaa_hangs unknown open"]);
  const due = await sql`select name from bulkhead.due_canaries('five_minutes')`;
  assert.equal(due.at(-1)?.["name"], "aaa_hangs");
  assert.notEqual(due[0]?.["name"], "aaa_hangs");
});

test("a check whose session dies is unknown, opens its own incident and resolves none; the turn is free again", async () => {
  await grant();
  await add("aaa_dies", "select 1 as observed, 'x' as subject");
  await sql`call bulkhead.run_pass()`;
  assert.deepEqual(await incidents(), ["aaa_dies fail open"]);
  await add("aaa_dies", "select 1 as observed, 'x' as subject, pg_sleep(600)");
  const third = postgres(db.url, { max: 1, onnotice: () => {} });
  const pass = third`call bulkhead.run_pass()`.catch((error: Error) => error.message);
  await until(async () =>
    (await other`select from bulkhead.canary_runs where canary = 'aaa_dies' and status = 'running'`)
      .length === 1
  );
  await other`select pg_terminate_backend(pid) from bulkhead.canary_runs where status = 'running'`;
  assert.match(String(await pass), /terminat|CONNECTION/);
  await third.end({ timeout: 1 });
  await until(async () =>
    Number((await other`select bulkhead.reap_canaries() as n`)[0]!["n"]) === 1
  );
  assert.deepEqual(
    await other`select bulkhead.reap_canaries() as n`.then((rows) => rows[0]!["n"]),
    0,
  );
  assert.deepEqual((await incidents()).slice(0, 2), [
    "aaa_dies fail open",
    "aaa_dies unknown open",
  ]);
  await add("aaa_dies", "select 1 as observed, 'x' as subject");
  await other`call bulkhead.run_pass()`;
  const [last] =
    await sql`select status from bulkhead.canary_runs where canary = 'aaa_dies' order by id desc limit 1`;
  assert.equal(last?.["status"], "fail");
});

test("two passes at once are one pass", async () => {
  await add("aaa_slow", "select 1 where false");
  // Asked of each row, or the planner would leave the sleep out.
  await sql`update bulkhead.canaries set query = 'select 1 from pg_sleep(2) as s (slept) where slept::text <> $$$$' where name = 'aaa_slow'`;
  const began = performance.now();
  await Promise.all([
    sql`call bulkhead.run_pass()`,
    sleep(300).then(() => other`call bulkhead.run_pass()`),
  ]);
  assert.ok(performance.now() - began > 2000, "the first was at work when the second came");
  const [runs] =
    await sql`select count(*)::int as n from bulkhead.canary_runs where canary = 'aaa_slow'`;
  assert.equal(runs?.["n"], 1);
});

test("what the time of a sweep does not reach is unknown, and named", async () => {
  await sql`call bulkhead.run_pass('nightly', '0 seconds')`;
  const rows = await sql<Row[]>`select c.* from bulkhead.canary_runs as r
    join bulkhead.canary_results as s on s.run_id = r.id cross join lateral (select (s.result).*) as c`;
  assert.ok(rows.length > 10);
  assert.deepEqual(new Set(rows.map((row) => row.status)), new Set(["unknown"]));
  assert.match(rows[0]!.detail, /not reached: the time of this pass was spent/);
  const [tables] = await sql<Row[]>`
    select * from bulkhead.canary_orphaned_rows(jsonb_build_object('deadline', clock_timestamp()))`;
  assert.equal(tables?.status, "unknown");
  assert.match(tables?.detail ?? "", /^6 of 6 table\(s\) were not reached.*public\.messages/);
});

test("findings of the status become incidents under their own names, after two days, and resolve", async () => {
  await sql`call bulkhead.run_pass()`;
  assert.deepEqual(await incidents(), []);
  await sql`update bulkhead.settings set configured_at = now() - interval '3 days'`;
  await sql`select bulkhead.declare_settings()`;
  await sql`update bulkhead.canaries set is_enabled = false where name in ('delivery_findings', 'schedule_findings', 'trail_findings')`;
  await sql`call bulkhead.run_pass()`;
  assert.deepEqual(await incidents(), []);
  await sql`alter table public.messages disable row level security`;
  await sql`call bulkhead.run_pass()`;
  assert.deepEqual(await incidents(), ["rls_disabled fail open"]);
  const said = await sql<
    Row[]
  >`select name from bulkhead.checks() where name in ('rls_disabled', 'boundary_drift') and status <> 'pass'`;
  assert.deepEqual(said.map((row) => row.name), ["rls_disabled"], "nothing is said twice");
  await sql`alter table public.messages enable row level security`;
  await sql`call bulkhead.run_pass()`;
  await sql`call bulkhead.run_pass()`;
  assert.deepEqual(await incidents(), ["rls_disabled fail resolved"]);
});

test("refused writes, failing calls, pg_cron's history, quotas and a rewritten ledger are found, and gone when they are", async () => {
  assert.equal((await run("refused_writes")).status, "pass");
  await sql.unsafe(`do $$ begin for i in 1 .. 11 loop
    perform bulkhead_api.record_refused_write('public.messages', 'insert', 'no tenant is named'); end loop; end $$`);
  assert.match(
    (await run("refused_writes")).detail,
    /^11 refused write\(s\) were reported: postgres on public\.messages/,
  );

  assert.equal((await run("pg_net_errors")).status, "pass");
  await sql`insert into net._http_response (id, status_code, timed_out) select i, 503, false from generate_series(1, 12) as i`;
  assert.match(
    (await run("pg_net_errors")).detail,
    /^12 of 12 call\(s\) by pg_net failed, the last with: status 503/,
  );
  await sql`insert into net._http_response (id, status_code, timed_out) select i, 200, false from generate_series(101, 120) as i`;
  assert.equal((await run("pg_net_errors")).status, "pass", "a share that is small is none");

  assert.equal((await run("cron_history")).status, "pass");
  await sql`update bulkhead.canaries set threshold = '{"max": 2}' where name = 'cron_history'`;
  await sql`insert into cron.job_run_details (command) values ('a'), ('b'), ('c')`;
  assert.equal((await run("cron_history")).status, "fail");

  assert.equal(await run("tenant_quotas"), undefined, "nobody asked for it");
  await run("audit_completeness");
  await sql`update bulkhead.canaries set threshold = '{"rows": 1000000}' where name = 'tenant_quotas'`;
  assert.equal((await run("tenant_quotas")).status, "pass");
  const [tenant] =
    await sql`select tenant_id from bulkhead.ledger_gaps where tenant_id <> '' order by gap desc limit 1`;
  await sql`update bulkhead.canaries set threshold = ${
    sql.json({ rows: 1e6, tenants: { [String(tenant?.["tenant_id"])]: { rows: 3 } } })
  } where name = 'tenant_quotas'`;
  assert.match(
    (await run("tenant_quotas")).subject,
    new RegExp(`^tenant ${tenant?.["tenant_id"]}, rows`),
  );

  await sql`update public.units set label = label || ' b' where tenant_id is not null`;
  await sql`select bulkhead.seal()`;
  assert.equal((await run("ledger_sample")).status, "pass");
  const superuser = postgres(db.superUrl, { max: 1, onnotice: () => {} });
  await superuser.unsafe(`set session_replication_role = replica;
    do $$ declare p text; begin
      select tableoid::regclass::text into p from bulkhead.audit_events where operation = 'UPDATE' limit 1;
      execute format('alter table %s disable trigger all; update %1$s set actor = ''somebody else'' where operation = ''UPDATE''', p);
    end $$`);
  await superuser.end();
  assert.equal((await run("ledger_sample")).status, "fail");
});

test("ledger_sample reads no more events than it may, and every seal sooner or later", async () => {
  for (let n = 0; n < 6; n++) {
    await sql.unsafe(
      `update public.units set label = label || '${n}' where id in (select id from public.units limit 10)`,
    );
    await sql`select bulkhead.seal()`;
  }
  const [{ last } = { last: 0 }] = await sql<
    { last: number }[]
  >`select max(seq)::int as last from bulkhead.audit_seals`;
  const range = async () => {
    const [, from, to] = /^Seals (\d+) to (\d+) of/.exec((await run("ledger_sample")).detail) ?? [];
    return { from: Number(from), to: Number(to) };
  };
  assert.deepEqual(await range(), { from: 1, to: last }, "all of them, where they are few");
  await sql`update bulkhead.canaries set threshold = '{"seals": 100, "events": 25}' where name = 'ledger_sample'`;
  const seen = new Set<number>();
  for (let n = 0; n < 60; n++) {
    const { from, to } = await range();
    const [{ events } = { events: 0 }] = await sql<{ events: number }[]>`
      select sum(events)::int as events from bulkhead.audit_seals where seq between ${from} and ${to}`;
    assert.ok(events <= 25 || from === to, `${from} to ${to}: ${events}`);
    for (let seq = from; seq <= to; seq++) seen.add(seq);
  }
  assert.equal(seen.size, last);
});

test("a bulk load among the newest seals is not read every five minutes", async () => {
  const rows = depth({ quick: 0, full: 200_001 });
  const [from] = await sql`
    select tenant_id, development_id, unit_id, sender from public.messages limit 1`;
  const changed = async () => {
    await sql`update public.units set label = label || ' b' where id in (select id from public.units limit 5)`;
    await sql`select bulkhead.seal()`;
  };
  await changed();
  await changed();
  if (rows > 0) {
    await sql`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
      select ${from!["tenant_id"]}, ${from!["development_id"]}, ${from!["unit_id"]}, ${
      from!["sender"]
    }, 'x' from generate_series(1, ${rows}::int)`;
    await sql`select bulkhead.seal()`;
  }
  await changed();
  // As the owner of everything may: an event of the newest seal, and one of the third newest.
  const [newest, older] = await sql<{ lo: string; hi: string }[]>`
    (select lo, hi from bulkhead.audit_seals where kind = 'seal' order by seq desc limit 1)
    union all (select lo, hi from bulkhead.audit_seals where kind = 'seal' order by seq desc offset 2 limit 1)`;
  const forge = async (seal: { lo: string; hi: string } | undefined) => {
    const superuser = postgres(db.superUrl, { max: 1, onnotice: () => {} });
    await superuser.unsafe(`set session_replication_role = replica;
      do $$ declare p text; begin
        select tableoid::regclass::text into p from bulkhead.audit_events limit 1;
        execute format('alter table %s disable trigger all; update %1$s set actor = ''somebody else'' where xid >= ${
      seal!.lo
    } and xid < ${seal!.hi}', p);
      end $$`);
    await superuser.end();
  };
  const broken = async () =>
    (await sql`select subject from bulkhead.findings('trail') where name = 'seal_broken'`).length >
      0;
  assert.equal(await broken(), false);
  await forge(older);
  assert.equal(await broken(), rows === 0, "beyond 200,000 events it is for the night");
  assert.equal(
    (await sql`select 1 from bulkhead.verify_audit()`).length > 0,
    true,
    "where it is found",
  );
  await forge(newest);
  assert.equal(await broken(), true);
});

/** Ask until the answer is yes; a minute is too long. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await ask()) return;
    await sleep(100);
  }
  assert.fail("it did not happen within a minute");
}
