import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import * as z from "zod";
import { shift } from "../functions/_core/diff/policy-change.ts";
import { tree } from "../functions/_core/adapters/policy-parser.ts";
import { makeSnapshot, parseSnapshot, printSnapshot } from "../functions/_core/diff/snapshot.ts";
import { renderDiffMarkdown } from "../functions/_core/diff/render.ts";
import { compare } from "../functions/_core/diff/compare.ts";
import { classify } from "../functions/_core/diff/classify.ts";
import {
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead } from "./support/project.ts";
import { migrationFiles } from "./support/sql-files.ts";

const BASE = `create table public.tenants (id uuid primary key);
create table public.notes (
    id uuid primary key,
    tenant_id uuid not null references public.tenants (id),
    body text
);
alter table public.notes enable row level security;
create policy own on public.notes to authenticated
    using (tenant_id = (select (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid));
`;
const CARELESS = `-- a hurry
create extension if not exists pg_graphql;
comment on extension pg_graphql is 'left out with it';
create index concurrently notes_body on public.notes (body);

alter table public.notes
    disable row level security;
create policy everybody on public.notes
    for select using (true);
`;

const changesSchema = z.object({
  version: z.literal(1),
  failed: z.boolean(),
  counts: z.object({ dangerous: z.number(), review: z.number(), safe: z.number() }),
  changes: z.array(z.object({
    rule: z.string(),
    level: z.enum(["safe", "review", "dangerous"]),
    object: z.string(),
    location: z.object({ file: z.string(), line: z.number() }).optional(),
  })),
  notes: z.array(z.string()),
});

describe("bulkhead diff", () => {
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-diff-"));
  let server: Server;
  let db: Database;
  before(async () => {
    for (
      const [side, files] of Object.entries({
        main: { "20260101000000_base.sql": BASE },
        branch: { "20260101000000_base.sql": BASE, "20260102000000_careless.sql": CARELESS },
        broken: {
          "20260101000000_base.sql": BASE,
          "20260103000000_broken.sql": "select 1;\n\nselect *\nfrom public.nowhere;\n",
        },
        empty: {},
      })
    ) {
      mkdirSync(join(folder, side, "down"), { recursive: true });
      writeFileSync(
        join(folder, side, "down", "20260101000000_base.sql"),
        "drop table public.notes;",
      );
      for (const [name, text] of Object.entries(files)) {
        writeFileSync(join(folder, side, name), text);
      }
    }
    server = await startPostgres();
    db = await baselineDatabase(server);
    await withSql(db.url, (sql) => sql.unsafe(BASE).simple());
  });
  after(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (args: string[], env: Record<string, string> = {}) =>
    bulkhead(args, { env, cwd: folder });

  it("compares two folders, names file and line, and fails the gate", async () => {
    const ran = await run([
      "diff",
      "main",
      "branch",
      "--write",
      "out.sarif",
      "--write",
      "out.md",
      "--write",
      "out.json",
    ]);
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stdout, /table public\.notes: rls changed/);
    assert.match(ran.stdout, /branch\/20260102000000_careless\.sql:6/);
    assert.match(ran.stdout, /branch\/20260102000000_careless\.sql:8/);
    for (const line of ran.stdout.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(ran.stderr, /no extension pg_graphql: left out/);
    const found = changesSchema.parse(JSON.parse(readFileSync(join(folder, "out.json"), "utf8")));
    assert.deepEqual(found.counts, { dangerous: 2, review: 0, safe: 0 });
    assert.ok(found.failed);
    const sarif = JSON.parse(readFileSync(join(folder, "out.sarif"), "utf8"));
    assert.equal(sarif.version, "2.1.0");
    for (const result of sarif.runs[0].results) {
      assert.equal(sarif.runs[0].tool.driver.rules[result.ruleIndex].id, result.ruleId);
      assert.equal(
        result.locations[0].physicalLocation.artifactLocation.uri,
        "branch/20260102000000_careless.sql",
      );
    }
    assert.match(
      readFileSync(join(folder, "out.md"), "utf8"),
      /^### Tenant boundary: 2 dangerous changes\n/,
    );
  });

  it("compares a snapshot with a folder, and a folder with a database", async () => {
    const env = { DATABASE_URL: db.url };
    const wrote = await run([
      "snapshot",
      "--migrations",
      "main",
      "--out",
      "bulkhead.snapshot.json",
    ]);
    assert.equal(wrote.code, 0, wrote.stderr);
    const same = await run(["diff", "bulkhead.snapshot.json", "main", "--fail-on", "review"]);
    assert.equal(same.code, 0, same.stdout);
    assert.match(same.stdout, /The boundary is the same/);
    const live = await run(["diff", "--migrations", "main", "--json"], env);
    assert.equal(live.code, 0, live.stdout + live.stderr);
    assert.deepEqual(changesSchema.parse(JSON.parse(live.stdout)).changes, [], "as the database");
    const drift = await run(["diff", "bulkhead.snapshot.json", "--sarif"], env);
    assert.equal(drift.code, 0, drift.stdout + drift.stderr);
    assert.deepEqual(JSON.parse(drift.stdout).runs[0].results, []);
  });

  it("says which statement of which file does not apply", async () => {
    const ran = await run(["diff", "main", "broken"]);
    assert.equal(ran.code, 2);
    assert.equal(ran.stdout, "");
    assert.match(
      ran.stderr,
      /^Error: Cannot apply "broken\/20260103000000_broken\.sql", line 4: relation "public\.nowhere" does not exist .*select \* from public\.nowhere.*\[BH_DIFF_MIGRATION\]/,
    );
  });

  it("refuses connection strings, missing sides and what is no snapshot", async () => {
    const secret = await run(["diff", "postgresql://me:hunter2@db/app", "main"]);
    assert.equal(secret.code, 2);
    assert.match(secret.stderr, /BH_DIFF_SIDE/);
    assert.doesNotMatch(secret.stderr + secret.stdout, /hunter2/);
    writeFileSync(join(folder, "other.json"), `{"format": "bulkhead-snapshot", "version": 2}`);
    for (
      const [args, code] of [
        [["diff"], "BH_USAGE"],
        [["diff", "nowhere", "main"], "BH_DIFF_SIDE"],
        [["diff", "main", "empty"], "BH_DIFF_SIDE"],
        [["diff", "other.json", "main"], "BH_SNAPSHOT"],
        [["diff", "main", "branch", "--write", "out.txt"], "BH_USAGE"],
        [["diff", "env:NOT_SET_ANYWHERE", "main"], "BH_ENV"],
      ] as const
    ) {
      const ran = await run([...args]);
      assert.equal(ran.code, 2, args.join(" "));
      assert.match(ran.stderr, new RegExp(`\\[${code}\\]`), args.join(" "));
    }
  });

  it("takes an installed and an upgraded kit for one change, and a meddled one for what it is", async () => {
    const kit = migrationFiles();
    const side = (name: string, meddle: string) => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "000_base.sql"), BASE);
      for (const { path, text } of kit) writeFileSync(join(folder, name, basename(path)), text);
      writeFileSync(
        join(folder, name, "900_adopt.sql"),
        `select bulkhead.configure('public.tenants');\nselect bulkhead.protect('public.notes');\n${meddle}`,
      );
    };
    const old =
      "create or replace function bulkhead.caller() returns name language sql stable as $$ select 'postgres'::name $$;";
    side("kit", "");
    side("meddled", old);
    for (const name of ["kit", "meddled"]) {
      const wrote = await run(["snapshot", name, "--out", `${name}.json`]);
      assert.equal(wrote.code, 0, wrote.stderr);
    }
    const installed = await run(["diff", "main", "kit", "--json"]);
    assert.equal(installed.code, 0, installed.stdout + installed.stderr);
    const found = changesSchema.parse(JSON.parse(installed.stdout));
    const whole = found.changes.find((one) => one.rule === "kit_installed");
    assert.equal(whole?.level, "safe", JSON.stringify(whole));
    assert.ok(found.changes.length < 60, `${found.changes.length}`);
    const policy = found.changes.find((one) => one.object === "public.notes.bulkhead_tenant");
    assert.deepEqual(policy?.location, { file: "kit/900_adopt.sql", line: 2 });
    const upgraded = await run(["diff", "meddled.json", "kit.json"]);
    assert.equal(upgraded.code, 0, upgraded.stdout);
    assert.match(upgraded.stdout, /of the kit, each as this version installs it/);
    const meddled = await run(["diff", "kit.json", "meddled.json"]);
    assert.equal(meddled.code, 1, meddled.stdout);
    assert.match(meddled.stdout, /bulkhead\.caller\(\)/);
  });

  it("writes the same snapshot twice, without a secret", async () => {
    await withSql(db.superUrl, async (sql) => {
      await sql.unsafe(`alter role authenticator set app.settings.jwt_secret = 'topsecret';
        create function public.call() returns void language sql as $$ select 'Bearer eyJtopsecret' $$;
        insert into public.tenants values ('00000000-0000-4000-8000-00000000000f')`).simple();
    });
    const env = { DATABASE_URL: db.url };
    const [one, two] = [
      await run(["snapshot"], env),
      await run(["snapshot", "env:DATABASE_URL"], env),
    ];
    assert.equal(one.code, 0, one.stderr);
    assert.equal(one.stdout, two.stdout);
    assert.doesNotMatch(one.stdout, /topsecret|00000000000f/);
    const snapshot = parseSnapshot(one.stdout, "stdout");
    assert.equal(printSnapshot(snapshot), one.stdout);
    assert.ok(one.stdout.split("\n").length > snapshot.objects.length, "one object a line");
  });
});

describe("what changed in a policy", () => {
  const cases: [before: string, after: string, is: string][] = [
    ["a = 1 and b = 2", "(b = 2) and (a = 1)", "same"],
    ["a = 1 and (b = 2 and c = 3)", "a = 1 and b = 2 and c = 3", "same"],
    ["a = 1", "a = 1 or b = 2", "wider"],
    ["a = 1 and b = 2", "b = 2", "wider"],
    ["a = 1", "true", "wider"],
    ["false", "a = 1", "wider"],
    ["a = 1 or b = 2", "a = 1", "narrower"],
    ["a = 1", "a = 1 and b = 2", "narrower"],
    ["true", "a = 1", "narrower"],
    ["a = 1", "a = 2", "replaced"],
    ["a = 1 and b = 2", "a = 1 or b = 2", "replaced"],
  ];
  for (const [from, to, is] of cases) {
    it(`"${from}" to "${to}" is ${is}`, async () => {
      assert.equal(shift(await tree(from), await tree(to)), is);
    });
  }
});

describe("a change that no rule knows", () => {
  const side = (facets: Record<string, string | boolean>) =>
    makeSnapshot({
      source: "database",
      postgres: 17,
      cannot: [],
      objects: [{ kind: "table", on: "", name: "public.t", rls: true, ...facets }],
    });
  it("is one to review, and appears", () => {
    const found = classify(side({}), side({ colour: "red" }), { tree: () => null });
    assert.deepEqual(found.entries.map(({ rule, level, facet }) => ({ rule, level, facet })), [
      { rule: "unknown_change", level: "review", facet: "colour" },
    ]);
  });
  it("does not appear when the other side could not show it", () => {
    const blind = { ...side({ colour: "red" }), cannot: ["table"] };
    assert.deepEqual(compare(side({}), blind).changes, []);
  });
  it("can't write markup into a pull request", () => {
    const found = classify(side({}), side({ "@team | <img>": "![x](y)" }), { tree: () => null });
    assert.doesNotMatch(renderDiffMarkdown(found), /@team|<img|!\[x\]/);
  });
});
