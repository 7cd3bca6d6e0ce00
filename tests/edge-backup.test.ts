// needs: postgres-15
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { connect, copyOut } from "../functions/_core/adapters/postgres.ts";
import { listBackups, writeManifest } from "../functions/_core/backup/manifest.ts";
import type { Manifest } from "../functions/_core/backup/manifest-schema.ts";
import { objectsByTenant, tablesOf } from "../functions/_core/backup/parts.ts";
import { verifyBackup } from "../functions/_core/backup/restore-backup.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import {
  assertEqual,
  edgeCall,
  edgeLimits,
  edgeRun,
  emptyOpenhouse,
  newest,
  PART,
  runs,
} from "./support/edge-run.ts";
import {
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";
import { tortureSchema } from "./support/torture-schema.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

describe("a tenant in parts", () => {
  test("parts show one moment whatever is written between them, and restore, whole and one tenant alone", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART });
    let calls = 0;
    while ((await edgeCall({ url: db.url, world })).state !== "complete" && ++calls < 100) {
      await withSql(db.url, (sql) =>
        sql.unsafe(
          `update public.messages set body = body || '!' where id in (select id from public.messages order by id limit 500);
           delete from public.messages where id = (select id from public.messages order by id desc limit 1)`,
        ));
    }
    const manifest = await newest(world);
    const groups = [...objectsByTenant(manifest)];
    assert.ok(calls >= groups.flatMap(([, parts]) => parts).length / 2, `${calls} calls`);
    assert.ok(groups.filter(([, parts]) => parts.length > 1).length >= 2);
    for (const { tables } of manifest.objects) {
      assert.ok(tables.reduce((sum, table) => sum + table.bytes, 0) <= PART);
    }
    const kept = await withSql(db.url, (sql) => sql`select from bulkhead.backup_staged`);
    assert.equal(kept.length, 0, "no plaintext stays behind");

    const verified = await bulkhead(["backups", "verify"], world.env);
    assert.equal(verified.code, 0, verified.stderr);
    await using target = await emptyOpenhouse(server);
    // As a superuser: the members point to auth.users, which is no part of a backup.
    const env = { ...world.env, TARGET_URL: target.superUrl };
    const restored = await bulkhead(["restore", "--into-env", "TARGET_URL", "--json"], env);
    assert.equal(restored.code, 0, restored.stderr);
    assert.equal(JSON.parse(restored.stdout).rows, manifest.rows);

    const [tenant, parts] = groups.find(([id, each]) => id !== "@global" && each.length > 2)!;
    const args = ["restore", "--tenant", tenant, "--json"];
    const live = await bulkhead(args, { ...env, DATABASE_URL: target.url });
    assert.equal(live.code, 0, live.stderr);
    const staged = JSON.parse(live.stdout).tables as Record<string, unknown>[];
    assert.equal(
      staged.reduce((sum, table) => sum + Number(table["staged"]), 0),
      tablesOf(parts).filter(({ schema }) => schema === "public")
        .reduce((sum, table) => sum + table.rows, 0),
    );
    assert.ok(staged.every((table) => table["missing"] === 0 && table["changed"] === 0));

    // A quiet night refers to all the parts of everybody.
    await edgeRun({ url: db.url, world });
    const second = await newest(world);
    await assertEqual(db.url, second);
    await edgeRun({ url: db.url, world });
    const third = await newest(world);
    const own = (of: Manifest) => of.objects.filter(({ kind }) => kind === "tenant");
    assert.deepEqual(own(third), own(second));
    assert.equal((await bulkhead(["backups", "verify"], world.env)).code, 0);
  });

  test("what is laid out is what COPY writes, type by type", async () => {
    const torture = tortureSchema({
      extensions: await withSql(server.superUrl, async (sql) => {
        const rows = await sql<{ name: string }[]>`select name from pg_available_extensions`;
        return rows.map(({ name }) => name);
      }),
      rows: 1,
      megabytes: 1,
    });
    await using db = await kitDatabase(server);
    await withSql(db.superUrl, (sql) => sql.unsafe(torture.extensions));
    await withSql(db.url, async (sql) => {
      await sql.unsafe(torture.ddl);
      for (const statement of torture.rows) await sql.unsafe(statement);
    });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await withSql(db.url, (sql) => sql.unsafe(`alter database ${db.name} set datestyle = German`));
    const sql = connect(db.url, { max: 1 });
    let compared = 0;
    try {
      await sql.begin("isolation level repeatable read", async (tx) => {
        await tx.unsafe(`set local datestyle = 'ISO, YMD'; set local intervalstyle = 'iso_8601';
          set local timezone = 'UTC'; set local extra_float_digits = 3; set local bytea_output = 'hex';
          set local lc_monetary = 'C'; set local search_path = ''`);
        const pairs = await tx<{ copy: string; lines: string; name: string }[]>`
          select bulkhead.export_query(t.relation, k.tenant) as copy,
            bulkhead.export_lines_query(t.relation, k.tenant) as lines, t.relation::text as name
          from bulkhead.tables_to_export() as t
          cross join (select bulkhead.tenants_to_export() union all select null) as k (tenant)
          where t.scope = 'both' or (t.scope = 'global') = (k.tenant is null)
        `;
        for (const { copy, lines, name } of pairs) {
          const stream = await copyOut(tx, `copy (${copy}) to stdout`);
          const written = (await new Response(stream).text()).split("\n").slice(0, -1);
          const laid = (await tx.unsafe(lines).values()).map(([line]) => String(line));
          assert.deepEqual(laid.sort(), written.sort(), name);
          compared += laid.length;
        }
      });
    } finally {
      await sql.end({ timeout: 1 });
    }
    assert.ok(compared > 500, `${compared} lines`);
    // And all of it through the function's own way, back into a database.
    await withSql(db.url, (owner) => owner`select bulkhead.seal()`);
    await edgeRun({ url: db.url, world });
    await using target = await kitDatabase(server);
    await withSql(target.superUrl, (owner) => owner.unsafe(torture.extensions));
    await withSql(target.url, (owner) => owner.unsafe(torture.ddl));
    const env = { ...world.env, TARGET_URL: target.url };
    const restored = await bulkhead(["restore", "--into-env", "TARGET_URL"], env);
    assert.equal(restored.code, 0, restored.stderr);
  });

  test("who is too large is left to the runner, whole, and the check says so until the runner has them", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART, tenant: 110_000 });
    await edgeRun({ url: db.url, world });
    const [run] = await runs(db.url);
    const leftOut = run?.["left_out"] as string[];
    assert.equal(leftOut.length, 2);
    const manifest = await newest(world);
    assert.ok(manifest.objects.every(({ tenant }) => !leftOut.includes(tenant)));
    assert.equal(objectsByTenant(manifest).size, 2);
    const check = () =>
      withSql(
        db.url,
        (sql) =>
          sql`select status, sample_ids from bulkhead.checks_backups() where name = 'backup_left_out'`,
      );
    assert.deepEqual([...await check()], [{ status: "fail", sample_ids: leftOut.toSorted() }]);
    const ran = await bulkhead(["backup", "--json"], world.env);
    assert.equal(JSON.parse(ran.stdout).tenants, 3);
    assert.equal((await check())[0]?.["status"], "pass");
    await edgeRun({ url: db.url, world });
    assert.equal((await check())[0]?.["status"], "pass", "the runner's backup of the day has them");

    await edgeLimits(db.url, { part: PART });
    await withSql(db.url, async (sql) => {
      const [row] = await sql`select min(tenant_id::text) as id from public.messages`;
      await sql`update public.messages set body = repeat('x', 70000)
        where id = (select id from public.messages where tenant_id = ${row?.["id"]} limit 1)`;
    });
    await edgeRun({ url: db.url, world });
    assert.equal((await runs(db.url)).at(-1)?.["left_out"].length, 1, "a row larger than a part");
  });
});

test("tools/read-backup.mjs joins the parts of a table; nobody takes some parts for all of them", async () => {
  await using db = await openhouseDatabase(server, { rows: 1_200 });
  using world = await backupWorld({ DATABASE_URL: db.url });
  await edgeLimits(db.url, { part: PART });
  await edgeRun({ url: db.url, world });
  const out = join(mkdtempSync(join(tmpdir(), "bulkhead-parts-")), "out");
  const read = (...args: string[]) =>
    spawnSync(process.execPath, [
      ...[join(ROOT, "tools/read-backup.mjs"), "--folder", world.folder, "--out", out, ...args],
    ], { env: { BULKHEAD_KEK: world.env["BULKHEAD_KEK"] }, encoding: "utf8" });
  try {
    const manifest = await newest(world);
    const whole = read();
    assert.equal(whole.status, 0, whole.stderr);
    const [tenant, parts] = [...objectsByTenant(manifest)].find(([, each]) => each.length > 2)!;
    const load = readFileSync(join(out, "load.sql"), "utf8").split("\n");
    for (const { schema, name, rows, bytes } of tablesOf(parts)) {
      const paths = parts.map(({ part }) => `${tenant}/${schema}.${name}.${part}.copy`)
        .filter((path) => existsSync(join(out, path)));
      const text = paths.map((path) => readFileSync(join(out, path), "utf8")).join("");
      assert.deepEqual([text.split("\n").length - 1, Buffer.byteLength(text)], [rows, bytes]);
      for (const path of paths) {
        assert.equal(load.filter((line) => line.endsWith(`'${path}'`)).length, 1, "loaded once");
      }
    }
    rmSync(out, { recursive: true });

    const keyring = await openKeyring(world);
    const without = async (dropped: number, id: string) => {
      const objects = manifest.objects.filter((each) =>
        each.tenant !== tenant || each.part !== dropped
      );
      await writeManifest({ ...world, keyring, manifest: { ...manifest, id, objects } });
      const found = (await listBackups({ ...world, keyring })).valid.find((each) =>
        each.manifest.id === id
      );
      assert.ok(found);
      const refused = { code: "BH_BACKUP_INCOMPLETE" };
      await assert.rejects(verifyBackup({ ...world, keyring, manifest: found.manifest }), refused);
      const alone = read("--backup", id);
      assert.equal(alone.status, 1);
      assert.match(alone.stderr, /a part is missing|it is one of \d+ parts, not of \d+/);
      assert.ok(!existsSync(out));
    };
    await without(1, "20990101T000000Z-00000001");
    await without(2, "20990101T000000Z-00000002");
    await without(parts.length, "20990101T000000Z-00000003");
  } finally {
    rmSync(dirname(out), { recursive: true });
  }
});
