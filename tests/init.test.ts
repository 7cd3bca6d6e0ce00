// needs: supabase-cli
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import postgres from "postgres";
import { parse } from "smol-toml";
import { addToConfig, removeFromConfig } from "../scripts/project/config-toml.ts";
import { applyChanges } from "../scripts/project/files.ts";
import { freshVersions } from "../scripts/project/project.ts";
import { inventory, kitStatements, upgradeSql } from "../scripts/project/sql-changes.ts";
import { parseMigration, splitSql } from "../scripts/project/sql-statements.ts";
import {
  applyMigrations,
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import {
  bulkhead,
  copyKit,
  createProject,
  edit,
  filesOf,
  projectsFolder,
  removeFolder,
  supabase,
} from "./support/project.ts";
import { schemaSnapshot } from "./support/schema-snapshot.ts";
import { migrationFiles } from "./support/sql-files.ts";

const home = projectsFolder();
after(() => removeFolder(home));

const project = (files?: Record<string, string>) => createProject(home, files);
const init = async (dir: string, ...args: string[]) => {
  const ran = await bulkhead(["init", "--dir", dir, ...args]);
  return ran;
};
const migrations = (dir: string) =>
  Object.keys(filesOf(join(dir, "supabase/migrations"))).filter((name) => /bulkhead/.test(name));
const migration = (dir: string, capability: string) => {
  const name = migrations(dir).find((file) => file.endsWith(`_bulkhead_${capability}.sql`));
  return join(dir, "supabase/migrations", name ?? assert.fail(capability));
};

/** Send a signal as soon as something is so. */
function killAt(child: ChildProcess, moment: () => boolean, signal: NodeJS.Signals): void {
  const timer = setInterval(() => {
    let isNow = false;
    try {
      isNow = moment();
    } catch {
      // A file went while the folder was read: look again.
    }
    if (isNow) child.kill(signal);
    if (isNow || child.exitCode !== null) clearInterval(timer);
  }, 1);
  child.on("close", () => clearInterval(timer));
}

describe("bulkhead init", () => {
  it("installs migrations in the kit's order, after the project's newest", async () => {
    const future = "20991231235958_later.sql";
    const dir = project({ [`supabase/migrations/${future}`]: "select 1;\n" });
    const ran = await init(dir);
    assert.equal(ran.code, 0, ran.stderr);
    const names = migrations(dir);
    assert.deepEqual(
      names.map((name) => name.replace(/^[0-9]{14}_bulkhead_/, "")),
      migrationFiles().map(({ name }) => `${name}.sql`),
    );
    assert.equal(names[0]?.slice(0, 14), "20991231235959");
    assert.equal(names[1]?.slice(0, 14), "21000101000000");
    for (const { name, text } of migrationFiles()) {
      assert.equal(readFileSync(migration(dir, name), "utf8"), text);
    }
  });

  it("keeps comments and order of config.toml and adds only what is missing", async () => {
    const dir = project();
    const earlier = readFileSync(join(dir, "supabase/config.toml"), "utf8");
    await init(dir);
    const text = readFileSync(join(dir, "supabase/config.toml"), "utf8");
    const lines = text.split("\n");
    assert.deepEqual(
      earlier.split("\n").filter((line) => line !== "" && !lines.includes(line)),
      ['schemas = ["public", "graphql_public"]'],
    );
    assert.match(text, /^schemas = \["public", "graphql_public", "bulkhead_api"\]$/m);
    const { functions } = parse(text) as { functions: Record<string, Record<string, string>> };
    for (const name of ["backup", "alert", "status"]) {
      const files = filesOf(join(dir, "supabase"));
      for (const key of ["entrypoint", "import_map"]) {
        assert.ok(functions[name]?.[key]?.replace("./", "") ?? "" in files, `${name} ${key}`);
      }
    }
  });

  it("run again changes nothing, and says so", async () => {
    const dir = project();
    await init(dir);
    const earlier = filesOf(dir);
    const ran = await init(dir);
    assert.equal(ran.code, 0);
    assert.equal(ran.stdout, "");
    assert.match(ran.stderr, /Nothing to do/);
    assert.deepEqual(filesOf(dir), earlier);
    assert.equal((await bulkhead(["upgrade", "--dir", dir])).stdout, "");
    assert.deepEqual(filesOf(dir), earlier);
  });

  it("--dry-run prints a unified diff and changes nothing", async () => {
    const dir = project();
    const earlier = filesOf(dir);
    const ran = await init(dir, "--dry-run");
    assert.equal(ran.code, 0);
    assert.deepEqual(filesOf(dir), earlier);
    assert.match(
      ran.stdout,
      /^--- \/dev\/null\t?\n\+\+\+ b\/supabase\/migrations\/\d{14}_bulkhead_tenancy.sql/m,
    );
    assert.match(ran.stdout, /^-schemas = \["public", "graphql_public"\]\n\+schemas = /m);
    assert.match(ran.stdout, /^\+\+\+ b\/supabase\/bulkhead.lock.json/m);
    // Whole: the last line of the last file arrived through the pipe.
    assert.match(ran.stdout, /\n\+}\n$/);
  });

  it("--json lists what was written as one document", async () => {
    const dir = project();
    const { stdout } = await init(dir, "--json");
    const { written, changes, conflicts } = JSON.parse(stdout) as Record<string, unknown[]>;
    assert.equal(written, true);
    assert.deepEqual(conflicts, []);
    assert.deepEqual(changes?.at(-1), { path: "supabase/bulkhead.lock.json", action: "create" });
  });

  it("keeps a file that the user changed, shows it, and overwrites it with --force only", async () => {
    const dir = project();
    await init(dir);
    const path = join(dir, ".github/workflows/bulkhead-watchdog.yml");
    const original = readFileSync(path, "utf8");
    edit(path, "23 * * * *", "13 * * * *");
    const kept = await init(dir);
    assert.equal(kept.code, 0);
    assert.match(
      kept.stdout,
      /^conflict {2}\.github\/workflows\/bulkhead-watchdog\.yml: you changed it/,
    );
    assert.match(readFileSync(path, "utf8"), /13 \* \* \* \*/);
    await init(dir, "--force");
    assert.equal(readFileSync(path, "utf8"), original);
  });

  it("does not overwrite a file of the project's own: exit 1 and nothing is written", async () => {
    const dir = project({ ".github/workflows/bulkhead-watchdog.yml": "name: mine\n" });
    const earlier = filesOf(dir);
    const ran = await init(dir);
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout,
      /^conflict {2}\.github\/workflows\/bulkhead-watchdog\.yml: a file that is not the kit's/m,
    );
    assert.deepEqual(filesOf(dir), earlier);
    assert.equal((await init(dir, "--force")).code, 0);
  });

  it("refuses a function of the project's own with the same name", async () => {
    for (
      const files of [
        { "supabase/functions/alert/index.ts": "Deno.serve(() => new Response());\n" },
        { "supabase/config.toml": '[functions.alert]\nentrypoint = "./functions/mine.ts"\n' },
      ]
    ) {
      const dir = project(files);
      const earlier = filesOf(dir);
      const ran = await init(dir);
      assert.equal(ran.code, 1);
      assert.match(
        ran.stderr,
        /Cannot install the function "alert"[\s\S]*\[BH_FUNCTION_TAKEN\]\nTry: rename/,
      );
      assert.deepEqual(filesOf(dir), earlier);
    }
  });

  it("refuses a config.toml that can't be read, and names the line", async () => {
    const dir = project({ "supabase/config.toml": "[api\nschemas = [\n" });
    const earlier = filesOf(dir);
    const ran = await init(dir);
    assert.equal(ran.code, 2);
    assert.match(
      ran.stderr,
      /Cannot edit "supabase\/config\.toml".*\[BH_CONFIG_TOML\]\nTry: correct the file/,
    );
    assert.deepEqual(filesOf(dir), earlier);
  });

  it("refuses a folder that is no Supabase project", async () => {
    const dir = project();
    rmSync(join(dir, "supabase/config.toml"));
    assert.match(
      (await init(dir)).stderr,
      /it has no supabase\/config\.toml \[BH_NO_PROJECT\]\nTry: run supabase init/,
    );
    rmSync(join(dir, "supabase"), { recursive: true });
    const ran = await init(dir);
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /it has no supabase folder \[BH_NO_PROJECT\]\nTry: run supabase init/);
    assert.match((await init(join(dir, "nowhere"))).stderr, /it is no folder/);
    assert.deepEqual(filesOf(dir), {});
  });

  it("refuses a functions folder that is a symbolic link", async () => {
    const dir = project({ "elsewhere/.keep": "" });
    symlinkSync("../elsewhere", join(dir, "supabase/functions"));
    assert.match((await init(dir)).stderr, /it is a symbolic link/);
  });

  it("in a project where one folder can't be made changes nothing", async () => {
    // A file in a folder's place stops root as well, which permissions do not.
    const dir = project({ ".github": "a file where the workflows go\n" });
    const earlier = filesOf(dir);
    const ran = await bulkhead(["init", "--dir", dir]);
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(
      ran.stderr,
      /Cannot write "\.github[\s\S]*\[BH_PROJECT_WRITE\]\nTry: nothing was changed/,
    );
    assert.deepEqual(filesOf(dir), earlier);
  });

  it("leaves workflows out where GitHub would not read them", async () => {
    const dir = project();
    mkdirSync(join(dir, ".git"));
    const inner = createProject(dir);
    const ran = await init(inner);
    assert.equal(ran.code, 0);
    assert.match(ran.stderr, /Workflows left out/);
    assert.ok(!Object.keys(filesOf(inner)).some((path) => path.startsWith(".github")));
  });

  it("killed at any moment leaves whole files only, and the next run completes it", async () => {
    const whole = project();
    await init(whole);
    const complete = Object.values(filesOf(whole)).filter((text) => !text.includes('"digest"'));
    const paths = () => Object.keys(filesOf(dir));
    let dir = "";
    for (
      const moment of [
        () => paths().some((path) => path.endsWith(".partial")),
        () => migrations(dir).some((path) => path.endsWith(".sql")),
        () => paths().some((path) => /_bulkhead\/.*\.ts$/.test(path)),
      ]
    ) {
      dir = project();
      await bulkhead(["init", "--dir", dir], {
        onStart: (child) => killAt(child, moment, "SIGKILL"),
      });
      for (const [path, text] of Object.entries(filesOf(dir))) {
        if (path.endsWith(".partial") || path.endsWith("lock.json")) continue;
        assert.ok(
          complete.includes(text) || path.endsWith("config.toml"),
          `${path} is half-written`,
        );
      }
      assert.equal((await init(dir)).code, 0);
      const repaired = filesOf(dir);
      assert.deepEqual(Object.keys(repaired).filter((path) => path.endsWith(".partial")), []);
      assert.equal(migrations(dir).length, migrationFiles().length);
      assert.equal((await init(dir)).stdout, "");
    }
  });

  it("on Ctrl-C leaves all or nothing", async () => {
    const dir = project();
    const earlier = filesOf(dir);
    const ran = await bulkhead(["init", "--dir", dir], {
      onStart: (child) =>
        killAt(
          child,
          () => Object.keys(filesOf(dir)).some((path) => path.endsWith(".partial")),
          "SIGINT",
        ),
    });
    const left = filesOf(dir);
    if ("supabase/bulkhead.lock.json" in left) {
      assert.equal(migrations(dir).length, migrationFiles().length);
    } else assert.deepEqual(left, earlier, ran.stderr);
  });
});

describe("applyChanges()", () => {
  it("takes everything back when a rename fails half-way", () => {
    const dir = project({ "a.txt": "old\n" });
    const earlier = filesOf(dir);
    let renames = 0;
    assert.throws(
      () =>
        applyChanges(dir, [
          { path: "a.txt", before: "old\n", after: "new\n" },
          { path: "new/b.txt", before: null, after: "b\n" },
          { path: "c.txt", before: null, after: "c\n" },
        ], (from, to) => {
          if (++renames === 3) throw new Error("disk full");
          writeFileSync(to, readFileSync(from));
          rmSync(from);
        }),
      /Cannot write "c.txt": disk full/,
    );
    assert.deepEqual(filesOf(dir), earlier);
  });
});

describe("config.toml", () => {
  const added = (text: string) => {
    const edited = addToConfig(text).text;
    assert.equal(addToConfig(edited).text, edited, "a second edit changes nothing");
    return edited;
  };
  it("is edited in every shape that people write it in, and restored to the letter", () => {
    for (
      const text of [
        '[api]\nschemas = ["public"]\n',
        '[api] # the API\r\nport = 54321\r\nschemas = ["public", "graphql_public"] # two\r\n[db]\r\n',
        '[api]\nschemas = [\n  "public", # ours\n  "graphql_public",\n]\n\n[db]\nmajor_version = 17\n',
        "[api]\nschemas = ['public']\n[auth]\nsite_url = \"env(URL)\"\n",
        '[functions.mine]\nverify_jwt = true\n\n[api]\nschemas = ["public"]\n',
      ]
    ) {
      const edited = added(text);
      const { api } = parse(edited) as { api: { schemas: string[] } };
      assert.equal(api.schemas.at(-1), "bulkhead_api");
      assert.deepEqual(removeFromConfig(edited), { text, left: [] });
    }
  });
  it("gets the CLI's default schemas where it names none", () => {
    for (const text of ["", 'project_id = "x"', "[api]\nenabled = true\n"]) {
      const { api } = parse(added(text)) as { api: { schemas: string[] } };
      assert.deepEqual(api.schemas, ["public", "graphql_public", "bulkhead_api"]);
    }
  });
  it("is refused where an edit by text would not be safe", () => {
    for (
      const text of [
        'api = { schemas = ["public"] }\n',
        'api.schemas = ["public"]\n',
        "functions = {}\n",
      ]
    ) {
      assert.throws(() => addToConfig(text), /Cannot edit "supabase\/config.toml"/, text);
    }
  });
});

describe("freshVersions()", () => {
  const now = new Date("2026-02-28T23:59:58Z");
  it("counts in seconds from now, or from the newest migration", () => {
    assert.deepEqual(freshVersions(["0001_a.sql"], 3, now), [
      "20260228235958",
      "20260228235959",
      "20260301000000",
    ]);
    assert.deepEqual(freshVersions(["20270101000000_a.sql"], 1, now), ["20270101000001"]);
    assert.deepEqual(freshVersions(["20269999999999_a.sql"], 2, now), [
      "20270000000000",
      "20270000000001",
    ]);
  });
  it("refuses when nothing of fourteen digits comes after", () => {
    for (
      const name of [
        "9999_a.sql",
        "99999999999999_a.sql",
        "202601010000001_a.sql".replace("2026", "2099"),
      ]
    ) {
      assert.throws(() => freshVersions([name], 1, now), /Cannot name a migration after/, name);
    }
  });
});

describe("the SQL of the kit", () => {
  it("is taken apart without a statement that nobody knows", () => {
    const statements = kitStatements(migrationFiles());
    assert.deepEqual(statements.filter(({ kind }) => kind === "other").map(({ key }) => key), []);
    assert.ok(statements.length > 300);
  });
  it("is split at semicolons that are code", () => {
    assert.deepEqual(
      splitSql("-- a; b\nselect ';'; do $x$ begin; end $x$;\n/* ; */ select $$;$$, \"a;b\";"),
      ["select ';'", "do $x$ begin; end $x$", 'select $$;$$, "a;b"'],
    );
  });
  it("names a function by the types of its arguments", () => {
    const [one] = parseMigration(
      "create function bulkhead.f(a text default 'x, y', numeric(10, 2), out c int, d double precision) returns void language sql as $$select 1$$;",
    );
    assert.equal(one?.key, "function bulkhead.f(text,numeric(10,2),double precision)");
  });
});

describe("an upgrade", () => {
  const from =
    "create table bulkhead.t (a int, b text not null, constraint t_a check (a > 0));\ncreate function bulkhead.f(a int) returns int language sql as $$select 1$$;\nrevoke all on function bulkhead.f from public;\ncreate type bulkhead.k as (a int);\n";
  const upgrade = (to: string, done: string[] = []) =>
    upgradeSql(
      inventory(kitStatements([{ name: "x", text: from }])),
      kitStatements([{ name: "x", text: to }]),
      new Set(done),
    );
  it("of nothing is nothing, and neither are comments and layout", () => {
    for (
      const to of [
        from,
        `-- a comment\n${from}`,
        from.replace("(a int, b", "(\n  a int, -- why\n  b"),
      ]
    ) {
      assert.deepEqual(upgrade(to), { statements: [], changed: [], removed: [], refused: [] });
    }
  });
  it("adds columns, replaces constraints, and replaces a function's body", () => {
    const to = from.replace("b text not null", "b text not null, c int not null default 0").replace(
      "a > 0",
      "a > 1",
    )
      .replace("select 1", "select 2");
    assert.deepEqual(upgrade(to).statements, [
      "alter table bulkhead.t add column c int not null default 0",
      "alter table bulkhead.t drop constraint t_a",
      "alter table bulkhead.t add constraint t_a check(a > 1)",
      "create or replace function bulkhead.f(a int) returns int language sql as $$select 2$$",
    ]);
  });
  it("drops a function only to put its new signature there, and gives the privileges again", () => {
    const statements = upgrade(from.replace("f(a int)", "f(a bigint default 1)")).statements;
    assert.deepEqual(statements, [
      "drop function bulkhead.f(int)",
      "create or replace function bulkhead.f(a bigint default 1) returns int language sql as $$select 1$$",
      "revoke all on function bulkhead.f from public",
    ]);
  });
  it("lists what the kit no longer has and drops none of it", () => {
    const { statements, removed } = upgrade("create table bulkhead.t (b text not null);\n");
    assert.deepEqual(statements, []);
    assert.deepEqual(removed.sort(), [
      "alter table bulkhead.t drop column a;",
      "alter table bulkhead.t drop constraint t_a;",
      "drop function bulkhead.f(int);",
      "drop type bulkhead.k;",
    ]);
  });
  it("refuses with a reason what only a person can change, until that is done", () => {
    const to = from.replace("b text not null", "b int not null, d int not null").replace(
      "k as (a int)",
      "k as (a text)",
    );
    assert.deepEqual(upgrade(to).refused.map(({ object }) => object), [
      "column bulkhead.t.b",
      "column bulkhead.t.d",
      "type bulkhead.k",
    ]);
    const done = ["column bulkhead.t.b", "column bulkhead.t.d", "type bulkhead.k"];
    assert.deepEqual(upgrade(to, done).refused, []);
    assert.deepEqual(upgrade(`${from}do $$ begin end $$;\n`).refused, []);
  });
});

describe("a project's database", () => {
  let server: Server;
  let db: Database;
  const push = (dir: string) =>
    supabase(dir, ["db", "push", `--remote=${db.url}?sslmode=disable`], { home });
  before(async () => {
    server = await startPostgres();
    db = await baselineDatabase(server);
  });
  after(() => server?.stop());

  const dir = project();
  const kit = copyKit(home);
  const configure = () =>
    withSql(db.url, async (sql) => {
      await sql`select bulkhead.configure('public.tenants')`;
      await sql`select bulkhead.protect('public.tenants')`;
      await sql`select bulkhead.protect('public.notes')`;
    });
  const bodies = () =>
    withSql(db.url, async (sql) =>
      Object.fromEntries(
        (await sql`
          select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') as text
          from pg_proc as p where pronamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)`)
          .map((row) => [row["name"] as string, row["text"] as string]),
      ));
  const findings = () =>
    withSql(
      db.url,
      async (sql) =>
        (await sql<{ name: string }[]>`select name from bulkhead.findings('boundary')`).map((
          { name },
        ) => name),
    );

  it("takes what init wrote: supabase db push, twice", async () => {
    assert.equal((await init(dir)).code, 0);
    assert.match(await push(dir), /Finished supabase db push/i);
    assert.match(await push(dir), /up to date/i);
    const expected = await baselineDatabase(server);
    await applyMigrations(expected.url);
    const [actual, wanted] = [
      await withSql(db.url, schemaSnapshot),
      await withSql(expected.url, schemaSnapshot),
    ];
    assert.equal(actual, wanted);
    await expected.drop();
    await configure();
  });

  it("is upgraded by one new migration: the changed function changes, and nothing else", async () => {
    edit(
      join(kit, "migrations/008_audit_proof.sql"),
      "Seals every event whose transaction",
      "Seals each event whose transaction",
    );
    edit(
      join(kit, "migrations/001_tenancy.sql"),
      "    select null::text[]\n",
      "    select '{}'::text[]\n",
    );
    edit(
      join(kit, "migrations/005_alerting.sql"),
      "    -- A null secret would make",
      "    -- Changed: a null secret would make",
    );
    edit(join(kit, "package.json"), /"version": "[^"]+"/, '"version": "0.2.0"');
    edit(join(kit, "functions/alert/index.ts"), "const variables", "// new\nconst variables");
    const [earlier, shape, files] = [
      await bodies(),
      await withSql(db.url, schemaSnapshot),
      filesOf(dir),
    ];

    const refused = await bulkhead(["init", "--dir", dir], { kit });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /BH_UPGRADE_NEEDED/);
    const dry = await bulkhead(["upgrade", "--dir", dir, "--dry-run"], { kit });
    assert.match(dry.stdout, /^\+create or replace function bulkhead\.call_function/m);
    assert.deepEqual(filesOf(dir), files);

    const ran = await bulkhead(["upgrade", "--dir", dir], { kit });
    assert.equal(ran.code, 0, ran.stderr);
    const changed = filesOf(dir);
    const isNew = (path: string) => changed[path] !== files[path];
    assert.deepEqual(
      Object.keys(changed).filter(isNew).map((path) => path.replace(/\d{14}/, "<version>")).sort(),
      [
        "supabase/bulkhead.lock.json",
        "supabase/functions/_bulkhead/alert/index.ts",
        "supabase/migrations/<version>_bulkhead_upgrade.sql",
      ],
    );
    assert.match(await push(dir), /bulkhead_upgrade/);
    const now = await bodies();
    assert.deepEqual(
      Object.keys({ ...now, ...earlier }).filter((name) => now[name] !== earlier[name]),
      ["bulkhead.call_function(text,jsonb)"],
    );
    assert.match(now["bulkhead.call_function(text,jsonb)"] ?? "", /Changed: a null secret/);
    const after = await withSql(db.url, schemaSnapshot);
    assert.equal(after, shape);
    assert.deepEqual(await findings(), []);

    const second = await bulkhead(["upgrade", "--dir", dir], { kit });
    assert.equal(second.stdout, "");
    assert.deepEqual(filesOf(dir), changed);
    assert.match(await push(dir), /up to date/i);
  });

  it("keeps its own settings and triggers when what generates them changes", async () => {
    edit(
      join(kit, "migrations/002_audit_events.sql"),
      /\bif tg_op = 'INSERT' then/,
      "-- generated anew\n    if tg_op = 'INSERT' then",
    );
    edit(
      join(kit, "migrations/001_tenancy.sql"),
      /(?<=create function bulkhead\.configure\(\s+tenants_table regclass,)/,
      "\n    spare text default null,",
    );
    const earlier = await bodies();
    assert.equal((await bulkhead(["upgrade", "--dir", dir], { kit })).code, 0);
    await push(dir);
    const now = await bodies();
    assert.equal(
      now["bulkhead.member_tenants(jsonb,text)"],
      earlier["bulkhead.member_tenants(jsonb,text)"],
    );
    const trigger =
      Object.keys(now).find((name) => name.startsWith("bulkhead.audit_public_notes")) ?? "";
    assert.match(now[trigger] ?? "", /generated anew/);
    const configures = Object.keys(now).filter((name) => /\.configure\(/.test(name));
    assert.deepEqual(configures.map((name) => /^[^,]*,text,/.test(name)), [true]);
    assert.deepEqual(await findings(), []);
  });

  it("is not upgraded where a person must decide: exit 1, each object with its reason", async () => {
    edit(
      join(kit, "migrations/009_schedule.sql"),
      "max_age interval not null,",
      "max_age interval not null,\n    owner name not null,",
    );
    const files = filesOf(dir);
    const ran = await bulkhead(["upgrade", "--dir", dir], { kit });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout,
      /^conflict {2}column bulkhead\.jobs\.owner: it is NOT NULL without a default.*--done "column/m,
    );
    assert.deepEqual(filesOf(dir), files);
    edit(
      join(kit, "migrations/009_schedule.sql"),
      "    owner name not null,",
      "    owner name not null default current_user,",
    );
    assert.equal((await bulkhead(["upgrade", "--dir", dir], { kit })).code, 0);
    await push(dir);
    const [column] = await withSql(
      db.url,
      (sql) =>
        sql`select 1 from information_schema.columns where table_schema = 'bulkhead' and table_name = 'jobs' and column_name = 'owner'`,
    );
    assert.ok(column);
  });

  it("is after an upgrade what a new installation of that version is", async () => {
    const last = join(kit, "migrations/009_schedule.sql");
    edit(
      last,
      "declared.command,\n    held.jobid",
      "declared.command || '' as job_command,\n    held.jobid",
    );
    edit(
      last,
      "select bulkhead.schedule();\n",
      `create table bulkhead.extras (
    id bigint generated always as identity primary key,
    note text not null
);
comment on table bulkhead.extras is 'New';
alter table bulkhead.extras enable row level security;
revoke all on bulkhead.extras from public, anon, authenticated, service_role;
create index extras_note_idx on bulkhead.extras (note);
create view bulkhead.extra_notes with (security_invoker = true) as select note from bulkhead.extras;
comment on view bulkhead.extra_notes is 'New';
revoke all on bulkhead.extra_notes from public, anon, authenticated, service_role;
create function bulkhead.extra(note text) returns text language sql stable set search_path = pg_catalog, pg_temp
as $$ select e.note from bulkhead.extras as e where e.note = extra.note $$;
comment on function bulkhead.extra(text) is 'New';
revoke all on function bulkhead.extra(text) from public;
grant execute on function bulkhead.extra(text) to service_role;

select bulkhead.schedule();
`,
    );
    edit(
      join(kit, "migrations/005_alerting.sql"),
      /create index incidents_opened_at_idx on bulkhead\.incidents \(opened_at\)/,
      "create index incidents_opened_at_idx on bulkhead.incidents (opened_at, id)",
    );
    assert.equal((await bulkhead(["upgrade", "--dir", dir], { kit })).code, 0);
    await push(dir);
    const fresh = await baselineDatabase(server);
    await applyMigrations(fresh.url, join(kit, "migrations"));
    // The functions that configure() and protect() write are the project's own.
    const kitOnly = (text: string) =>
      text.split("\n").filter((line) => !/audit_public_|canonical_tenant|member_tenants/.test(line))
        .join("\n");
    assert.equal(
      kitOnly(await withSql(db.url, schemaSnapshot)),
      kitOnly(await withSql(fresh.url, schemaSnapshot)),
    );
    await fresh.drop();
    assert.deepEqual(await findings(), []);
  });

  it("does not lose a function that the user changed to an upgrade", async () => {
    edit(join(kit, "functions/alert/index.ts"), "// new", "// newer");
    const mine = join(dir, "supabase/functions/_bulkhead/alert/index.ts");
    edit(mine, "// new", "// mine");
    const files = filesOf(dir);
    const ran = await bulkhead(["upgrade", "--dir", dir], { kit });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout,
      /^conflict {2}supabase\/functions\/_bulkhead\/alert\/index\.ts: you changed it, and the kit has a new/m,
    );
    assert.deepEqual(filesOf(dir), files);
    assert.equal((await bulkhead(["upgrade", "--dir", dir, "--force"], { kit })).code, 0);
    assert.match(readFileSync(mine, "utf8"), /newer/);
  });

  it("is not uninstalled while tables are protected, by the command or by the migration", async () => {
    const ran = await bulkhead(["uninstall", "--dir", dir, "--write"], {
      env: { DATABASE_URL: db.url },
    });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /2 tables are protected: .*notes.*BH_PROTECTED/);
    const { stdout } = await bulkhead(["uninstall"]);
    await assert.rejects(
      withSql(db.url, (sql) => sql.begin((tx) => tx.unsafe(stdout).simple())),
      (error) => error instanceof postgres.PostgresError && error.code === "BH902",
    );
  });

  it("is not uninstalled under a policy of the project's own that asks the kit", async () => {
    const { stdout } = await bulkhead(["uninstall", "--unprotect"]);
    await withSql(db.url, async (sql) => {
      await sql`create policy mine on public.tenants using (id::text = bulkhead.current_tenant())`;
      await assert.rejects(
        sql.begin((tx) => tx.unsafe(stdout).simple()),
        (error) =>
          error instanceof postgres.PostgresError && error.code === "BH903" &&
          /policy mine on public.tenants/.test(error.message),
      );
      await sql`drop policy mine on public.tenants`;
    });
  });

  it("is free of the kit after uninstall --write --unprotect --files and a push", async () => {
    const ran = await bulkhead(["uninstall", "--dir", dir, "--write", "--unprotect", "--files"], {
      kit,
    });
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(await push(dir), /bulkhead_uninstall/);
    const left = await withSql(
      db.url,
      (sql) =>
        sql`select nspname as name from pg_namespace where nspname like 'bulkhead%'
        union all select rolname from pg_roles where rolname like 'bulkhead%'
        union all select polname from pg_policy where polname like 'bulkhead%'
        union all select tgname from pg_trigger where tgname like 'bulkhead%'`,
    );
    assert.deepEqual([...left], []);
    assert.deepEqual(
      Object.keys(filesOf(dir)).filter((path) => !/^supabase\/(migrations|\.temp)\//.test(path)),
      ["supabase/config.toml"],
    );
    assert.equal(
      readFileSync(join(dir, "supabase/config.toml"), "utf8"),
      filesOf(project())["supabase/config.toml"],
    );
  });

  it("can have the kit again afterwards", async () => {
    assert.equal((await init(dir)).code, 0);
    assert.match(await push(dir), /Finished supabase db push/i);
    await configure();
    assert.deepEqual(await findings(), []);
  });
});
