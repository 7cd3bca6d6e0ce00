import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hintsOf } from "../functions/_core/matrix/hints.ts";
import { marked, ownerOf } from "../functions/_core/matrix/generated.ts";
import { sampleRegex } from "../functions/_core/matrix/regex.ts";
import { tree } from "../functions/_core/adapters/policy-parser.ts";
import { parseTap } from "../scripts/local/tap.ts";
import { contentHash } from "./support/content-hash.ts";
import { depth } from "./support/depth.ts";
import {
  baselineDatabase,
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead, filesOf, projectsFolder, removeFolder } from "./support/project.ts";
import { nastySchema } from "./support/nasty-schema.ts";
import { skillsDatabase } from "./support/skills.ts";
import { splitStatements } from "../scripts/local/sql-statements.ts";
import { surveyDatabase } from "./support/survey.ts";

let server: Server;
const home = projectsFolder();
before(async () => void (server = await startPostgres()));
after(async () => {
  await server?.stop();
  removeFolder(home);
});

let folders = 0;
async function generate(db: Database, args: string[] = [], out = join(home, `t${++folders}`)) {
  const ran = await bulkhead(["tests", "generate", "--out", out, ...args], {
    env: { DATABASE_URL: db.url },
  });
  return { ...ran, out };
}

/** Failed tests of one file, run as a database's owner; a file that stops before its end has failed. */
async function failures(db: Database, text: string, name = "generated"): Promise<string[]> {
  return await withSql(db.url, async (sql) => {
    const lines: string[] = [];
    let cut = false;
    for (const statement of splitStatements(text)) {
      try {
        const rows = await sql.unsafe(statement.text).simple();
        for (const row of rows.flat()) lines.push(...Object.values(row).map(String));
      } catch (error) {
        lines.push(`not ok - ${error instanceof Error ? error.message : error}`);
        cut = true;
        break;
      }
    }
    const results = parseTap(lines, name, { cut });
    assert.ok(results.length > 0);
    return results.filter((one) => one.status !== "passed").map((one) =>
      `${one.name} ${one.message}`
    );
  });
}

const sqlFiles = (folder: string) =>
  readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();

describe("generated tests of the examples", () => {
  const make: Record<string, () => Promise<Database>> = {
    openhouse: () => openhouseDatabase(server),
    skills: () => skillsDatabase(server),
    survey: () => surveyDatabase(server),
  };
  for (const [example, create] of Object.entries(make)) {
    test(`${example} passes, and each table turns red when its boundary breaks`, async () => {
      await using db = await create();
      const was = await contentHash(db.superUrl);
      const { code, stdout, stderr, out } = await generate(db);
      assert.equal(code, 0, stdout + stderr);
      const files = sqlFiles(out);
      const [count] = await withSql(
        db.url,
        (sql) =>
          sql<
            { count: number }[]
          >`select count(*)::integer as count from bulkhead.protected_tables where parent is null`,
      );
      assert.equal(files.length, count?.count);
      for (const [at, file] of files.entries()) {
        const text = readFileSync(join(out, file), "utf8");
        assert.doesNotMatch(text, /^\\/m, "no command of psql");
        assert.deepEqual(await failures(db, text, file), [], file);
        const table = /^-- (\S+): what/m.exec(text)?.[1] ?? "";
        const broken = [
          `alter table ${table} disable row level security`,
          `do $do$ declare p name; begin for p in select polname from pg_policy where polrelid = '${table}'::regclass loop execute format('drop policy %I on ${table}', p); end loop; end $do$`,
          `drop policy bulkhead_tenant on ${table}; grant select, delete on ${table} to anon; create policy open on ${table} to anon using (true)`,
        ];
        for (const [kind, ddl] of broken.entries()) {
          if ((kind + at) % 3 >= depth({ quick: 1, full: 3 })) continue;
          const red = await failures(db, text.replace("begin;\n", `begin;\n${ddl};\n`), file);
          assert.ok(red.length > 0, `${table} stays green after: ${ddl}`);
        }
      }
      assert.deepEqual(await contentHash(db.superUrl), was);
    });
  }

  test("before hardening the open cells fail, and the command says how many", async () => {
    await using db = await openhouseDatabase(server, { hardened: false });
    const { code, stdout, out } = await generate(db, ["--table", "messages"]);
    assert.equal(code, 0);
    assert.match(stdout, /\d+ cells are open today: their tests fail until they are closed/);
    const red = await failures(db, readFileSync(join(out, "messages.test.sql"), "utf8"));
    assert.ok(
      red.some((one) => one.includes("a member of no tenant may not read 1")),
      red.join("\n"),
    );
    assert.ok(!red.some((one) => one.includes("anon may not read")));
  });

  test("files run on an empty copy of the schema, with and without the kit", async () => {
    for (const create of [baselineDatabase, kitDatabase]) {
      await using full = await create(server);
      await using empty = await create(server);
      for (const db of [full, empty]) {
        await withSql(db.url, (sql) => sql.unsafe(nastySchema("bigint").ddl).simple());
      }
      await withSql(
        empty.url,
        (sql) =>
          sql.unsafe(
            `truncate "My App"."Orgs", "My App".countries, "My App".remarks, "My App".categories, "My App".people cascade`,
          ),
      );
      const config = join(home, "nasty.toml");
      writeFileSync(
        config,
        `version = 1\nschemas = ["My App"]\n[tenants]\ntable = '"My App"."Orgs"'\ncolumn = "Org"\n[tables.'"My App".countries']\nkind = "global"\nreason = "the same for everybody"\n`,
      );
      const one = await generate(full, ["--config", config]);
      assert.equal(one.code, 0, one.stdout + one.stderr);
      const two = await generate(empty, ["--config", config]);
      // The same schema gives the same files, whatever rows are there.
      assert.deepEqual(filesOf(two.out), filesOf(one.out));
      assert.equal(sqlFiles(one.out).length, 9);
      for (const file of sqlFiles(one.out)) {
        const text = readFileSync(join(one.out, file), "utf8");
        const red = await failures(empty, text, file);
        assert.ok(red.length > 0 && red.every((line) => / may not /.test(line)), red.join("\n"));
      }
    }
  });
});

describe("values for columns that have rules", () => {
  test("types, checks, domains, keys and triggers get rows that are accepted", async () => {
    await using db = await baselineDatabase(server);
    await withSql(db.url, (sql) => sql.unsafe(HARD).simple());
    const { code, stdout, stderr, out } = await generate(db);
    assert.equal(code, 3, stdout + stderr);
    const unknown = stdout.split("\n").filter((line) => line.startsWith("? "));
    assert.deepEqual(unknown.length, 2, stdout);
    assert.match(
      unknown.join("\n"),
      /public\.sealed .*the trigger wants more.*\[seed\."public\.sealed"\]/,
    );
    assert.match(unknown.join("\n"), /public\.shaped: no value is known for shape of type polygon/);
    for (const table of ["sealed", "shaped"]) {
      const text = readFileSync(join(out, `${table}.test.sql`), "utf8");
      assert.equal((await failures(db, text)).length, 1, "it fails, it is no todo");
    }
    for (const file of sqlFiles(out).filter((name) => !/sealed|shaped/.test(name))) {
      const red = await failures(db, readFileSync(join(out, file), "utf8"), file);
      assert.ok(red.every((line) => / may not /.test(line)), `${file}\n${red.join("\n")}`);
    }
    const config = join(home, "values.toml");
    writeFileSync(
      config,
      `version = 1\n[tenants]\ntable = "public.tenants"\n[seed."public.sealed"]\nstamp = "'sealed by ' || {tenant} || '/' || {n}"\n[seed."public.shaped"]\nshape = "'((0,0),(1,1),({n},0))'"\n`,
    );
    const given = await generate(db, ["--config", config]);
    assert.equal(given.code, 0, given.stdout + given.stderr);
  });

  test("a sample matches its pattern, and samples of two rows differ", () => {
    for (
      const pattern of [
        ...["^[A-Z]{3}-\\d{4}$", "^[a-z0-9]+(?:-[a-z0-9]+)*$", "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$"],
        ...[
          "^#[0-9a-f]{6}$",
          "^\\+[1-9]\\d{1,14}$",
          "^[A-Z]{2}$",
          "^https?://",
          "^(draft|live)-\\w+$",
        ],
        ...["^sk_[a-z]+_[0-9a-f]{32}$", "^[[:alpha:]][[:alnum:]_]{2,30}$", "^\\d{4}-\\d{2}$"],
      ]
    ) {
      const [one, two] = [1, 12].map((n) => sampleRegex(pattern, n) ?? "");
      const asJs = new RegExp(
        pattern.replace(/\[:alpha:\]/g, "a-zA-Z").replace(/\[:alnum:\]/g, "a-zA-Z0-9"),
      );
      assert.match(one ?? "", asJs, pattern);
      assert.match(two ?? "", asJs, pattern);
      assert.notEqual(one, two, pattern);
    }
    assert.equal(sampleRegex("^(?=.*x).+$", 1), null);
    assert.equal(sampleRegex("(", 1), null);
  });

  test("hints are read from the parse tree", async () => {
    const hints = async (text: string) => Object.fromEntries(hintsOf(await tree(text)));
    assert.deepEqual(await hints("(a)::text = any ((array['x', 'it''s'])::text[])"), {
      a: [{ kind: "values", values: ["x", "it's"] }],
    });
    assert.deepEqual(await hints("0 < b and b <= 9"), {
      b: [
        { kind: "bounds", min: 1, max: null, open: true },
        { kind: "bounds", min: null, max: 9, open: false },
      ],
    });
    assert.deepEqual(await hints("length(trim(c)) >= 3"), {
      c: [{ kind: "length", min: 3, max: null }],
    });
    assert.deepEqual(await hints("random() < 2"), {});
  });
});

/** What schemas of others hold; each table is said to be fillable but the last two. */
const HARD = `
create table public.tenants (id text primary key check (id ~ '^[a-z]{2}[0-9]+$'), name text not null);
create type public.mood as enum ('sad', 'so so', 'it''s fine');
create domain public.email as text check (value ~ '^[^@\\s]+@[^@\\s]+$') not null;
create domain public.percent as numeric(5, 2) check (value >= 0 and value <= 100);
create table public.members (tenant_id text not null references public.tenants, user_id uuid not null references auth.users, role text not null check (role in ('admin', 'member')), primary key (tenant_id, user_id));
-- A trigger of the application makes a profile for every new user.
create table public.profiles (id uuid primary key references auth.users, tenant_id text references public.tenants, handle varchar(12) not null unique);
create table public.kinds (
  id smallint generated always as identity primary key, tenant_id text not null references public.tenants,
  mood public.mood not null, mail public.email, share public.percent not null, code char(3) not null check (code = upper(code)),
  price numeric(10, 2) not null check (price > 0 and price < 1), tags text[] not null check (cardinality(tags) > 0),
  span tstzrange not null, body jsonb not null check (jsonb_typeof(body) = 'array'), raw bytea not null, at timestamptz not null,
  till timestamptz not null check (till > at), ip inet not null, flag boolean not null check (flag), gap interval not null, bits bit(4) not null,
  slug text not null check (slug ~ '^[a-z0-9-]{3,}$' and length(slug) <= 20), twice integer generated always as (2) stored,
  a integer, b integer, check (num_nonnulls(a, b) = 1), unique (tenant_id, mood, slug));
create table public.parents (tenant_id text not null references public.tenants, no integer not null, serial bigserial, primary key (tenant_id, no), unique (serial));
create table public.children (tenant_id text not null, parent_no integer not null, id uuid not null default gen_random_uuid() primary key,
  up uuid references public.children, again uuid not null references public.children deferrable initially deferred,
  foreign key (tenant_id, parent_no) references public.parents);
create table public.one_to_one (tenant_id text not null, parent_no integer not null, note text, primary key (tenant_id, parent_no), foreign key (tenant_id, parent_no) references public.parents);
create table public.loop_a (id integer primary key, tenant_id text not null references public.tenants, b integer not null);
create table public.loop_b (id integer primary key, tenant_id text not null references public.tenants, a integer not null references public.loop_a deferrable);
alter table public.loop_a add foreign key (b) references public.loop_b deferrable;
create table public.months (tenant_id text not null references public.tenants, month date not null, n integer not null, primary key (tenant_id, month, n)) partition by range (month);
create table public.months_2031 partition of public.months for values from ('2031-01-01') to ('2031-12-01');
create table public.keyless (tenant_id text not null references public.tenants, what text not null, data jsonb not null);
create table public.bookings (id uuid primary key default gen_random_uuid(), tenant_id text not null references public.tenants, during int4range not null, exclude using gist (during with &&));
create table public.sealed (id integer primary key, tenant_id text not null references public.tenants, stamp text);
create function public.wants() returns trigger language plpgsql as $$ begin if new.stamp is null or new.stamp not like 'sealed by %/%' then raise exception 'the trigger wants more'; end if; return new; end $$;
create trigger wants before insert on public.sealed for each row execute function public.wants();
create table public.shaped (id integer primary key, tenant_id text not null references public.tenants, shape polygon not null);
`;

describe("the files", () => {
  let db: Database;
  before(async () => void (db = await openhouseDatabase(server)));
  after(async () => await db?.drop());

  test("are the same when written again; one edited by hand is left alone until --force", async () => {
    const first = await generate(db);
    const files = filesOf(first.out);
    assert.match(first.stdout, /messages\.test\.sql {2}new/);
    const again = await generate(db, [], first.out);
    assert.match(again.stdout, /messages\.test\.sql {2}unchanged/);
    assert.deepEqual(filesOf(first.out), files);

    const path = join(first.out, "messages.test.sql");
    writeFileSync(path, `${files["messages.test.sql"]}-- mine\n`);
    writeFileSync(join(first.out, "units.test.sql"), "-- somebody else's\n");
    const old = await marked("-- an older kit wrote this\n");
    writeFileSync(join(first.out, "members.test.sql"), old);
    writeFileSync(join(first.out, "gone.test.sql"), old);
    writeFileSync(join(first.out, "own.test.sql"), "-- a test of the team\n");
    const dry = await generate(db, ["--dry-run"], first.out);
    assert.match(dry.stdout, /members\.test\.sql {2}changed[\s\S]*nothing written/);
    assert.equal(readFileSync(join(first.out, "members.test.sql"), "utf8"), old);

    const third = await generate(db, [], first.out);
    assert.match(third.stdout, /messages\.test\.sql {2}edited by hand, left alone/);
    assert.match(third.stdout, /units\.test\.sql {2}not ours, left alone/);
    assert.match(third.stdout, /gone\.test\.sql {2}its table is gone: remove it/);
    assert.doesNotMatch(third.stdout, /own\.test\.sql/);
    assert.match(readFileSync(path, "utf8"), /-- mine\n$/);
    assert.equal(filesOf(first.out)["members.test.sql"], files["members.test.sql"]);

    const forced = await generate(db, ["--force", "--json"], first.out);
    const actions = JSON.parse(forced.stdout).files.map((one: { action: string }) => one.action);
    assert.deepEqual(actions, ["same", "same", "changed", "same", "same", "foreign", "stale"]);
    assert.equal(filesOf(first.out)["messages.test.sql"], files["messages.test.sql"]);
    assert.equal(readFileSync(join(first.out, "units.test.sql"), "utf8"), "-- somebody else's\n");
  });

  test("a checkout with other line ends is no edit", async () => {
    const text = await marked("begin;\nrollback;\n");
    assert.equal(await ownerOf(text), "ours");
    assert.equal(await ownerOf(text.replaceAll("\n", "\r\n")), "ours");
    assert.equal(await ownerOf(`${text} `), "edited");
    assert.equal(await ownerOf("begin;\n"), "foreign");
  });

  test("a folder that cannot be written is named", async () => {
    const blocked = join(home, "file");
    writeFileSync(blocked, "");
    const ran = await generate(db, ["--table", "units"], join(blocked, "below"));
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /BH_TESTS_WRITE/);
    rmSync(blocked);
  });
});
