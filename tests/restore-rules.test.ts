import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import { runDrill } from "../scripts/backup/drill.ts";
import { bulkhead } from "./support/backup-world.ts";
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

describe("one tenant, of whom rows break what is NOT VALID,", () => {
  test("is refused with a list where they would have to be written, and a drill leaves them and says so", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    const { store, kek } = world;
    const [backup] = (await listBackups(world)).valid;
    assert.ok(backup);
    await using target = await databaseOf(server, project());
    const drilled = await runDrill({
      store,
      keyring: await openKeyring({ store, kek }),
      manifest: backup.manifest,
      sourceIdentity: "another",
      openTarget: () =>
        Promise.resolve({
          ...{ name: "x", url: target.url, loadUrl: target.superUrl, isOwn: true },
          stop: () => Promise.resolve(),
        }),
      tests: [join("scripts", "backup", "drill.pgsql")],
      say: () => {},
    });
    assert.deepEqual(drilled.problems.filter((problem) => !/^pgTAP/.test(problem)), []);
    const alone = drilled.steps.at(-1)?.detail ?? "";
    assert.match(alone, /^\d+ rows of tenant \S+ taken away and restored alone/);
    assert.match(alone, /3 rows stayed: .*code_upper.*units_region.*units_size/);

    const restore = (...args: string[]) =>
      bulkhead(["restore", "--tenant", ACME, ...args], world.env);
    // They are still there: nothing has to be written.
    const nothing = await restore("--replace");
    assert.equal(nothing.code, 0, nothing.stderr);
    await withSql(db.url, async (sql) => {
      await sql`delete from public.rooms where tenant_id = ${ACME}`;
      await sql`delete from public.units where tenant_id = ${ACME}`;
    });
    const refused = async (code: string, list: RegExp) => {
      for (const mode of [[], ["--replace"]]) {
        const before = await everything(db.url);
        const ran = await restore(...mode);
        assert.equal(ran.code, 1, ran.stderr);
        assert.match(ran.stderr, list);
        assert.match(ran.stderr, new RegExp(`\\[${code}\\]\nTry: `));
        assert.equal(await everything(db.url), before);
      }
    };
    await refused("BH_RESTORE_KEYS", /public\.units \(region\) to public\.regions: gone/);
    await withSql(db.url, (sql) => sql`insert into public.regions values ('gone', 'here again')`);
    await refused("BH_RESTORE_RULES", /public\.units: .*breaks units_size \(\d+\)/);
    await withSql(db.url, (sql) => sql`alter table public.units drop constraint units_size`);
    await refused("BH_RESTORE_RULES", /domain public\.code violates check constraint "code_upper"/);
    await withSql(db.url, (sql) => sql`alter domain public.code drop constraint code_upper`);
    const ran = await restore("--insert-missing");
    assert.equal(ran.code, 0, ran.stderr);
  });
});

describe("a unique key that another row has by now", () => {
  test("is refused with a list where it is another tenant's; one's own gives way with --replace", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    const restore = (...args: string[]) =>
      bulkhead(["restore", "--tenant", ACME, "--table", "rooms", ...args], world.env);
    const taken = (tenant: string) =>
      withSql(db.url, async (sql) => {
        await sql`delete from public.rooms where door = 'door 4' or id = 777`;
        await sql`insert into public.rooms values (777, ${tenant}, null, 'door 4')`;
      });
    await taken("00000000-0000-4000-8000-000000000002");
    const theirs = await restore("--insert-missing");
    assert.equal(theirs.code, 1, theirs.stderr);
    assert.match(theirs.stderr, /public\.rooms \(door\) door 4 \[BH_RESTORE_COLLISION\]/);
    await taken(ACME);
    const own = await restore("--insert-missing");
    assert.equal(own.code, 1, own.stderr);
    assert.match(own.stderr, /rooms_door_key.*\[BH_RESTORE_KEYS\]\nTry: .*--replace/s);
    const replaced = await restore("--replace", "--json");
    assert.equal(replaced.code, 0, replaced.stderr);
    const [{ inserted, updated, deleted }] = JSON.parse(replaced.stdout).tables;
    assert.deepEqual([inserted, updated, deleted], [1, 0, 1]);
  });

  test("--replace takes the other way round where a row to be updated points to one to be deleted", async () => {
    await using db = await databaseOf(server, project(ROWS));
    using world = await backedUp(db);
    await withSql(db.url, async (sql) => {
      await sql`insert into public.units (id, tenant_id, region, size, code) values (888, ${ACME}, 'north', 1, 'X')`;
      await sql`update public.rooms set unit = 888 where tenant_id = ${ACME} and id = (select min(id) from public.rooms where tenant_id = ${ACME})`;
    });
    const ran = await bulkhead(["restore", "--tenant", ACME, "--replace", "--json"], world.env);
    assert.equal(ran.code, 0, ran.stderr);
    const { tables } = JSON.parse(ran.stdout);
    const of = (name: string) => tables.find((each: { table: string }) => each.table === name);
    assert.equal(of("public.units").deleted, 1);
    assert.equal(of("public.rooms").updated, 1);
    const events = await withSql(
      db.url,
      (sql) =>
        sql`select metadata -> 'rows' as rows from bulkhead.audit_events where operation = 'bulkhead.restore'`,
    );
    assert.deepEqual(events.map((row) => row["rows"]["public.units"]), [1]);
  });
});
