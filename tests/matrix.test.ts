import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type postgres from "postgres";
import { parse } from "smol-toml";
import { measureMatrix } from "../functions/_core/adapters/matrix-run.ts";
import { readMatrix } from "../functions/_core/adapters/matrix-read.ts";
import { readWorld } from "../functions/_core/adapters/matrix-world.ts";
import { parseConfig } from "../functions/_core/adopt/config.ts";
import { renderMatrix, renderMatrixMarkdown } from "../functions/_core/matrix/report.ts";
import { createReport, type MatrixReport } from "../functions/_core/matrix/verdict.ts";
import { applyFiles, planFiles, ups } from "./support/adopt.ts";
import { contentHash } from "./support/content-hash.ts";
import { depth } from "./support/depth.ts";
import { NASTY_CONFIG, nastySchema } from "./support/nasty-schema.ts";
import {
  baselineDatabase,
  cloneOf,
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead } from "./support/project.ts";
import { skillsDatabase } from "./support/skills.ts";
import { ROOT } from "./support/sql-files.ts";
import { surveyDatabase } from "./support/survey.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server?.stop());

const toml = (example: string) =>
  parse(readFileSync(join(ROOT, "examples", example, "bulkhead.toml"), "utf8"));

async function matrixOf(
  sql: postgres.Sql,
  config: object | null = null,
  only: readonly string[] = [],
): Promise<MatrixReport> {
  const { world } = await readWorld(sql, config === null ? null : parseConfig(config));
  const { actors, results } = await measureMatrix(sql, world, {
    clone: true,
    ...(only.length > 0 ? { only: (table) => only.includes(table.id) } : {}),
  });
  return createReport(world, actors, results, "seeded");
}

/** `actor verb` of every open cell of a table. */
function open(report: MatrixReport, table: string): string[] {
  return report.tables.filter((one) => one.table === table).flatMap((one) =>
    one.cells.filter((cell) => cell.leak).map((cell) => `${cell.actor} ${cell.verb}`)
  );
}

/** `verb` of what an actor may do with its own rows. */
function own(report: MatrixReport, table: string, actor: string): string[] {
  return report.tables.filter((one) => one.table === table).flatMap((one) =>
    one.cells.filter((cell) =>
      cell.actor === actor && cell.target === "own" && cell.result === "allowed"
    ).map((cell) => cell.verb)
  );
}

/** Nothing but a sequence may differ after a run. */
async function unchanged<T>(db: Database, work: () => Promise<T>): Promise<T> {
  const was = await contentHash(db.superUrl);
  const result = await work();
  assert.deepEqual(await contentHash(db.superUrl), was);
  return result;
}

describe("the three examples", () => {
  test("openhouse shows its known holes, and none once it is hardened", async () => {
    await using raw = await openhouseDatabase(server, { hardened: false });
    const red = await unchanged(raw, () => withSql(raw.url, (sql) => matrixOf(sql)));
    assert.equal(red.verdict, "red");
    assert.equal(red.counts.unknown, 0);
    assert.deepEqual(red.actors.map((one) => one.name), [
      ...["anon", "owner", "manager", "agent", "none", "service", "service-"],
    ]);
    const messages = open(red, "public.messages");
    for (
      const hole of ["anon insert", "none select", "agent update", "owner delete", "agent move"]
    ) {
      assert.ok(messages.includes(hole), hole);
    }
    assert.ok(!messages.includes("anon select"), "read messages is for authenticated only");
    assert.ok(open(red, "public.members").includes("agent insert"), "a member lets itself in");
    assert.ok(!open(red, "public.members").includes("agent select"));
    assert.ok(open(red, "public.onboarding_attempts").includes("anon delete"), "no RLS at all");

    await using hardened = await openhouseDatabase(server);
    const green = await unchanged(hardened, () => withSql(hardened.url, (sql) => matrixOf(sql)));
    assert.deepEqual([green.verdict, green.counts.unknown], ["green", 0]);
    assert.deepEqual(own(green, "public.messages", "agent"), [
      ...["select", "insert", "update", "delete"],
    ]);
    assert.deepEqual(own(green, "public.members", "owner"), ["select"]);
  });

  test("skills: the policy that is true while the setting is absent is seen, then gone", async () => {
    await using raw = await skillsDatabase(server, { hardened: false });
    const red = await unchanged(
      raw,
      () => withSql(raw.url, (sql) => matrixOf(sql, toml("skills"))),
    );
    assert.equal(red.counts.unknown, 0);
    const skills = open(red, "public.skills");
    assert.ok(skills.includes("skills_app- select"), skills.join());
    assert.ok(!skills.includes("skills_app select"));
    assert.ok(open(red, "public.api_keys").includes("anon select"));

    await using hardened = await skillsDatabase(server);
    const green = await withSql(hardened.url, (sql) => matrixOf(sql));
    assert.deepEqual([green.verdict, green.counts.unknown], ["green", 0]);
    assert.deepEqual(own(green, "public.ratings", "skills_app"), [
      ...["select", "insert", "update", "delete"],
    ]);
  });

  test("survey: an organization sees its own only once it is adopted", async () => {
    await using db = await surveyDatabase(server, { hardened: false });
    await withSql(db.url, async (sql) => {
      const red = await matrixOf(sql, toml("survey"));
      assert.equal(red.counts.unknown, 0);
      assert.ok(open(red, "public.answers").includes("application_role- select"));
      assert.ok(!open(red, "public.answers").includes("application_role select"));
      assert.ok(open(red, "public.facts").includes("application_role update"));
      await applyFiles(sql, ups(await planFiles(sql, toml("survey"))));
    });
    const green = await unchanged(db, () => withSql(db.url, (sql) => matrixOf(sql)));
    assert.deepEqual([green.verdict, green.counts.unknown], ["green", 0]);
    for (const table of ["sessions", "answers", "conversation_state"]) {
      assert.ok(own(green, `public.${table}`, "application_role").includes("select"), table);
    }
  });
});

for (const type of (["bigint", "text", "uuid"] as const).slice(0, depth({ quick: 1, full: 3 }))) {
  test(`a schema with every awkward shape is measured whole, ${type} tenants`, async () => {
    await using db = await kitDatabase(server);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(nastySchema(type).ddl).simple();
      const red = await unchanged(db, () => matrixOf(sql, NASTY_CONFIG));
      assert.deepEqual([red.verdict, red.counts.unknown, red.tables.length], ["red", 0, 9]);
      await applyFiles(sql, ups(await planFiles(sql, NASTY_CONFIG)));
      const green = await unchanged(db, () => matrixOf(sql, NASTY_CONFIG));
      assert.deepEqual([green.verdict, green.counts.unknown], ["green", 0]);
    });
  });
}

describe("what breaks a boundary turns its table red", () => {
  let db: Database;
  before(async () => void (db = await openhouseDatabase(server)));
  after(async () => await db?.drop());
  const tables = ["developments", "members", "messages", "onboarding_attempts", "units"];
  const broken: Record<string, (table: string) => string> = {
    "row level security switched off": (table) => `alter table ${table} disable row level security`,
    "the restrictive policy dropped and an open one added": (table) =>
      `drop policy bulkhead_tenant on ${table}; create policy open on ${table} using (true)`,
    "a grant and an open policy for anon, the restrictive one dropped": (table) =>
      `drop policy bulkhead_tenant on ${table}; grant select on ${table} to anon; create policy open on ${table} for select to anon using (true)`,
  };
  for (const [kind, [what, ddl]] of Object.entries(broken).entries()) {
    test(what, async () => {
      await using copy = await cloneOf(server, db.name);
      await withSql(copy.url, async (sql) => {
        for (const [at, name] of tables.entries()) {
          if ((at + kind) % 3 >= depth({ quick: 1, full: 3 })) continue;
          const table = `public.${name}`;
          assert.equal((await matrixOf(sql, null, [table])).verdict, "green", table);
          await sql.unsafe(ddl(table)).simple();
          const report = await matrixOf(sql, null, [table]);
          assert.equal(report.verdict, "red", table);
          assert.deepEqual(report.tables.map((one) => one.table), [table]);
        }
      });
    });
  }
});

describe("on a database that others use", () => {
  test("works without the kit, by its guesses", async () => {
    await using db = await baselineDatabase(server);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(`
        create table public.organizations (id bigint generated always as identity primary key, name text not null);
        create table public.memberships (org_id bigint references public.organizations, user_id uuid references auth.users, role text, primary key (org_id, user_id));
        create table public.notes (id bigint generated always as identity primary key, org_id bigint references public.organizations, body text);
        alter table public.notes enable row level security;
        create policy prefix on public.notes for select to authenticated using (exists (
          select from public.memberships as m where m.user_id = auth.uid() and notes.org_id::text like m.org_id || '%'));
        insert into public.organizations (name) values ('one');
        insert into auth.users (id) values ('00000000-0000-0000-0000-000000000001');
        insert into public.memberships values (1, '00000000-0000-0000-0000-000000000001', 'boss');
      `).simple();
      const report = await unchanged(db, () => matrixOf(sql, null, ["public.notes"]));
      assert.deepEqual(report.actors.map((one) => one.name).slice(0, 3), ["anon", "boss", "none"]);
      // 12 begins with 1: only ids that are prefixes of each other show it.
      assert.deepEqual(open(report, "public.notes").filter((one) => one.startsWith("boss ")), [
        ...["boss select", "boss truncate"],
      ]);
    });
  });

  test("trusting user_metadata or a header is found by a forged claim", async () => {
    await using db = await baselineDatabase(server);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(`
        create table public.tenants (id text primary key, name text);
        create table public.notes (id uuid primary key default gen_random_uuid(), tenant_id text not null references public.tenants, body text);
        create table public.files (id uuid primary key default gen_random_uuid(), tenant_id text not null references public.tenants, body text);
        alter table public.notes enable row level security;
        alter table public.files enable row level security;
        create policy by_app on public.notes to authenticated using (tenant_id = auth.jwt() -> 'app_metadata' ->> 'tenant_id');
        create policy by_user on public.notes for select to authenticated using (tenant_id = auth.jwt() -> 'user_metadata' ->> 'tenant_id');
        create policy by_header on public.files to authenticated using (tenant_id = current_setting('request.headers', true)::jsonb ->> 'x-tenant-id');
        revoke truncate on all tables in schema public from anon, authenticated, service_role;
      `).simple();
      const report = await matrixOf(sql);
      assert.ok(open(report, "public.notes").includes("member select"));
      assert.ok(!open(report, "public.notes").includes("member update"));
      assert.ok(open(report, "public.files").includes("none delete"));
    });
  });

  test("a trigger that refuses every row leaves the table unknown until a value is given", async () => {
    await using db = await openhouseDatabase(server);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(`
        create function public.only_bookings() returns trigger language plpgsql set search_path = '' as $$
        begin
          if new.label !~ '^B-\\d+ booked$' then raise exception 'units must be booked'; end if;
          return new;
        end $$;
        create trigger only_bookings before insert on public.units for each row execute function public.only_bookings();
      `).simple();
      const report = await matrixOf(sql, null, ["public.units", "public.developments"]);
      assert.equal(report.verdict, "unknown");
      const problem = report.tables.find((one) => one.table === "public.units")?.problem ?? "";
      assert.match(problem, /units must be booked.*bulkhead\.toml: \[seed\."public\.units"\]/);
      assert.equal(report.tables.find((one) => one.table === "public.developments")?.problem, null);
      const seeded = await matrixOf(sql, {
        tenants: { table: "public.tenants" },
        seed: { "public.units": { label: "'B-' || {n} || ' booked'" } },
      }, ["public.units"]);
      assert.equal(seeded.verdict, "green");
    });
  });

  test("a locked table is waited for half a second and is unknown, the others are measured", async () => {
    await using db = await openhouseDatabase(server);
    await withSql(db.url, async (holder) => {
      await holder.begin(async (tx) => {
        await tx`lock table public.messages in share mode`;
        const started = Date.now();
        const report = await withSql(
          db.url,
          (sql) => matrixOf(sql, null, ["public.messages", "public.units"]),
        );
        assert.ok(Date.now() - started < 15_000);
        assert.equal(report.verdict, "unknown");
        assert.match(
          report.tables.find((one) => one.problem !== null)?.problem ?? "",
          /public\.messages/,
        );
        assert.equal(report.tables.filter((one) => one.problem === null).length, 1);
        // What a migration holds exclusively cannot even be looked at.
        await tx`lock table public.messages in access exclusive mode`;
        const ran = await bulkhead(["matrix"], { env: { DATABASE_URL: db.url } });
        assert.equal(ran.code, 3);
        assert.match(ran.stderr, /BH_MATRIX_BUSY\]\nTry: wait/);
      });
    });
  });

  test("--read-only writes nothing, not even to take it back", async () => {
    await using db = await openhouseDatabase(server, { hardened: false });
    await withSql(db.url, async (sql) => {
      const { world } = await readWorld(sql, null);
      const [was] = await sql`select pg_snapshot_xmax(pg_current_snapshot())::text as at`;
      const { actors, results } = await readMatrix(sql, world, {});
      const [is] = await sql`select pg_snapshot_xmax(pg_current_snapshot())::text as at`;
      assert.deepEqual(is, was, "no transaction id was taken");
      const report = createReport(world, actors, results, "read-only");
      assert.deepEqual(open(report, "public.messages"), [
        ...["owner select", "manager select", "agent select", "none select"],
      ]);
      assert.ok(report.tables.every((one) => one.cells.every((cell) => cell.verb === "select")));
    });
    await using hardened = await openhouseDatabase(server);
    await withSql(hardened.url, async (sql) => {
      const { world } = await readWorld(sql, null);
      const { actors, results } = await readMatrix(sql, world, {});
      assert.equal(createReport(world, actors, results, "read-only").verdict, "green");
    });
  });

  for (const [signal, code] of [["SIGINT", 130], ["SIGKILL", -1]] as const) {
    test(`${signal} in the middle leaves nothing behind`, async () => {
      await using db = await openhouseDatabase(server);
      await unchanged(db, async () => {
        const ran = await bulkhead(["matrix"], {
          env: { DATABASE_URL: db.url },
          onStart: (child) => void interrupt(db, () => child.kill(signal)),
        });
        assert.deepEqual([ran.code, ran.stdout], [code, ""]);
        await untilGone(db);
      });
    });
  }

  test("two at once take turns and agree", async () => {
    await using db = await openhouseDatabase(server);
    const runs = await Promise.all(
      [1, 2].map(() =>
        withSql(db.url, (sql) => matrixOf(sql, null, ["public.messages", "public.units"]))
      ),
    );
    assert.deepEqual(runs.map((one) => [one.verdict, one.counts.unknown]), [["green", 0], [
      "green",
      0,
    ]]);
    assert.deepEqual(runs[1], runs[0]);
  });
});

/** Once the command has written something in its transaction. */
async function interrupt(db: Database, stop: () => void): Promise<void> {
  await withSql(db.superUrl, async (sql) => {
    for (let tries = 0; tries < 2_000; tries++) {
      const [row] = await sql`select 1 from pg_stat_activity
        where datname = current_database() and application_name = 'bulkhead' and backend_xid is not null`;
      if (row) break;
      await sleep(5);
    }
  });
  stop();
}

async function untilGone(db: Database): Promise<void> {
  await withSql(db.superUrl, async (sql) => {
    for (let tries = 0; tries < 400; tries++) {
      const [row] = await sql`select 1 from pg_stat_activity
        where datname = current_database() and application_name = 'bulkhead'`;
      if (!row) return;
      await sleep(50);
    }
    assert.fail("the session of the command is still there");
  });
}

describe("the command", () => {
  let db: Database;
  before(async () => void (db = await openhouseDatabase(server)));
  after(async () => await db?.drop());
  const run = (args: string[], url = db.url) =>
    bulkhead(["matrix", ...args], { env: { DATABASE_URL: url } });

  test("prints 80 columns without colour, JSON and Markdown", async () => {
    const text = await run([]);
    assert.equal(text.code, 0, text.stderr);
    assert.ok(text.stdout.split("\n").every((line) => line.length <= 80));
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text.stdout, /\u001b/);
    assert.match(text.stdout, /^public\.messages +\.{6} \+{4}\.\. /m);
    const json = JSON.parse(
      (await run(["--json", "--table", "messages", "--role", "agent"])).stdout,
    );
    assert.deepEqual([json.tables.length, json.actors.length, json.verdict], [1, 1, "green"]);
    assert.match((await run(["--markdown"])).stdout, /^\| public\.messages \| `\.{6}` \|/m);
  });

  test("exits 1 on a leak, 3 on unknown, 2 on a name that is not there", async () => {
    await using copy = await cloneOf(server, db.name);
    await withSql(copy.url, (sql) => sql`alter table public.units disable row level security`);
    const red = await run(["--table", "public.units"], copy.url);
    assert.equal(red.code, 1);
    assert.match(red.stdout, /Another tenant's rows are open\n {2}public\.units\n/);
    await withSql(copy.url, (sql) => sql`create table public.loose (id uuid primary key)`);
    const unknown = await run(["--table", "public.loose"], copy.url);
    assert.equal(unknown.code, 3);
    assert.equal((await run(["--table", "nosuch"])).code, 2);
    assert.match((await run(["--role", "nosuch"])).stderr, /Try: choose from anon, /);
  });

  test("writes its report whatever a table is called", () => {
    const report: MatrixReport = {
      version: 1,
      database: "db",
      server: "17",
      mode: "seeded",
      actors: [{ name: "anon", title: "anon", role: "anon", problem: null }],
      tables: [{ table: `"a|b".${"x".repeat(90)}`, problem: "why | not", cells: [] }],
      counts: { tables: 1, cells: 0, leaks: 0, unknown: 1 },
      verdict: "unknown",
    };
    const lines = renderMatrix(report).split("\n");
    assert.ok(lines.every((line) => line.length <= 80), lines.join("\n"));
    assert.match(renderMatrixMarkdown(report), /\\\|/);
  });
});
