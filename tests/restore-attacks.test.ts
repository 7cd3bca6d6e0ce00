import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { restoreTarget } from "../functions/_core/adapters/postgres-restore.ts";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import { bulkhead, startBulkhead } from "./support/backup-world.ts";
import { depth, seeded } from "./support/depth.ts";
import {
  ACME,
  backedUp,
  databaseOf,
  everything,
  project,
  ROWS,
} from "./support/lenient-project.ts";
import { type Server, startPostgres, withSql } from "./support/postgres.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

describe("a whole backup, into what the migrations made,", () => {
  test("brings back rows that break what is NOT VALID, and rows in the place of those that migrations wrote", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    for (const who of ["url", "superUrl"] as const) {
      await using target = await databaseOf(server, project());
      const env = { ...world.env, TARGET_URL: target[who] };
      const ran = await bulkhead(["restore", "--into-env", "TARGET_URL"], env);
      assert.equal(ran.code, 0, ran.stderr);
      await withSql(target.url, async (sql) => {
        const [units] = await sql`
          select count(*)::int as n, count(*) filter (where size < 0)::int as small, count(*) filter (where code = 'x')::int as lower
          from public.units where region in ('gone', 'north')`;
        assert.deepEqual({ ...units }, { n: 12, small: 2, lower: 2 });
        const regions = await sql`select code, name from public.regions`;
        assert.deepEqual([...regions], [{ code: "north", name: "as the application has it" }]);
        const rules = await sql`
          select conname, convalidated from pg_constraint where conname in ('units_region', 'units_size', 'code_upper') order by 1`;
        assert.deepEqual(rules.map(({ conname, convalidated }) => [conname, convalidated]), [
          ["code_upper", false],
          ["units_region", false],
          ["units_size", false],
        ]);
        await assert.rejects(
          async () => await sql`update public.units set size = -2`,
          { code: "23514" },
        );
      });
    }
  });

  test("leaves everything as it was when an object turns out damaged half-way, sequences too", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    const [backup] = (await listBackups(world)).valid;
    const last = backup?.manifest.objects.findLast(({ kind }) => kind === "tenant");
    assert.ok(last);
    const file = join(world.folder, `${last.key}@${last.version}`);
    const bytes = readFileSync(file);
    bytes[bytes.length - 20] = 1 ^ (bytes[bytes.length - 20] ?? 0);
    chmodSync(file, 0o600);
    writeFileSync(file, bytes);
    await using target = await databaseOf(server, project());
    const before = await everything(target.url);
    for (const who of ["url", "superUrl"] as const) {
      const env = { ...world.env, TARGET_URL: target[who] };
      const ran = await bulkhead(["restore", "--into-env", "TARGET_URL"], env);
      assert.equal(ran.code, 5, ran.stderr);
      assert.match(ran.stderr, /2\/3 .*BH_OBJECT_CORRUPT/s, "it had begun to load");
      assert.equal(await everything(target.url), before);
    }
  });

  test("killed or interrupted half-way, and at any moment, it changes nothing or everything", async (t) => {
    await using db = await databaseOf(
      server,
      project(`${ROWS}
      insert into public.rooms (id, tenant_id) select 1000000 + n, '${ACME}' from generate_series(1, 60000) as n;`),
    );
    using world = await backedUp(db);
    const args = ["restore", "--into-env", "TARGET_URL"];
    const sessions = (name: string) =>
      withSql(
        server.superUrl,
        (sql) =>
          sql`select wait_event_type from pg_stat_activity
            where application_name = 'bulkhead restore' and datname = ${name}`,
      );
    const until = async (
      name: string,
      is: (rows: readonly Record<string, unknown>[]) => boolean,
    ) => {
      for (let tries = 0; !is(await sessions(name)); tries++) {
        assert.ok(tries < 600, "it does not come");
        await sleep(25);
      }
    };
    await using target = await databaseOf(server, project());
    const env = { ...world.env, TARGET_URL: target.superUrl };
    const before = await everything(target.url);
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      // Triggers are off when it comes to the rows that migrations wrote, and somebody holds one.
      await withSql(target.url, (sql) =>
        sql.begin(async (tx) => {
          await tx`select from public.regions for update`;
          const { child, ended } = startBulkhead(args, env);
          await until(target.name, (rows) => rows.some((row) => row["wait_event_type"] === "Lock"));
          child.kill(signal);
          assert.equal((await ended).code, signal === "SIGINT" ? 130 : -1);
        }));
      await until(target.name, (rows) => rows.length === 0);
      assert.equal(await everything(target.url), before);
    }

    const random = seeded(6);
    const rounds = depth({ quick: 2, full: 15 });
    let unchanged = 0;
    for (let round = 0; round < rounds; round++) {
      const { child, ended } = startBulkhead(args, env);
      await until(target.name, (rows) => rows.length > 0);
      await sleep(random() * 700);
      child.kill("SIGKILL");
      const { stderr } = await ended;
      await until(target.name, (rows) => rows.length === 0);
      if (await everything(target.url) === before) {
        unchanged++;
        continue;
      }
      const again = await bulkhead(args, env);
      assert.match(again.stderr, /BH_RESTORE_NOT_EMPTY/, stderr);
      break;
    }
    t.diagnostic(`${unchanged} of ${rounds} killed before they were done`);
    assert.ok(unchanged > 0);
  });

  test("two at once into one database: one is whole, the other is refused", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    await using target = await databaseOf(server, project());
    const env = { ...world.env, TARGET_URL: target.superUrl };
    const both = await Promise.all(
      [1, 2].map(() => bulkhead(["restore", "--into-env", "TARGET_URL"], env)),
    );
    const errors = both.map(({ stderr }) => stderr).join();
    assert.deepEqual(both.map(({ code }) => code).sort(), [0, 2], errors);
    assert.match(errors, /BH_RESTORE_NOT_EMPTY/);
  });

  test("names the users that its rows wait for: refused where keys are checked at once, listed where after the load", async () => {
    const members = `
      create table public.members (id bigint primary key, tenant_id uuid not null references public.tenants (id),
        user_id uuid not null references auth.users (id));
      select bulkhead.protect('public.members');`;
    await using db = await databaseOf(server, project(ROWS) + members);
    await withSql(db.url, (sql) =>
      sql.unsafe(`
        insert into auth.users (id) values ('${ACME}');
        insert into public.members values (1, '${ACME}', '${ACME}')`));
    using world = await backedUp(db);
    await using target = await databaseOf(server, project() + members);
    const into = (url: string, ...args: string[]) =>
      bulkhead(["restore", "--into-env", "TARGET_URL", ...args], { ...world.env, TARGET_URL: url });
    const before = await everything(target.url);
    const refused = await into(target.url);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /"members" violates .*\[BH_RESTORE_KEYS\]\nTry: .*auth\.users: Supabase's own backup/,
    );
    assert.equal(await everything(target.url), before);
    const restored = await into(target.superUrl);
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(
      restored.stdout,
      /\nStill missing: what 1 row of public\.members point to in auth\.users\n$/,
    );
    await using another = await databaseOf(server, project() + members);
    await withSql(another.url, (sql) => sql`insert into auth.users (id) values (${ACME})`);
    const whole = await into(another.url, "--json");
    assert.equal(whole.code, 0, whole.stderr);
    assert.deepEqual(JSON.parse(whole.stdout).waiting, []);
  });

  test("is refused while another restore fills the database, and where one has filled it since it was looked at", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    await using target = await databaseOf(server, project());
    const env = { ...world.env, TARGET_URL: target.superUrl };
    await withSql(target.url, (sql) =>
      sql.begin(async (tx) => {
        await tx`select pg_advisory_xact_lock(hashtextextended('bulkhead.restore', 0))`;
        const ran = await bulkhead(["restore", "--into-env", "TARGET_URL"], env);
        assert.equal(ran.code, 2, ran.stderr);
        assert.match(ran.stderr, /another restore is filling it \[BH_RESTORE_NOT_EMPTY\]\nTry: /);
      }));
    const [backup] = (await listBackups(world)).valid;
    assert.ok(backup);
    await withSql(target.superUrl, async (sql) => {
      const into = restoreTarget(sql, { url: target.superUrl });
      await into.check(backup.manifest);
      await sql`insert into public.tenants values (${ACME}, 'was quicker')`;
      const before = await everything(target.url);
      const work = () => assert.fail("it must not begin");
      await assert.rejects(into.load(backup.manifest, work), {
        code: "BH_RESTORE_NOT_EMPTY",
        message: /it holds 1 tenants already/,
      });
      assert.equal(await everything(target.url), before);
    });
  });

  test("is refused where rows that no backup holds point to what a migration wrote and the backup does not bring", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    const notes = (region: string) => `
      create schema private;
      create table private.notes (region text references public.regions (code) on delete restrict);
      insert into private.notes values ('${region}');`;
    for (const who of ["url", "superUrl"] as const) {
      await using target = await databaseOf(server, project() + notes("south"));
      const env = { ...world.env, TARGET_URL: target[who] };
      const into = () => bulkhead(["restore", "--into-env", "TARGET_URL"], env);
      const before = await everything(target.url);
      const ran = await into();
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(
        ran.stderr,
        /rows of tables that no backup holds point to .*regions.*notes.*\[BH_RESTORE_NOT_EMPTY\]\nTry: Empty those tables/s,
      );
      assert.equal(await everything(target.url), before);
      await withSql(target.url, (sql) => sql`delete from private.notes`);
      assert.equal((await into()).code, 0, "the remedy");
    }
    // Where no key is checked while it loads, rows whose region comes back with the backup stand in nobody's way.
    await using target = await databaseOf(server, project() + notes("north"));
    const env = { ...world.env, TARGET_URL: target.superUrl };
    const ran = await bulkhead(["restore", "--into-env", "TARGET_URL"], env);
    assert.equal(ran.code, 0, ran.stderr);
  });
});
