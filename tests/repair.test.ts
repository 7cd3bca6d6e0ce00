import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runPgTap } from "../scripts/backup/pgtap.ts";
import {
  cloneOf,
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead as runProgram, type Ran } from "./support/project.ts";

const SUITE = fileURLToPath(
  new URL("../examples/openhouse/tests/openhouse.test.sql", import.meta.url),
);
const CATEGORIES = "array['boundary', 'trail', 'guard', 'schedule']";

const bulkhead = (db: Database, ...args: string[]): Promise<Ran> =>
  runProgram(args, { env: { DATABASE_URL: db.url } });

const run = (url: string, statements: string) => withSql(url, (sql) => sql.unsafe(statements));

type Finding = { name: string; subject: string; fingerprint: string; status: string };

const findings = (db: Database) =>
  withSql(db.url, (sql) =>
    sql.unsafe<Finding[]>(`
      select f.name, f.subject, f.fingerprint, f.status
      from unnest(${CATEGORIES}) as part (name)
      cross join lateral bulkhead.findings(part.name) as f`));
const audited = (db: Database, action: string) =>
  withSql(db.url, (sql) =>
    sql<{ table_name: string; metadata: Record<string, unknown> }[]>`
      select table_name, metadata from bulkhead.audit_events
      where operation = ${`bulkhead.${action}`} order by id desc`);

const BREAK = `
  alter table public.messages disable row level security;
  drop policy bulkhead_tenant on public.units;
  alter table public.units disable trigger bulkhead_insert;
  grant select on public.messages to anon;
  alter table public.messages drop constraint messages_unit_id_fkey;
  grant delete on bulkhead.audit_events to service_role;
  create or replace function bulkhead.caller() returns name language sql as 'select current_user';
  create table public.orders (id uuid primary key, tenant_id uuid not null)`;

describe("repair, accept and attest", () => {
  let server: Server;
  let openhouse: Database;
  before(async () => {
    server = await startPostgres();
    openhouse = await openhouseDatabase(server, { rows: 300 });
    await run(openhouse.url, "select bulkhead.schedule(); select bulkhead.seal()");
  });
  after(() => server.stop());
  /** A copy of its own; pg_cron's jobs name their database, so it needs its own. */
  const copied = async () => {
    const db = await cloneOf(server, openhouse.name);
    await run(db.url, "select bulkhead.schedule()");
    return db;
  };

  test("repair finds nothing to do where the declared state stands", async () => {
    await using db = await copied();
    const ran = await bulkhead(db, "repair");
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /Nothing to repair/);
  });

  test("repair shows its statements and runs none without --apply", async () => {
    await using db = await copied();
    await run(db.url, BREAK);
    const earlier = (await findings(db)).length;
    const ran = await bulkhead(db, "repair");
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /alter table public\.messages enable row level security/);
    assert.match(ran.stdout, /create or replace function bulkhead\.caller/i);
    assert.match(ran.stdout, /to run: bulkhead repair --apply/);
    assert.equal((await findings(db)).length, earlier);
    assert.equal((await audited(db, "repair")).length, 0);
  });

  test("repair --apply puts everything back but what needs a decision, and the ledger says so", async () => {
    await using db = await copied();
    await run(db.url, BREAK);
    const ran = await bulkhead(db, "repair", "--apply", "--json");
    const { repairs } = JSON.parse(ran.stdout) as { repairs: { state: string; error?: string }[] };
    assert.deepEqual(repairs.filter(({ state }) => state !== "applied"), []);
    assert.equal(ran.code, 0, ran.stderr);
    // Whose rows a new table holds is not for a program to say.
    assert.deepEqual([...await findings(db)].map(({ name, subject }) => `${name} ${subject}`), [
      "table_unclassified public.orders",
    ]);
    const events = await audited(db, "repair");
    assert.equal(events.length, repairs.length);
    assert.ok(
      events.some(({ metadata }) => /enable row level/.test(String(metadata["statement"]))),
    );
    const again = await bulkhead(db, "repair", "--apply");
    assert.equal(again.code, 0);
    assert.match(again.stdout, /Nothing to repair/);
  });

  test("repair says what the database refuses, and exits 1", async () => {
    await using db = await copied();
    await run(db.superUrl, "create role overseer login superuser");
    try {
      const ran = await bulkhead(db, "repair", "--apply");
      assert.equal(ran.code, 1);
      assert.match(ran.stdout, /role_bypasses_rls overseer: failed/);
    } finally {
      await run(server.superUrl, "drop role overseer");
    }
  });

  test("accept silences one finding until its day, and revoke brings it back", async () => {
    await using db = await copied();
    await run(db.url, "alter table public.messages replica identity full");
    const [found] = await findings(db);
    assert.equal(found?.name, "replica_identity_changed");
    const print = found?.fingerprint ?? "";
    const soon = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    const ran = await bulkhead(
      db,
      "accept",
      print,
      "--reason",
      "Realtime shows old rows",
      "--until",
      soon,
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual([...await findings(db)], []);
    const [shown] = await withSql(
      db.url,
      (sql) =>
        sql`select status, detail from bulkhead.checks('boundary') where fingerprint = ${print}`,
    );
    assert.equal(shown?.["status"], "pass");
    assert.match(
      String(shown?.["detail"]),
      /^accepted by postgres until .*: Realtime shows old rows$/,
    );
    assert.equal((await audited(db, "accept"))[0]?.metadata["reason"], "Realtime shows old rows");
    // Its day has come.
    const only = `where fingerprint = '${print}'`;
    await run(
      db.url,
      `update bulkhead.accepted_findings set until = now() - interval '1 second' ${only}`,
    );
    assert.equal((await findings(db)).length, 1);
    await run(
      db.url,
      `update bulkhead.accepted_findings set until = now() + interval '1 day' ${only}`,
    );
    assert.equal((await bulkhead(db, "accept", print, "--revoke")).code, 0);
    assert.equal((await findings(db)).length, 1);
    assert.equal((await audited(db, "unaccept")).length, 1);
    assert.equal((await bulkhead(db, "accept", print, "--revoke")).code, 2);
  });

  test("no hole can be accepted, attested or written away", async () => {
    await using db = await copied();
    await run(
      db.url,
      `alter table public.messages disable row level security;
       alter table public.units disable trigger bulkhead_insert;
       grant delete on bulkhead.audit_events to service_role;
       alter table bulkhead.audit_seals disable trigger bulkhead_append_only;
       create rule quiet as on insert to bulkhead.audit_events do instead nothing;
       select cron.unschedule(jobid) from cron.job where jobname = 'bulkhead:audit:seal'`,
    );
    const holes = [...await findings(db)];
    assert.ok(holes.length >= 6);
    const later = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    for (const { fingerprint, name } of holes) {
      await assert.rejects(
        withSql(
          db.url,
          (sql) =>
            sql`select bulkhead.accept(${fingerprint}, 'somebody signs anything', ${later}::timestamptz)`,
        ),
        { code: "BH703" },
        name,
      );
    }
    const refused = await bulkhead(
      db,
      "accept",
      holes[0]?.fingerprint ?? "",
      "--reason",
      "somebody signs",
      "--until",
      later,
    );
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^Error: Cannot|^Error: .*hole.* \[BH_ACCEPT\]\nTry: /);
    // Not even by writing the row that accept() would have written.
    await run(
      db.url,
      `insert into bulkhead.accepted_findings (fingerprint, name, subject, reason, until)
       select f.fingerprint, f.name, f.subject, 'somebody signs anything', now() + interval '1 day'
       from unnest(${CATEGORIES}) as part (name) cross join lateral bulkhead.findings(part.name) as f`,
    );
    // The rule swallows even the attestation's own event.
    assert.equal((await bulkhead(db, "attest", "somebody signs anything")).code, 0);
    const still = [...await findings(db)].map(({ name, subject }) => `${name} ${subject}`);
    for (const { name, subject } of holes) assert.ok(still.includes(`${name} ${subject}`), name);
  });

  test("accept refuses a short reason, no day, a past day, a day too far and an unknown finding", async () => {
    await using db = await copied();
    await run(db.url, "alter table public.messages replica identity full");
    const print = (await findings(db))[0]?.fingerprint ?? "";
    const cases: [string[], RegExp][] = [
      [[print, "--reason", "short", "--until", "2999-01-01"], /BH_ACCEPT/],
      [[print, "--reason", "a reason long enough"], /that is no day/],
      [[print, "--reason", "a reason long enough", "--until", "2020-01-01"], /day to come/],
      [[print, "--reason", "a reason long enough", "--until", "2999-01-01"], /day to come/],
      [[print, "--reason", "a reason long enough", "--until", "2027-02-30"], /that is no day/],
      [[print, "--until", "2027-02-03"], /--reason is missing/],
      [[
        "feed",
        "--reason",
        "a reason long enough",
        "--until",
        new Date(Date.now() + 86_400_000).toISOString().slice(0, 10),
      ], /no finding has the fingerprint/],
    ];
    for (const [args, pattern] of cases) {
      const ran = await bulkhead(db, "accept", ...args);
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(ran.stderr, pattern);
    }
  });

  test("attest accepts a deliberate change with its note, and refuses none", async () => {
    await using db = await copied();
    await run(
      db.url,
      "create policy more on public.messages for select to authenticated using (is_read)",
    );
    assert.equal((await findings(db)).length, 1);
    const ran = await bulkhead(db, "attest", "agents see what was read", "--json");
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(JSON.parse(ran.stdout), { note: "agents see what was read", tables: 1 });
    assert.deepEqual([...await findings(db)], []);
    assert.equal((await audited(db, "attest"))[0]?.metadata["note"], "agents see what was read");
    assert.equal((await bulkhead(db, "attest", "no")).code, 2);
  });

  test("OpenHouse's own tests, green as it is, turn red when all policies are dropped", async () => {
    await using db = await copied();
    const whole = await runPgTap(db.url, SUITE);
    assert.deepEqual(whole.failed, []);
    assert.ok(whole.passed > 0);
    await run(
      db.url,
      `do $$ declare p record; begin
        for p in select * from pg_policies where schemaname = 'public' loop
          execute format('drop policy %I on %I.%I', p.policyname, p.schemaname, p.tablename);
        end loop; end $$`,
    );
    assert.ok((await runPgTap(db.url, SUITE)).failed.length > 0);
    // And when the policies are there but let everybody through.
    await run(
      db.url,
      `do $$ declare t record; begin
        for t in select * from bulkhead.protected_tables loop
          execute format('create policy open on %s using (true) with check (true)', t.relation);
        end loop; end $$`,
    );
    assert.ok((await runPgTap(db.url, SUITE)).failed.length > 0);
  });
});
