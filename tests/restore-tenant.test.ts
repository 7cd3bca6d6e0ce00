import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type postgres from "postgres";
import { type BackupWorld, backupWorld, bulkhead, startBulkhead } from "./support/backup-world.ts";
import { depth, seeded } from "./support/depth.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

/** OpenHouse with a global table that messages point to, and its first tenant. */
async function withCategories(db: Database): Promise<string> {
  return await withSql(db.url, async (sql) => {
    await sql`create table public.categories (id integer primary key, name text not null)`;
    await sql`insert into public.categories select i, 'category ' || i from generate_series(1, 5) as i`;
    await sql`select bulkhead.exempt('public.categories', 'the same for all')`;
    await sql`alter table public.messages add column category integer references public.categories (id)`;
    await sql`update public.messages set category = 1 + abs(hashtext(id::text)) % 5`;
    const [row] = await sql<{ id: string }[]>`select id from public.tenants order by id limit 1`;
    return row?.id ?? "";
  });
}

/** Count and hash of every table of a tenant, the ledger among them, and which triggers are on. */
async function stateOf(db: Database, tenant: string): Promise<string> {
  return await withSql(db.url, async (sql) => {
    const tables = await sql`
      select t.relation::text as name, h.rows, h.hash
      from bulkhead.tables_to_export() as t
      cross join lateral bulkhead.content_hash(t.relation, ${tenant}) as h
      where t.scope = 'tenant' or t.relation = 'bulkhead.audit_events'::regclass
      order by 1`;
    const triggers = await sql`
      select tgrelid::regclass::text as name, tgname, tgenabled from pg_trigger where not tgisinternal order by 1, 2`;
    return JSON.stringify([tables, triggers]);
  });
}

async function backedUp(db: Database): Promise<BackupWorld> {
  const world = await backupWorld({ DATABASE_URL: db.url });
  const ran = await bulkhead(["backup"], world.env);
  assert.equal(ran.code, 0, ran.stderr);
  return world;
}

describe("bulkhead restore --tenant refuses, with a list,", () => {
  test("rows whose users left, and rows whose global row is gone; the rest can be restored", async () => {
    await using db = await openhouseDatabase(server);
    const tenant = await withCategories(db);
    using world = await backedUp(db);
    const users = await withSql(db.superUrl, async (sql) => {
      const rows = await sql<{ id: string }[]>`
        select user_id as id from public.members where tenant_id = ${tenant} order by id limit 2`;
      const ids = rows.map(({ id }) => id);
      await sql`select bulkhead.set_tenant(${tenant})`;
      await sql`delete from public.members where user_id = any (${ids})`;
      await sql`delete from auth.users where id = any (${ids})`;
      await sql`delete from public.messages where category in (2, 4)`;
      await sql`delete from public.categories where id in (2, 4)`;
      return ids;
    });
    assert.equal(users.length, 2);
    const damaged = await stateOf(db, tenant);
    for (const mode of [[], ["--insert-missing"], ["--replace"]]) {
      const ran = await bulkhead(["restore", "--tenant", tenant, ...mode], world.env);
      assert.equal(ran.code, 1, ran.stderr);
      assert.match(ran.stderr, /rows point to what is not there.*\[BH_RESTORE_KEYS\]\nTry: /);
      assert.match(
        ran.stderr,
        /public\.messages \(category\) to public\.categories: 2 4 \(\d+ rows\)/,
      );
      for (const user of users) assert.ok(ran.stderr.includes(user), ran.stderr);
      assert.match(ran.stderr, /public\.members \(user_id\) to auth\.users: /);
      assert.equal(await stateOf(db, tenant), damaged);
    }
    await withSql(
      db.url,
      (sql) => sql`insert into public.categories values (2, 'two'), (4, 'four')`,
    );
    const messages = ["--table", "public.messages", "--insert-missing"];
    const ran = await bulkhead(["restore", "--tenant", tenant, ...messages], world.env);
    assert.equal(ran.code, 0, ran.stderr);
  });

  test("a table without the one that it points to; restored together they come back", async () => {
    await using db = await openhouseDatabase(server);
    const tenant = await withCategories(db);
    using world = await backedUp(db);
    const before = await withSql(db.url, async (sql) => {
      const count =
        await sql`select count(*)::int as n from public.units where tenant_id = ${tenant}`;
      await sql`delete from public.messages where tenant_id = ${tenant}`;
      await sql`delete from public.onboarding_attempts where tenant_id = ${tenant}`;
      await sql`delete from public.units where tenant_id = ${tenant}`;
      return count[0]?.["n"];
    });
    const alone = ["restore", "--tenant", tenant, "--insert-missing", "--table", "messages"];
    const ran = await bulkhead(alone, world.env);
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /public\.messages \(.*unit_id\) to public\.units: .*BH_RESTORE_KEYS/);
    const all = await bulkhead(["restore", "--tenant", tenant, "--insert-missing"], world.env);
    assert.equal(all.code, 0, all.stderr);
    const [units] = await withSql(
      db.url,
      (sql) => sql`select count(*)::int as n from public.units where tenant_id = ${tenant}`,
    );
    assert.equal(units?.["n"], before);
  });
});

describe("bulkhead restore --tenant --replace", () => {
  test("holds side effects back for inserts, updates and deletes, and keeps the audit on", async () => {
    await using db = await openhouseDatabase(server);
    const tenant = await withCategories(db);
    using world = await backedUp(db);
    const other = await withSql(db.url, async (sql) => {
      await sql`delete from public.messages where id in (select id from public.messages where tenant_id = ${tenant} order by id limit 3)`;
      await sql`update public.messages set body = 'changed' where id in (select id from public.messages where tenant_id = ${tenant} order by id limit 4)`;
      await sql`insert into public.messages select (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid()))).* from public.messages as m where tenant_id = ${tenant} order by id limit 2`;
      await sql`create function public.mail() returns trigger language plpgsql as $$ begin raise exception 'a mail went out'; end $$`;
      await sql`create trigger mail after insert or update or delete on public.messages for each row execute function public.mail()`;
      await sql`create trigger hook after insert or update or delete on public.messages for each statement execute function public.mail()`;
      await sql`alter table public.messages enable always trigger hook`;
      await sql`create trigger off after update on public.messages for each row execute function public.mail()`;
      await sql`alter table public.messages disable trigger off`;
      const [row] = await sql<
        { id: string }[]
      >`select id from public.tenants order by id desc limit 1`;
      return row?.id ?? "";
    });
    const untouched = await stateOf(db, other);
    const args = [
      "restore",
      "--tenant",
      tenant,
      "--table",
      "public.messages",
      "--replace",
      "--json",
    ];
    const ran = await bulkhead(args, world.env);
    assert.equal(ran.code, 0, ran.stderr);
    const [table] = JSON.parse(ran.stdout).tables;
    assert.deepEqual([table.inserted, table.updated, table.deleted], [3, 4, 2]);
    const events = await withSql(db.url, (sql) =>
      sql`
        select operation, count(*)::int as n from bulkhead.audit_events
        where actor = 'bulkhead restore' and tenant_id = ${tenant} and operation in ('INSERT', 'UPDATE', 'DELETE')
        group by 1 order by 1`);
    assert.deepEqual(events.map((row) => [row["operation"], row["n"]]), [
      ["DELETE", 2],
      ["INSERT", 3],
      ["UPDATE", 4],
    ]);
    const triggers = await withSql(
      db.url,
      (sql) =>
        sql`select tgname, tgenabled from pg_trigger where tgname in ('mail', 'hook', 'off') order by 1`,
    );
    assert.deepEqual(triggers.map((row) => row["tgenabled"]), ["A", "O", "D"]);
    assert.equal(await stateOf(db, other), untouched);
    const again = JSON.parse((await bulkhead(args, world.env)).stdout).tables[0];
    assert.deepEqual([again.inserted, again.updated, again.deleted], [0, 0, 0]);
  });

  test("killed in the middle of its writes, and at any moment, changes nothing or everything", async (t) => {
    await using db = await openhouseDatabase(server, { rows: 20_000 });
    const tenant = await withCategories(db);
    using world = await backedUp(db);
    const args = ["restore", "--tenant", tenant, "--table", "public.messages", "--replace"];
    const damage = (sql: postgres.Sql) =>
      sql.unsafe(`
        delete from public.messages where id in (select id from public.messages where tenant_id = '${tenant}' order by id limit 500);
        update public.messages set body = 'changed' where id in (select id from public.messages where tenant_id = '${tenant}' order by id limit 500);
        create or replace function public.mail() returns trigger language plpgsql as 'begin return null; end';
        create or replace trigger mail after insert on public.messages for each row execute function public.mail();`);
    const backends = async () => {
      const found = await withSql(
        server.superUrl,
        (sql) =>
          sql`select wait_event_type, xact_start from pg_stat_activity
          where application_name = 'bulkhead restore' and datname = ${db.name}`,
      );
      return found;
    };
    const until = async (what: string, is: (rows: postgres.RowList<postgres.Row[]>) => boolean) => {
      for (let tries = 0; tries < 600; tries++) {
        if (is(await backends())) return;
        await sleep(25);
      }
      throw new Error(`${what}: it does not come`);
    };
    await withSql(db.url, damage);
    const damaged = await stateOf(db, tenant);

    // A row that somebody else holds stops it between its inserts and its updates.
    await withSql(db.url, async (sql) => {
      await sql.begin(async (tx) => {
        await tx`select from public.messages where tenant_id = ${tenant} and body = 'changed' for update`;
        const { child, ended } = startBulkhead(args, world.env);
        await until(
          "a restore that waits",
          (rows) => rows.some((row) => row["wait_event_type"] === "Lock"),
        );
        child.kill("SIGKILL");
        await ended;
      });
    });
    await until("the end of the killed session", (rows) => rows.length === 0);
    assert.equal(await stateOf(db, tenant), damaged);

    const random = seeded(9);
    let unchanged = 0;
    const rounds = depth({ quick: 2, full: 20 });
    for (let round = 0; round < rounds; round++) {
      const before = await stateOf(db, tenant);
      const { child, ended } = startBulkhead(args, world.env);
      await until("a transaction", (rows) => rows.some((row) => row["xact_start"] !== null));
      await sleep(random() * 400);
      child.kill("SIGKILL");
      await ended;
      await until("the end of the killed session", (rows) => rows.length === 0);
      if (await stateOf(db, tenant) === before) unchanged++;
      else {
        const left = await bulkhead([...args, "--json"], world.env);
        const { inserted, updated, deleted } = JSON.parse(left.stdout).tables[0];
        assert.deepEqual([inserted, updated, deleted], [0, 0, 0], "half of it was kept");
        await withSql(db.url, damage);
      }
    }
    t.diagnostic(`${unchanged} of ${rounds} killed before they were done`);
    const ran = await bulkhead(args, world.env);
    assert.equal(ran.code, 0, ran.stderr);
  });
});
