// needs: postgres-15
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { newestBackup, writeManifest } from "../functions/_core/backup/manifest.ts";
import { newBackupId } from "../functions/_core/backup/names.ts";
import { verifyBackup } from "../functions/_core/backup/restore-backup.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import { type BackupWorld, backupWorld, bulkhead } from "./support/backup-world.ts";
import {
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";

const PSQL = "/usr/lib/postgresql/15/bin/psql";
const HASHES = `
  select r.relation::text as name, t.tenant, h.rows, h.hash
  from bulkhead.protected_tables as r
  cross join (select bulkhead.tenants_to_export()) as t (tenant)
  cross join lateral bulkhead.content_hash(r.relation, t.tenant) as h
  order by 1, 2`;

/** The tool, alone in a folder of its own, with Node and the key and nothing else. */
function read(world: BackupWorld, args: readonly string[], kek = world.env["BULKHEAD_KEK"] ?? "") {
  const alone = mkdtempSync(join(tmpdir(), "bulkhead-alone-"));
  try {
    copyFileSync(join(ROOT, "tools/read-backup.mjs"), join(alone, "read-backup.mjs"));
    return spawnSync(process.execPath, ["read-backup.mjs", ...args], {
      cwd: alone,
      env: { BULKHEAD_KEK: kek },
      encoding: "utf8",
    });
  } finally {
    rmSync(alone, { recursive: true });
  }
}

test("tools/read-backup.mjs is short enough to read on the day: under 300 lines of at most 100 columns", () => {
  const lines = readFileSync(join(ROOT, "tools/read-backup.mjs"), "utf8").split("\n");
  assert.ok(lines.length <= 300, `${lines.length - 1} lines`);
  assert.deepEqual(lines.filter((line) => line.length > 100), []);
});

describe("tools/read-backup.mjs", () => {
  let server: Server;
  const scratch = mkdtempSync(join(tmpdir(), "bulkhead-read-"));
  before(async () => void (server = await startPostgres({ major: 15 })));
  after(async () => {
    rmSync(scratch, { recursive: true });
    await server.stop();
  });

  test("what it writes loads with psql into an empty database, equal to the source, as RECOVERY.md says", async () => {
    await using db = await openhouseDatabase(server, { rows: 2_000 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const page = readdirSync(world.folder).find((name) => name.startsWith("RECOVERY.md@")) ?? "";
    const [command = ""] = /node read-backup\.mjs .*/.exec(
      readFileSync(join(world.folder, page), "utf8"),
    ) ?? [];
    const out = join(scratch, "whole");
    const args = command.replace("--folder copy", `--folder ${world.folder}`)
      .replace("--out data", `--out ${out}`).split(" ").slice(2);
    const ran = read(world, args);
    assert.equal(ran.status, 0, ran.stderr);
    assert.match(ran.stdout, /^Backup \d{8}T\d{6}Z-[0-9a-f]{8}: 4 objects in /);
    await using empty = await kitDatabase(server);
    for (const file of ["schema", "harden"]) {
      const sql = readFileSync(join(ROOT, `examples/openhouse/${file}.sql`), "utf8");
      await withSql(empty.url, (target) => target.unsafe(sql));
    }
    // What installing the kit there wrote into its ledger.
    const count = (url: string) =>
      withSql(url, (sql) => sql`select count(*)::int as n from bulkhead.audit_events`);
    const own = Number((await count(empty.url))[0]?.["n"]);
    const loaded = spawnSync(
      PSQL,
      ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "load.sql", empty.superUrl],
      { cwd: out, encoding: "utf8" },
    );
    assert.equal(loaded.status, 0, loaded.stderr);
    const [was, is] = await Promise.all(
      [db, empty].map(({ url }) => withSql(url, (sql) => sql.unsafe(HASHES))),
    );
    assert.ok(was && is && was.length > 10);
    assert.deepEqual([...is], [...was]);
    await withSql(empty.url, async (sql) => {
      assert.deepEqual([
        ...await sql`select * from bulkhead.broken_foreign_keys() where is_exported`,
      ], []);
      const off = await sql`
        select 1 from pg_trigger where tgname like 'bulkhead\\_%' and tgenabled <> 'A'`;
      assert.equal(off.length, 0, "every guard is on again");
    });
    const [before, after] = [await count(db.url), await count(empty.url)];
    assert.equal(
      Number(after[0]?.["n"]),
      Number(before[0]?.["n"]) + own,
      "the load wrote no events",
    );
  });

  test("what it writes means the same under the settings of another database, and in a table without columns", async () => {
    const schema = `
      create table public.tenants (id uuid primary key default gen_random_uuid());
      create table public.odd (tags text[], document xml);
      create table public.marks ();
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants');
      select bulkhead.exempt('public.odd', 'the same for all'), bulkhead.exempt('public.marks', 'the same for all')`;
    const rows = `
      select odd.*, marks from public.odd cross join (select count(*) as marks from public.marks) as m`;
    await using db = await kitDatabase(server);
    await withSql(db.url, (sql) =>
      sql.unsafe(`${schema};
        insert into public.tenants default values;
        insert into public.odd values (array['a', null], 'two <b/> roots <c/>');
        insert into public.marks select from generate_series(1, 3)`));
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const out = join(scratch, "settings");
    const ran = read(world, ["--folder", world.folder, "--out", out]);
    assert.equal(ran.status, 0, ran.stderr);
    await using empty = await kitDatabase(server);
    await withSql(empty.superUrl, (sql) =>
      sql.unsafe(`${schema};
        alter database ${empty.name} set array_nulls = off;
        alter database ${empty.name} set xmloption = document;
        alter database ${empty.name} set client_encoding = latin1`));
    const loaded = spawnSync(
      PSQL,
      ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "load.sql", empty.superUrl],
      { cwd: out, encoding: "utf8" },
    );
    assert.equal(loaded.status, 0, loaded.stderr);
    const [was, is] = await Promise.all(
      [db, empty].map(({ url }) => withSql(url, (sql) => sql.unsafe(rows))),
    );
    assert.equal(was?.[0]?.["marks"], "3");
    assert.deepEqual([...is ?? []], [...was ?? []]);
  });

  test("one tenant alone; another key, a changed byte or a missing object leave nothing behind", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const [tenant] = await withSql(
      db.url,
      (sql) => sql`select id::text from public.tenants limit 1`,
    );
    const id = String(tenant?.["id"]);
    const one = join(scratch, "one");
    const ran = read(world, ["--folder", world.folder, "--out", one, "--tenant", id]);
    assert.equal(ran.status, 0, ran.stderr);
    assert.deepEqual(readdirSync(one).sort(), [id, "load.sql"].sort());

    const other = Buffer.alloc(32, 9).toString("base64");
    const out = join(scratch, "none");
    const whole = ["--folder", world.folder, "--out", out];
    assert.match(read(world, whole, other).stderr, /^Error: no keyring.json in .* is under key/);
    assert.match(read(world, [...whole, "--tenant", "nobody"]).stderr, /does not hold nobody/);
    assert.match(read(world, ["--out", out]).stderr, /^Error: give --folder/);

    const copy = join(scratch, "copy");
    const objects = join(copy, "objects", id);
    for (const harm of ["flip", "cut", "remove"] as const) {
      rmSync(copy, { recursive: true, force: true });
      cpSync(world.folder, copy, { recursive: true });
      const file = join(objects, readdirSync(objects)[0] ?? "");
      const bytes = readFileSync(file);
      if (harm === "flip") bytes[bytes.length >> 1]! ^= 1;
      if (harm === "remove") rmSync(file);
      else writeFileSync(file, harm === "cut" ? bytes.subarray(0, -1) : bytes, { mode: 0o600 });
      const refused = read(world, ["--folder", copy, "--out", out]);
      assert.equal(refused.status, 1, harm);
      assert.match(refused.stderr, new RegExp(`Error: object objects/${id}/.* of tenant ${id}: `));
      assert.ok(!existsSync(out), harm);
    }
  });

  test("an object whose tables are not those that its manifest lists is refused, here and by bulkhead", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const { store, kek } = world;
    const keyring = await openKeyring({ store, kek });
    const { manifest } = await newestBackup({ store, keyring });
    const at = manifest.objects.findIndex(({ kind, rows }) => kind === "tenant" && rows > 10);
    type Table = (typeof manifest.objects)[number]["tables"][number];
    const lists: Record<string, (tables: Table[]) => Table[]> = {
      "another content hash": ([a, ...rest]) => [{ ...a!, contentHash: "0".repeat(64) }, ...rest],
      "a row more here and a row less there": ([a, b, ...rest]) => [
        { ...a!, rows: a!.rows + 1 },
        { ...b!, rows: b!.rows - 1 },
        ...rest,
      ],
      "other bytes": ([a, ...rest]) => [{ ...a!, bytes: a!.bytes + 1 }, ...rest],
      "another order": ([a, b, ...rest]) => [b!, a!, ...rest],
      "a table less": ([, ...rest]) => rest,
      "a table more": (tables) => [...tables, { ...tables[0]!, name: "more" }],
    };
    for (const [what, change] of Object.entries(lists)) {
      const objects = manifest.objects.map((object, i) =>
        i === at ? { ...object, tables: change([...object.tables]) } : object
      );
      const edited = { ...manifest, id: newBackupId(new Date()), objects };
      await assert.rejects(verifyBackup({ store, keyring, manifest: edited }), {
        code: "BH_OBJECT_MISMATCH",
        message: /its table \S+ is not the one that the manifest lists/,
      }, what);
      // Signed as a writer with a defect would sign it.
      await writeManifest({ store, keyring, manifest: edited });
      const out = join(scratch, "lists");
      const ran = read(world, ["--folder", world.folder, "--out", out, "--backup", edited.id]);
      assert.equal(ran.status, 1, what);
      assert.match(ran.stderr, /Error: object .*: its tables are not the manifest's/, what);
      assert.ok(!existsSync(out), what);
    }
    const objects = manifest.objects.map((object, i) =>
      i === at ? { ...object, rows: object.rows + 1 } : object
    );
    const edited = { ...manifest, id: newBackupId(new Date()), objects };
    await writeManifest({ store, keyring, manifest: edited });
    const out = join(scratch, "rows");
    const ran = read(world, ["--folder", world.folder, "--out", out, "--backup", edited.id]);
    assert.match(ran.stderr, /Error: object .*: it holds \d+ rows/);
  });

  test("a shredded tenant is left out and named", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const [tenant] = await withSql(
      db.url,
      (sql) => sql`select id::text from public.tenants limit 1`,
    );
    const id = String(tenant?.["id"]);
    const shred = await bulkhead(["keys", "shred", "--tenant", id, "--apply"], world.env);
    assert.equal(shred.code, 0, shred.stderr);
    const out = join(scratch, "shredded");
    const ran = read(world, ["--folder", world.folder, "--out", out]);
    assert.equal(ran.status, 0, ran.stderr);
    assert.match(ran.stderr, new RegExp(`${id}  left out: its keys were shredded`));
    assert.ok(!existsSync(join(out, id)));
    // By way of a link, as npm and package managers make them.
    const link = join(scratch, "reader.mjs");
    symlinkSync(join(ROOT, "tools/read-backup.mjs"), link);
    const alone = spawnSync(
      process.execPath,
      [link, "--folder", world.folder, "--out", `${out}-alone`, "--tenant", id],
      { env: { BULKHEAD_KEK: world.env["BULKHEAD_KEK"] }, encoding: "utf8" },
    );
    assert.equal(alone.status, 0, alone.stderr);
    assert.match(alone.stderr, /left out: its keys were shredded/);
    assert.deepEqual(readdirSync(`${out}-alone`), ["load.sql"]);
  });
});
