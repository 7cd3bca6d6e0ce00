import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type AttackReport,
  attacks,
  KNOWN_OPEN,
  runAttacks,
} from "../examples/openhouse/attacks.ts";
import {
  cloneOf,
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

describe("attacks on OpenHouse", () => {
  let server: Server;
  let db: Database;
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 600 });
  });
  after(async () => await server?.stop());

  /** What the attempts come to in a copy of the database where something was taken away. */
  async function weakened(change: string, only: string[]): Promise<AttackReport[]> {
    await using copy = await cloneOf(server, db.name);
    await withSql(copy.superUrl, (sql) => sql.unsafe(change).simple());
    return await runAttacks(copy.url, { only });
  }
  const outcomes = (reports: AttackReport[]) =>
    Object.fromEntries(reports.map(({ id, outcome }) => [id, outcome]));

  test("every attempt has an id of its own, a threat, a layer and a title", () => {
    assert.equal(new Set(attacks.map(({ id }) => id)).size, attacks.length);
    assert.ok(attacks.length >= 60, `${attacks.length} attempts`);
    assert.deepEqual([...new Set(attacks.map(({ layer }) => layer))].sort(), [
      "anon",
      "authenticated",
      "direct",
      "service_role",
    ]);
    for (const { title, threat } of attacks) {
      assert.ok(title.length > 10 && threat.length > 2, title);
    }
  });

  test("a hardened database stops every attempt but the raw service_role read, which is shown as open", async () => {
    const reports = await runAttacks(db.url);
    const open = reports.filter(({ outcome }) => outcome === "open");
    assert.deepEqual(
      open.filter(({ threat }) => threat !== KNOWN_OPEN).map(({ id, detail }) =>
        `${id}: ${detail}`
      ),
      [],
    );
    assert.deepEqual(open.map(({ id }) => id), [
      "service-read-no-tenant",
      "service-read-wrong-tenant",
    ]);
    for (const { detail } of open) assert.match(detail, /rows of another tenant seen/);
    const by = new Set(
      reports.filter(({ outcome }) => outcome === "stopped").map((report) => report.by),
    );
    for (
      const reason of [
        "rls",
        "guard",
        "foreign key",
        "privilege",
        "context",
        "trail",
        "wrapper",
      ] as const
    ) {
      assert.ok(by.has(reason), `nothing was stopped by ${reason}`);
    }
  });

  test("the attacks leave nothing behind", async () => {
    const before = await trace(db.url);
    await runAttacks(db.url, {
      only: ["direct-read", "definer-insert", "service-insert-wrong", "upsert", "move-out"],
    });
    assert.deepEqual(await trace(db.url), before);
  });

  test("without the restrictive policies and with permissive ones the reads and writes of members are open", async () => {
    const reports = await weakened(
      `do $$ declare t text; begin foreach t in array '{messages,units}'::text[] loop
         execute format('drop policy bulkhead_tenant on public.%I', t);
         execute format('drop policy bulkhead_access on public.%I', t);
         execute format('create policy hole on public.%I for all to authenticated using (true) with check (true)', t);
       end loop; end $$`,
      [
        "agent-read",
        "read-unfiltered",
        "read-rpc",
        "stranger-read",
        "header-victim",
        "claim-user-metadata",
        "disabled-read",
      ],
    );
    assert.deepEqual(
      [...new Set(reports.map(({ outcome }) => outcome))],
      ["open"],
      JSON.stringify(outcomes(reports)),
    );
  });

  test("without the guard the writes of the service role are open", async () => {
    const only = [
      "service-insert-no-tenant",
      "service-update-no-tenant",
      "service-delete-no-tenant",
      "service-copy-no-tenant",
      "service-update-wrong",
      "service-merge-wrong",
      "service-move-out",
      "definer-update",
    ];
    const reports = await weakened("alter table public.messages disable trigger user", only);
    assert.deepEqual(outcomes(reports), Object.fromEntries(only.map((id) => [id, "open"])));
  });

  test("without the keys that carry the tenant a forged foreign key is open", async () => {
    const only = ["insert-foreign-unit", "service-foreign-unit"];
    const reports = await weakened(
      "alter table public.messages drop constraint messages_unit_id_fkey",
      only,
    );
    assert.deepEqual(outcomes(reports), Object.fromEntries(only.map((id) => [id, "open"])));
  });

  test("with a grant too many a member promotes themself", async () => {
    const reports = await weakened(
      `grant update on public.members to authenticated;
       create policy hole on public.members for update to authenticated using (true)`,
      ["self-promotion"],
    );
    assert.deepEqual(outcomes(reports), { "self-promotion": "open" });
  });

  test("with an anon grant and policy a visitor reads", async () => {
    const reports = await weakened(
      `grant usage on schema public to anon; grant select on public.messages to anon;
       drop policy bulkhead_tenant on public.messages; create policy hole on public.messages for select to anon using (true)`,
      ["anon-read"],
    );
    assert.deepEqual(outcomes(reports), { "anon-read": "open" });
  });

  test("an attempt whose control fails counts as open, not as stopped", async () => {
    const [report] = await weakened("revoke select on public.messages from authenticated", [
      "agent-read",
    ]);
    assert.equal(report?.outcome, "open");
    assert.match(report?.detail ?? "", /not proven: the control/);
  });

  test("a database with nobody to attack is an error, not a success", async () => {
    await using copy = await cloneOf(server, db.name);
    await withSql(copy.superUrl, async (sql) => {
      await sql.unsafe("set session_replication_role = replica; delete from public.members")
        .simple();
    });
    await assert.rejects(runAttacks(copy.url), { code: "BH_ATTACK" });
  });
});

async function trace(url: string): Promise<unknown> {
  return await withSql(url, async (sql) => {
    const [counts] = await sql`select
      (select count(*) from public.messages) as messages, (select count(*) from bulkhead.audit_events) as events,
      (select count(*) from pg_catalog.pg_roles where rolname like 'openhouse%') as roles,
      (select count(*) from pg_catalog.pg_proc where proname = 'careless') as functions`;
    return counts;
  });
}
