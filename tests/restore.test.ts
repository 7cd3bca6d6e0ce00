import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import { backupIdTime, newBackupId, objectKey } from "../functions/_core/backup/names.ts";
import { runDrill } from "../scripts/backup/drill.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import { seeded } from "./support/depth.ts";
import { edgeCall } from "./support/edge-run.ts";
import {
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

/** Every type whose text is easy to get wrong, in a schema that needs quoting. */
const TORTURE = `
  create type public.mood as enum ('sad', 'ok', 'it''s fine');
  create domain public.percent as numeric check (value between 0 and 100 or value = 'NaN');
  create table public.tenants (id uuid primary key default gen_random_uuid(), name text not null);
  create table public.countries (code char(2) primary key, name text not null);
  create table public."Odd ""name""" (
    id bigint generated always as identity,
    tenant_id uuid not null references public.tenants (id),
    "select" text, doubled integer generated always as (number * 2) stored, number integer,
    list text[], matrix integer[], shifted integer[], document jsonb, raw json, blob bytea,
    amount numeric, share public.percent, ratio double precision, small real, at timestamptz, local timestamp,
    day date, span interval, feeling public.mood, cash money, net cidr, bits bit varying, place point, during tstzrange,
    shape public.countries, country char(2) references public.countries (code), parent bigint,
    primary key (id), unique (tenant_id, id),
    foreign key (tenant_id, parent) references public."Odd ""name""" (tenant_id, id)
  );
  select bulkhead.configure('public.tenants');
  select bulkhead.exempt('public.countries', 'a list of countries, the same for all');
  select bulkhead.protect('public.tenants');
  select bulkhead.protect('public."Odd ""name"""');
`;
const ROWS = `
  insert into public.countries values ('at', 'Österreich'), ('xx', E'tab\\t, newline\\n, backslash \\\\, \\\\.');
  insert into public.tenants values ('00000000-0000-4000-8000-000000000001', 'acme'), ('00000000-0000-4000-8000-000000000002', 'birch');
  insert into public."Odd ""name""" (tenant_id, "select", number, list, matrix, shifted, document, raw, blob, amount, share, ratio,
    small, at, local, day, span, feeling, cash, net, bits, place, during, shape, country, parent)
  select t.id, v.text, v.number, v.list, '{{1,2},{3,null}}', '[-1:1]={7,8,9}', v.document, '{"b": 1,  "a": 1, "a": 2}', v.blob, v.amount, 'NaN',
    v.ratio, 'Infinity', v.at, '-infinity', '4713-01-01 BC', '-1 year 2 mons -3 days 04:05:06.789', 'it''s fine', -1234.56, '10.0.0.0/8', B'0101',
    '(1e-300,-0)', '[2020-01-01,)', row('at', 'x')::public.countries, 'xx', null::bigint
  from public.tenants as t
  cross join (values
    (null, null, '{}'::text[], null::jsonb, null::bytea, null::numeric, null::float8, null::timestamptz),
    ('', 0, array['', null, 'null', 'a"b\\c'], 'null', '\\x', 'NaN', 'NaN', '0044-03-15 12:00:00 BC'),
    (E'\\\\N \\\\. \\r\\n\\t \\x01 ü 𝄞', -2147483648 / 2, array[E'\\n'], '{"deep": [1.10, "\\u0001", {}]}', '\\x00ff0a0d5c', 1.100, 0.1, 'infinity'),
    (repeat('long ', 200000), 7, null, '[]', decode(repeat('00', 100000), 'hex'), 'Infinity', 4.9e-324, '1999-12-31 23:59:59.999999+14')
  ) as v (text, number, list, document, blob, amount, ratio, at);
  update public."Odd ""name""" set parent = (select min(o.id) from public."Odd ""name""" as o where o.tenant_id = "Odd ""name""".tenant_id) where number = 7;
  delete from public."Odd ""name""" where number = 0 and tenant_id = '00000000-0000-4000-8000-000000000002';
  select nextval('public."Odd ""name""_id_seq"') from generate_series(1, 100);
`;

async function torture(rows: boolean): Promise<Database> {
  const db = await kitDatabase(server);
  await withSql(db.url, async (sql) => {
    await sql.unsafe(TORTURE);
    if (rows) await sql.unsafe(ROWS);
    if (rows) await sql`select bulkhead.seal()`;
  });
  return db;
}

const HASH = `
  select r.name, t.tenant, h.rows, h.hash
  from (values ('public.tenants'), ('public."Odd ""name"""'), ('bulkhead.audit_events')) as r (name)
  cross join (select bulkhead.tenants_to_export()) as t (tenant)
  cross join lateral bulkhead.content_hash(r.name::regclass, t.tenant) as h
  order by 1, 2`;

describe("a whole backup", () => {
  test("every type comes back equal, as superuser and as a plain owner", async () => {
    await using db = await torture(true);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const before = await withSql(db.url, (sql) => sql.unsafe(HASH));
    assert.ok(before.some((row) => Number(row["rows"]) > 3));
    for (const who of ["url", "superUrl"] as const) {
      await using target = await torture(false);
      const ran = await bulkhead(["restore", "--into-env", "TARGET_URL", "--json"], {
        ...world.env,
        TARGET_URL: target[who],
      });
      assert.equal(ran.code, 0, ran.stderr);
      await withSql(target.url, async (sql) => {
        assert.deepEqual([...await sql.unsafe(HASH)], [...before]);
        assert.deepEqual([...await sql`select * from bulkhead.verify_audit()`], []);
        assert.deepEqual([...await sql`select * from bulkhead.broken_foreign_keys()`], []);
        const [next] = await sql`select nextval('public."Odd ""name""_id_seq"') as id`;
        assert.ok(Number(next?.["id"]) > 100, "the sequence goes on where it stood");
        const [off] = await sql`
          select count(*)::int as n from pg_trigger where not tgisinternal and tgenabled <> 'A' and tgname like 'bulkhead\\_%'`;
        assert.equal(off?.["n"], 0, "every guard is on again");
        const [events] = await sql`
          select count(*)::int as n from bulkhead.audit_events where operation = 'bulkhead.restore'`;
        assert.equal(events?.["n"], 1);
        // The trail goes on in an era of its own.
        await sql`delete from public."Odd ""name""" where number = 7`;
        await sql`select bulkhead.seal()`;
        assert.deepEqual([...await sql`select * from bulkhead.verify_audit()`], []);
      });
    }
  });

  test("it is refused by a database with other tables, with tenants, and one row less undoes it", async () => {
    await using db = await torture(true);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const into = (url: string) =>
      bulkhead(["restore", "--into-env", "TARGET_URL"], { ...world.env, TARGET_URL: url });
    const itself = await into(db.url);
    assert.equal(itself.code, 2);
    assert.match(itself.stderr, /BH_RESTORE_INTO_SOURCE/);
    await using full = await torture(true);
    const notEmpty = await into(full.url);
    assert.equal(notEmpty.code, 2);
    assert.match(notEmpty.stderr, /BH_RESTORE_NOT_EMPTY/);
    await using other = await torture(false);
    await withSql(other.url, (sql) => sql`alter table public.countries add column area integer`);
    const differs = await into(other.url);
    assert.equal(differs.code, 2);
    assert.match(differs.stderr, /BH_RESTORE_SCHEMA/);
    // The kit's migrations alone: the project's own are missing.
    await using bare = await kitDatabase(server);
    const unprotected = await into(bare.url);
    assert.equal(unprotected.code, 2);
    assert.match(
      unprotected.stderr,
      /Cannot restore into .*: its tables are not protected.*\[BH_RESTORE_SCHEMA\]\nTry: Apply the migrations/,
    );
  });

  test("it takes no flag of one tenant's restore, and nothing is restored then", async () => {
    await using target = await torture(false);
    using world = await backupWorld({ TARGET_URL: target.url });
    const flags = [["--dry-run"], ["--insert-missing"], ["--replace"], ["--table", "tenants"]];
    for (const flag of flags) {
      const ran = await bulkhead(["restore", "--into-env", "TARGET_URL", ...flag], world.env);
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(ran.stderr, /cannot be used with.*--into-env.*\[BH_USAGE\]\nTry: /s);
    }
  });
});

describe("objects and keys", () => {
  test("a corrupt, a cut and a missing object are refused, and nothing is restored", async () => {
    await using db = await torture(true);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    await using target = await torture(false);
    const [backup] = (await listBackups(world)).valid;
    const object = backup?.manifest.objects.find(({ kind }) => kind === "tenant");
    const { key = "", tenant = "", version = "" } = object ?? {};
    const file = join(world.folder, `${key}@${version}`);
    const whole = readFileSync(file);
    const damages: [string, Buffer][] = [
      ["a flipped bit", flip(whole, whole.length - 40)],
      ["a header byte", flip(whole, 20)],
      ["a cut", whole.subarray(0, whole.length - 1)],
    ];
    for (const [what, bytes] of damages) {
      chmodSync(file, 0o600);
      writeFileSync(file, bytes);
      for (const args of [["backups", "verify"], ["restore", "--into-env", "TARGET_URL"]]) {
        const ran = await bulkhead(args, { ...world.env, TARGET_URL: target.url });
        assert.equal(ran.code, 5, `${what}: ${ran.stderr}`);
        assert.ok(ran.stderr.includes(key) && ran.stderr.includes(`"${tenant}"`), ran.stderr);
      }
      const drilled = await bulkhead(
        ["drill", "--target-env", "TARGET_URL", "--report-dir", join(world.folder, "reports")],
        { ...world.env, TARGET_URL: target.url },
      );
      assert.equal(drilled.code, 1, `${what}: ${drilled.stderr}`);
      assert.ok(drilled.stderr.includes(key) && drilled.stderr.includes(tenant), drilled.stderr);
    }
    rmSync(file);
    for (
      const args of [
        ["backups", "verify"],
        ["restore", "--into-env", "TARGET_URL"],
        ["restore", "--tenant", tenant],
      ]
    ) {
      const ran = await bulkhead(args, { ...world.env, TARGET_URL: target.url });
      assert.equal(ran.code, 5, ran.stderr);
      assert.match(ran.stderr, /is gone \[BH_BACKUP_INCOMPLETE\]/);
      assert.ok(ran.stderr.includes(key) && ran.stderr.includes(tenant), ran.stderr);
    }
    const tenants = await withSql(target.url, (sql) => sql`select from public.tenants`);
    assert.equal(tenants.length, 0);
    const drills = await withSql(db.url, (sql) => sql`select is_passed from bulkhead.drills`);
    assert.deepEqual(drills.map((row) => row["is_passed"]), [false, false, false]);
  });
});

describe("one tenant into a live database", () => {
  test("shows by default, inserts what is missing, or replaces; the ledger names the restore", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const tenant = await withSql(db.url, async (sql) => {
      const [row] = await sql<{ id: string }[]>`select id from public.tenants order by id limit 1`;
      const id = row?.id ?? "";
      await sql`
        create function public.mail() returns trigger language plpgsql as $$ begin raise exception 'a mail went out'; end $$`;
      await sql`delete from public.messages where tenant_id = ${id} and id in (select m.id from public.messages as m where m.tenant_id = ${id} order by m.id limit 50)`;
      await sql`update public.messages set body = 'changed' where id = (select max(m.id::text)::uuid from public.messages as m where m.tenant_id = ${id})`;
      await sql`create trigger mail after insert on public.messages for each row execute function public.mail()`;
      return id;
    });
    const hash = () =>
      withSql(
        db.url,
        async (sql) =>
          (await sql`select hash from bulkhead.content_hash('public.messages', ${tenant})`)[0]
            ?.["hash"],
      );
    const damaged = await hash();
    const restore = async (...args: string[]) => {
      const ran = await bulkhead([
        "restore",
        "--tenant",
        tenant,
        "--table",
        "public.messages",
        "--json",
        ...args,
      ], world.env);
      assert.equal(ran.code, 0, ran.stderr);
      return JSON.parse(ran.stdout).tables[0];
    };
    const dry = await restore();
    assert.deepEqual([dry.missing, dry.changed, dry.inserted], [50, 1, 0]);
    const shown = await bulkhead(["restore", "--tenant", tenant], world.env);
    assert.match(shown.stdout, /^public\.units: \d+ rows in the backup, as in the database$/m);
    assert.match(
      shown.stdout,
      /^public\.messages: \d+ rows in the backup, 50 missing, 1 changed, 0 added\n(?! )/m,
    );
    const { backup: id } = JSON.parse(
      (await bulkhead(["backups", "list", "--json"], world.env)).stdout,
    ).backups[0];
    assert.match(
      shown.stderr,
      new RegExp(`^Compared backup ${id} and the database; nothing was changed\\.\n`),
    );
    for (const line of `${shown.stdout}${shown.stderr}`.split("\n")) assert.ok(line.length <= 80);
    assert.equal(await hash(), damaged);
    const inserted = await restore("--insert-missing");
    assert.deepEqual([inserted.inserted, inserted.updated], [50, 0]);
    const replaced = await restore("--replace");
    assert.deepEqual([replaced.inserted, replaced.updated, replaced.deleted], [0, 1, 0]);
    const same = await bulkhead(["restore", "--tenant", tenant], world.env);
    assert.doesNotMatch(same.stdout, /missing/);
    assert.equal(same.stderr, `No difference between backup ${id} and the database\n`);
    const [backup] = (await listBackups(world)).valid;
    const entry = backup?.manifest.objects.find((object) => object.tenant === tenant)?.tables.find((
      t,
    ) => t.name === "messages");
    assert.equal(await hash(), entry?.contentHash);
    await withSql(db.url, async (sql) => {
      const [events] = await sql`
        select count(*)::int as n from bulkhead.audit_events
        where operation = 'INSERT' and actor = 'bulkhead restore' and tenant_id = ${tenant} and request_id like 'restore:%'`;
      assert.equal(events?.["n"], 50);
      const [mail] = await sql`select tgenabled from pg_trigger where tgname = 'mail'`;
      assert.equal(mail?.["tgenabled"], "O", "side effects are held back, then on again");
    });
  });

  test("keys that belong to another tenant by now are listed and refused", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const [tenant, taken] = await withSql(db.url, async (sql) => {
      const tenants = await sql<
        { id: string }[]
      >`select id from public.tenants order by id limit 2`;
      const [row] = await sql<
        { id: string }[]
      >`select id from public.onboarding_attempts where tenant_id = ${
        tenants[0]?.id ?? ""
      } limit 1`;
      await sql`delete from public.onboarding_attempts where id = ${row?.id ?? ""}`;
      await sql`insert into public.onboarding_attempts (id, tenant_id, email, succeeded)
        select ${row?.id ?? ""}, ${tenants[1]?.id ?? ""}, 'x@example.org', true`;
      return [tenants[0]?.id ?? "", row?.id ?? ""];
    });
    const ran = await bulkhead(["restore", "--tenant", tenant, "--replace"], world.env);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /BH_RESTORE_COLLISION/);
    assert.ok(ran.stderr.includes(taken));
    const unknown = await bulkhead(["restore", "--tenant", "no-uuid"], world.env);
    assert.equal(unknown.code, 2, unknown.stderr);
  });
});

describe("bulkhead drill", () => {
  const project = [
    "--project-migrations",
    "examples/openhouse/schema.sql",
    "examples/openhouse/harden.sql",
  ];

  test("restores, compares, tests, reports and records; refuses the source itself", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const reports = mkdtempSync(join(tmpdir(), "bulkhead-drill-"));
    try {
      await withSql(db.url, async (sql) => {
        await sql`update public.messages set is_read = true where id = (select id from public.messages limit 1)`;
        await sql`select bulkhead.seal()`;
      });
      assert.equal((await bulkhead(["backup"], world.env)).code, 0);
      const ran = await bulkhead(
        ["drill", "--json", ...project, "--report-dir", reports],
        world.env,
      );
      assert.equal(ran.code, 0, ran.stderr);
      const report = JSON.parse(ran.stdout);
      assert.equal(report.ok, true);
      assert.ok(report.rows > 600 && report.tests > 20 && report.rtoSeconds > 0);
      assert.deepEqual(report.steps.map(({ step }: { step: string }) => step), [
        "verify every object",
        "start another Postgres",
        "restore and compare",
        "keys that point out of the backup",
        "audit trail",
        "canaries",
        "pgTAP",
        "one tenant alone",
      ]);
      assert.match(report.steps.at(-1).detail, /^\d+ rows of tenant \S+ taken away and restored/);
      assert.deepEqual(readdirSync(reports).map((name) => name.split(".").pop()).sort(), [
        "json",
        "txt",
      ]);

      const self = await bulkhead(
        ["drill", "--target-env", "SELF_URL", "--report-dir", reports],
        { ...world.env, SELF_URL: db.superUrl },
      );
      assert.equal(self.code, 1);
      assert.match(self.stderr, /the database that the backup came from/);
      await withSql(db.url, async (sql) => {
        const drills = await sql`select is_passed from bulkhead.drills order by id`;
        assert.deepEqual(drills.map((row) => row["is_passed"]), [true, false]);
        const titles =
          await sql`select payload ->> 'title' as title from bulkhead.alert_outbox order by id`;
        assert.deepEqual(titles.map((row) => row["title"]), [
          "Restore drill passed",
          "Restore drill failed",
        ]);
        const [age] =
          await sql`select status from bulkhead.checks_backups() where name = 'drill_age'`;
        assert.equal(age?.["status"], "fail", "a failed drill after a passed one is red");
        const read =
          await sql`select is_whole, objects::int from bulkhead.verifications order by id`;
        assert.deepEqual(read.map((row) => ({ ...row })), [
          { is_whole: true, objects: 4 },
          { is_whole: true, objects: 4 },
        ]);
        const [rto] =
          await sql`select status, observed::int from bulkhead.checks_backups() where name = 'drill_rto'`;
        assert.equal(rto?.["status"], "pass");
      });
    } finally {
      rmSync(reports, { recursive: true });
    }
  });
});

/** A schema whose rows may point to nothing: what a project has that added its key to rows it already had. */
const NOT_VALID = (rows: string) => `
  create table public.tenants (id uuid primary key, name text not null);
  create table public.regions (code text primary key);
  create table public.units (id bigint primary key, tenant_id uuid not null references public.tenants (id), region text not null);
  select bulkhead.configure('public.tenants');
  select bulkhead.exempt('public.regions', 'a list of regions, the same for all');
  select bulkhead.protect('public.tenants');
  select bulkhead.protect('public.units');
  ${rows}
  alter table public.units add constraint units_region foreign key (region) references public.regions (code) not valid;
`;
const UNITS = `
  insert into public.tenants values ('00000000-0000-4000-8000-000000000001', 'acme'), ('00000000-0000-4000-8000-000000000002', 'birch');
  insert into public.regions values ('north');
  insert into public.units select 10 * n + k, ('00000000-0000-4000-8000-00000000000' || n)::uuid, case k when 3 then 'gone' else 'north' end
    from generate_series(1, 2) as n, generate_series(1, 3) as k;
`;

const OBJECT = { backup: "20261121T023000Z-0a1b2c3d", part: 1 };

/** A target that is there already, for a drill in this process. */
const targetAt = (url: string) => () =>
  Promise.resolve({ name: "x", url, loadUrl: url, isOwn: true, stop: () => Promise.resolve() });

describe("sources that are not as one would like", () => {
  const schema = async (text: string) => {
    const db = await kitDatabase(server);
    await withSql(db.url, (sql) => sql.unsafe(text));
    return db;
  };
  const newest = async (world: Awaited<ReturnType<typeof backupWorld>>) => {
    const { store, kek } = world;
    const [backup] = (await listBackups(world)).valid;
    assert.ok(backup);
    const keyring = await openKeyring({ store, kek });
    return { store, keyring, manifest: backup.manifest, sourceIdentity: "another" };
  };

  test("rows that break a key which is NOT VALID come back, as superuser and as a plain owner, and a drill says ok", async () => {
    await using db = await schema(NOT_VALID(UNITS));
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const into = async (url: string) =>
      await bulkhead(["restore", "--into-env", "TARGET_URL"], { ...world.env, TARGET_URL: url });
    for (const who of ["url", "superUrl"] as const) {
      await using target = await schema(NOT_VALID(""));
      const ran = await into(target[who]);
      assert.equal(ran.code, 0, ran.stderr);
      const broken = await withSql(
        target.url,
        (sql) =>
          sql`
            select b.name::text, b.rows::int, c.convalidated
            from bulkhead.broken_foreign_keys() as b
            join pg_constraint as c on c.conname = b.name`,
      );
      assert.deepEqual([...broken], [{ name: "units_region", rows: 2, convalidated: false }]);
    }
    await using target = await schema(NOT_VALID(""));
    const tests = [join("scripts", "backup", "drill.pgsql")];
    const drilled = await runDrill({
      ...await newest(world),
      openTarget: targetAt(target.superUrl),
      tests,
      say: () => {},
    });
    const keys = drilled.steps.filter(({ step }) => !/pgTAP|one tenant/.test(step));
    assert.deepEqual(keys.filter(({ ok }) => !ok), []);
  });

  test("a drill on a backup without a row of a tenant fails", async () => {
    const tables = `
      create table public.tenants (id uuid primary key, name text not null);
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants');`;
    // The ledger remembers a tenant that is gone: there is something to back up, and nothing to lose.
    await using db = await schema(`${tables}
      insert into public.tenants values ('00000000-0000-4000-8000-000000000001', 'acme');
      delete from public.tenants;
      select bulkhead.seal();`);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const ran = await bulkhead(["backup"], world.env);
    assert.equal(ran.code, 0, ran.stderr);
    await using target = await schema(tables);
    const report = await runDrill({
      ...await newest(world),
      openTarget: targetAt(target.superUrl),
      tests: [],
      say: () => {},
    });
    assert.equal(report.ok, false);
    assert.deepEqual(report.problems, [
      "restore and compare: the backup holds no rows of tenants: nothing was proved",
    ]);
  });

  test("a tenant called @global is refused, by the runner and by the edge; nothing is written for it", async () => {
    await using db = await schema(`
      create table public.tenants (id text primary key, name text not null);
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants');`);
    const insert =
      "insert into public.tenants values ('acme', 'Acme'), ('@global', 'not one of ours')";
    await assert.rejects(withSql(db.url, (sql) => sql.unsafe(insert)), {
      code: "23514",
      constraint_name: "bulkhead_tenant_id",
    });
    // A table from before there was that constraint.
    await withSql(
      db.url,
      (sql) =>
        sql.unsafe(`alter table public.tenants drop constraint bulkhead_tenant_id; ${insert}`),
    );
    using world = await backupWorld({ DATABASE_URL: db.url });
    const ran = await bulkhead(["backup"], world.env);
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, /\[BH_TENANT_ID\]\nTry: Give that tenant another id/);
    await assert.rejects(edgeCall({ url: db.url, world }), { code: "BH_TENANT_ID" });
    assert.ok(!readdirSync(world.folder).some((name) => /^(objects|manifests)$/.test(name)));
  });

  test("the tenants table takes exactly the ids that objects can be named after", async () => {
    await using db = await schema(`
      create table public.tenants (id text primary key, name text not null);
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants');`);
    const random = seeded(200);
    const letters = ["a", "Z", "0", "-", "_", "~", ".", "@", "/", " ", "é", "漢", "𝄞"];
    const ids = ["", "@global", "@globals", "x".repeat(200), "x".repeat(201), "漢".repeat(22)];
    ids.push("漢".repeat(23), ".".repeat(66), ".".repeat(67));
    while (ids.length < 300) {
      const length = 20 + Math.floor(random() * 120);
      ids.push(
        Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join(""),
      );
    }
    await withSql(db.url, async (sql) => {
      let taken = 0;
      for (const id of ids) {
        const isTaken = await sql`insert into public.tenants values (${id}, 'x')`.then(
          () => true,
          (error) => {
            assert.equal(error.code, "23514", String(error));
            return false;
          },
        );
        if (isTaken) taken++;
        if (isTaken) assert.ok(id !== "@global" && objectKey({ tenant: id, ...OBJECT }), id);
        else if (id !== "@global") assert.throws(() => objectKey({ tenant: id, ...OBJECT }), id);
      }
      assert.ok(taken > 20 && taken < ids.length - 20, `${taken}`);
      await assert.rejects(
        async () => await sql`select bulkhead.create_tenant('{"id": "@global", "name": "x"}')`,
        { code: "23514" },
      );
    });
  });

  test("RECOVERY.md is written anew when it says something else, and two backups of a second sort by time", async () => {
    await using db = await schema(NOT_VALID(UNITS));
    using world = await backupWorld({ DATABASE_URL: db.url });
    const pages = async () => {
      const ran = await bulkhead(["backup"], world.env);
      assert.equal(ran.code, 0, ran.stderr);
      return readdirSync(world.folder).filter((name) => name.startsWith("RECOVERY.md@")).length;
    };
    assert.deepEqual([await pages(), await pages()], [1, 1]);
    await withSql(db.url, (sql) => sql`alter table public.units add column note text`);
    assert.deepEqual([await pages(), await pages()], [2, 2]);
    const ids = Array.from(
      { length: 1000 },
      (_, ms) => newBackupId(new Date(1_795_285_800_000 + ms)),
    );
    assert.deepEqual(ids.toSorted(), ids);
    assert.equal(backupIdTime(ids[999] ?? "").getTime(), 1_795_285_800_000);
  });
});

describe("a drill into a database that is named", () => {
  test("fills one that was just created; a boundary that lost a policy fails, and so does no test at all", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    // A server of its own, as a service container is one: its superuser, and nothing in it.
    await using container = await startPostgres();
    const fresh = async (name: string) => {
      await withSql(container.superUrl, (sql) => sql.unsafe(`create database ${name}`));
      return container.urlAs("supabase_admin", name);
    };
    const reports = mkdtempSync(join(tmpdir(), "bulkhead-drill-"));
    const drill = async (target: string, ...migrations: string[]) => {
      const ran = await bulkhead([
        ...["drill", "--json", "--target-env", "TARGET_URL", "--report-dir", reports],
        ...["--project-migrations", "examples/openhouse/schema.sql"],
        ...["examples/openhouse/harden.sql", ...migrations],
      ], { ...world.env, TARGET_URL: target });
      return { ...ran, report: ran.stdout === "" ? null : JSON.parse(ran.stdout) };
    };
    try {
      const whole = await drill(await fresh("whole"));
      assert.equal(whole.code, 0, whole.stderr);
      assert.equal(whole.report.target, "TARGET_URL");

      const open = join(reports, "open.sql");
      writeFileSync(
        open,
        "drop policy bulkhead_tenant on public.messages; create policy open on public.messages using (true);",
      );
      const broken = await drill(await fresh("broken"), open);
      assert.equal(broken.code, 1);
      assert.match(
        broken.report.problems.join(),
        /^pgTAP: .*authenticated sees no row of another tenant in public\.messages/,
      );

      // A new database beside a project's own: its server has the roles, and others log in as them.
      const passwords = () =>
        withSql(
          server.superUrl,
          (sql) => sql`select rolname, rolpassword, rolsuper from pg_authid order by 1`,
        );
      const before = [...await passwords()];
      await withSql(server.superUrl, (sql) => sql`create database beside`);
      const beside = await drill(server.urlAs("supabase_admin", "beside"));
      assert.equal(beside.code, 1);
      assert.match(beside.report.problems.join(), /has a Supabase project's roles already/);
      assert.deepEqual([...await passwords()], before);

      const occupied = await fresh("occupied");
      await withSql(occupied, (sql) => sql`create table public.mine (id int)`);
      const refused = await drill(occupied);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /holds tables and no Bulkhead/);
      assert.match(readFileSync(join(reports, latest(reports)), "utf8"), /FAILED/);

      const { store, kek } = world;
      const keyring = await openKeyring({ store, kek });
      const [backup] = (await listBackups(world)).valid;
      assert.ok(backup);
      await using target = await kitDatabase(server);
      for (const name of ["schema.sql", "harden.sql"]) {
        const text = readFileSync(join("examples/openhouse", name), "utf8");
        await withSql(target.url, (sql) => sql.unsafe(text).simple());
      }
      const untested = await runDrill({
        store,
        keyring,
        manifest: backup.manifest,
        sourceIdentity: "another",
        openTarget: targetAt(target.superUrl),
        tests: [],
        say: () => {},
      });
      assert.deepEqual(untested.problems, ["pgTAP: no test ran: nothing was proved"]);
    } finally {
      rmSync(reports, { recursive: true });
    }
  });
});

describe("what is recorded for the checks", () => {
  test("verify and prune write it where they are told to, whole or not, and nowhere else", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const status = (name: string) =>
      withSql(
        db.url,
        async (sql) =>
          (await sql`select status from bulkhead.checks_backups() where name = ${name}`)[0]
            ?.["status"],
      );
    assert.equal(await status("tenant_without_backup"), "pass");
    assert.equal((await bulkhead(["backups", "verify"], world.env)).code, 0);
    assert.equal((await bulkhead(["prune", "--record-env", "DATABASE_URL"], world.env)).code, 0);
    assert.equal(await status("backup_verified"), "unknown");
    assert.equal(await status("retention_overdue"), "unknown");
    const verify = ["backups", "verify", "--record-env", "DATABASE_URL"];
    assert.equal((await bulkhead(verify, world.env)).code, 0);
    assert.equal(await status("backup_verified"), "pass");
    const prune = ["prune", "--apply", "--record-env", "DATABASE_URL"];
    assert.equal((await bulkhead(prune, world.env)).code, 0);
    assert.equal(await status("retention_overdue"), "pass");
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    assert.equal(await status("tenant_without_backup"), "pass", "by reference, too");

    const listed = async (...args: string[]) => {
      const ran = await bulkhead(["backups", "list", ...args], world.env);
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout;
    };
    const recorded = ["--record-env", "DATABASE_URL"];
    const [newer, older] = JSON.parse(await listed("--json", ...recorded)).backups;
    assert.equal(newer.verified, null);
    assert.equal(older.verified.isWhole, true);
    assert.ok(newer.ageSeconds >= 0 && newer.ageSeconds < 600, `${newer.ageSeconds} s`);
    assert.match(
      await listed(...recorded),
      /^\S+ {2}\d+ min old {2}runner .*never verified\n\S+ .* verified \d{4}-\d\d-\d\d\n$/,
    );
    assert.ok(!/verified/.test(await listed()), "nobody looked");

    const nowhere = { ...world.env, NOWHERE_URL: "postgresql://nobody@127.0.0.1:1/none" };
    for (const args of [["backups", "verify"], ["prune", "--apply"]]) {
      const ran = await bulkhead([...args, "--record-env", "NOWHERE_URL"], nowhere);
      assert.equal(ran.code, 4, ran.stderr);
    }
    const [backup] = (await listBackups(world)).valid;
    const { key = "", version = "" } = backup?.manifest.objects[0] ?? {};
    rmSync(join(world.folder, `${key}@${version}`));
    assert.equal((await bulkhead(verify, world.env)).code, 5);
    assert.equal(await status("backup_verified"), "fail");
    assert.match(await listed(...recorded), /^.*NOT WHOLE \d{4}/);
    await world.store.put(
      "manifests/20990101T000000Z-00000000.json",
      new TextEncoder().encode("x"),
    );
    assert.equal((await bulkhead(prune, world.env)).code, 5);
    assert.equal(await status("retention_overdue"), "fail");
    const titles = await withSql(
      db.url,
      (sql) => sql`select payload ->> 'title' as title from bulkhead.alert_outbox order by id`,
    );
    assert.deepEqual(titles.map((row) => row["title"]), [
      "A backup can't be read",
      "Retention stopped",
    ]);
  });

  test("a scheduled backup stands down unless the runner was named; one by hand does not", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const idle = await bulkhead(["backup", "--scheduled", "--json"], world.env);
    assert.equal(idle.code, 0, idle.stderr);
    assert.deepEqual(JSON.parse(idle.stdout), { backup: null, maker: "edge" });
    assert.deepEqual((await listBackups(world)).valid, []);
    await withSql(db.url, (sql) => sql`select bulkhead.configure_backups('runner')`);
    const made = await bulkhead(["backup", "--scheduled", "--json"], world.env);
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await listBackups(world)).valid.length, 1);
  });
});

describe("a store, and what leads to it", () => {
  const refused = (code: string) => new RegExp(`^Error: .+ \\[${code}\\]\nTry: .+\n$`, "m");

  test("an id that is malformed or unknown, an empty store and a broken manifest are named", async () => {
    await using db = await torture(true);
    using world = await backupWorld({ DATABASE_URL: db.url });
    for (
      const args of [["backups", "list"], ["backups", "verify"], ["prune"], ["prune", "--apply"]]
    ) {
      const ran = await bulkhead(args, world.env);
      assert.equal(ran.code, 1, ran.stderr);
      assert.match(ran.stderr, refused("BH_NO_BACKUP"));
    }
    for (
      const args of [
        ["backups", "show", "nonsense"],
        ["backups", "verify", ""],
        ["restore", "--tenant", "x", "--backup", "foo"],
        ["drill", "--backup", "foo"],
      ]
    ) {
      const ran = await bulkhead(args, world.env);
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(ran.stderr, refused("BH_BACKUP_ID"));
    }
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const unknown = await bulkhead(["backups", "show", "20200101T000000Z-00000000"], world.env);
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /does not hold it \[BH_NO_BACKUP\]\nTry: .*npx bulkhead backups list/,
    );
    const one = await bulkhead(["backups", "list"], world.env);
    assert.equal(one.code, 0, one.stderr);
    assert.match(one.stderr, /^1 backup in /m);

    await world.store.put(
      "manifests/20990101T000000Z-00000000.json",
      new TextEncoder().encode("x"),
    );
    const broken = await bulkhead(["backups", "list", "--json"], world.env);
    assert.equal(broken.code, 5);
    assert.equal(JSON.parse(broken.stdout).backups.length, 1);
    assert.equal(JSON.parse(broken.stderr).code, "BH_MANIFEST_INVALID");
    const blind = await bulkhead(["prune"], world.env);
    assert.equal(blind.code, 5);
    assert.match(blind.stderr, refused("BH_PRUNE_BLIND"));
  });

  test("every missing variable is named at once", async () => {
    const empty = ["DATABASE_URL", "BULKHEAD_STORE", "BULKHEAD_KEK"];
    for (const args of [["backup"], ["drill"], ["restore", "--tenant", "x"]]) {
      const ran = await bulkhead(args, {});
      assert.equal(ran.code, 2);
      for (const name of empty) assert.ok(ran.stderr.split("\n")[0]?.includes(name), ran.stderr);
    }
    const bucket = await bulkhead(["drill", "--target-env", "TARGET_URL"], {
      BULKHEAD_STORE: "s3://bucket",
    });
    assert.match(
      bucket.stderr,
      /BULKHEAD_S3_READER_SECRET.*BULKHEAD_KEK.*DATABASE_URL.*TARGET_URL/,
    );
  });

  test("a drill checks its folder of reports before it starts", async () => {
    using world = await backupWorld({ DATABASE_URL: "postgresql://nobody@127.0.0.1:1/none" });
    const ran = await bulkhead(["drill", "--report-dir", "/proc/nope/reports"], world.env);
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, refused("BH_REPORT_WRITE"));
  });
});

/** The newest text report of a folder. */
function latest(folder: string): string {
  return readdirSync(folder).filter((name) => name.endsWith(".txt")).sort().at(-1) ?? "";
}

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
