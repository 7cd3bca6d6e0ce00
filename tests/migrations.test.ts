import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  applyMigrations,
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { schemaSnapshot } from "./support/schema-snapshot.ts";
import { MIGRATION_NAME, migrationFiles } from "./support/sql-files.ts";
import { isExecutable } from "../scripts/local/unprivileged.ts";

const snapshotFile = fileURLToPath(new URL("support/schema.snapshot.txt", import.meta.url));
const update = process.env["BULKHEAD_UPDATE_SNAPSHOT"] === "1";
const majors = ([17, 15] as const)
  .filter((major) => major === 17 || isExecutable("/usr/lib/postgresql/15/bin/postgres"));
const versions = migrationFiles().map(({ version }) => version);

for (const major of majors) {
  describe(`the migrations on Postgres ${major}`, () => {
    let server: Server;
    let db: Database;
    before(async () => {
      server = await startPostgres({ major });
      db = await baselineDatabase(server);
    });
    after(() => server?.stop());

    it("apply to a new project as postgres, who is no superuser", async () => {
      assert.deepEqual(await applyMigrations(db.url), versions);
      await withSql(db.url, async (sql) => {
        const [me] = await sql`select rolsuper from pg_roles where rolname = current_user`;
        assert.equal(me?.["rolsuper"], false);
      });
    });

    it("apply nothing when they are applied again", async () => {
      const earlier = await withSql(db.url, schemaSnapshot);
      assert.deepEqual(await applyMigrations(db.url), []);
      assert.equal(await withSql(db.url, schemaSnapshot), earlier);
    });

    it("a file that is run a second time by hand is refused whole or changes nothing", async () => {
      const earlier = await withSql(db.url, schemaSnapshot);
      for (const { path, text } of migrationFiles()) {
        const outcome = await withSql(db.url, (sql) => sql.begin((tx) => tx.unsafe(text).simple()))
          .then(() => "applied", () => "refused");
        assert.equal(
          await withSql(db.url, schemaSnapshot),
          earlier,
          `${path} was ${outcome} and left a change`,
        );
      }
    });

    it("installed twice at once, one wins and nothing is half there", async () => {
      const other = await baselineDatabase(server);
      const outcomes = await Promise.allSettled([
        applyMigrations(other.url),
        applyMigrations(other.url),
      ]);
      assert.ok(outcomes.some(({ status }) => status === "fulfilled"), reasons(outcomes));
      await applyMigrations(other.url);
      assert.equal(
        await withSql(other.url, schemaSnapshot),
        await withSql(db.url, schemaSnapshot),
      );
      await other.drop();
    });

    it("add up to tests/support/schema.snapshot.txt", async () => {
      const actual = await withSql(db.url, schemaSnapshot);
      if (update && major === 17) writeFileSync(snapshotFile, actual);
      const expected = existsSync(snapshotFile) ? readFileSync(snapshotFile, "utf8") : "";
      const [gone, added] = [without(expected, actual), without(actual, expected)];
      const lines = [...gone.map((line) => `- ${line}`), ...added.map((line) => `+ ${line}`)];
      assert.equal(
        lines.length,
        0,
        `the schema changed; if that is meant, run BULKHEAD_UPDATE_SNAPSHOT=1 npm test -- migrations and commit\n${
          lines.slice(0, 30).join("\n")
        }`,
      );
    });
  });
}

describe("a migration that fails", () => {
  it("leaves nothing behind and is named with its line", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bulkhead-migrations-"));
    writeFileSync(join(folder, "001_good.sql"), "create table public.good (id int);\n");
    writeFileSync(
      join(folder, "002_bad.sql"),
      "create table public.bad (id int);\nselect nonsense;\n",
    );
    writeFileSync(join(folder, "notes.sql"), "create table public.skipped (id int);\n");
    const server = await startPostgres();
    try {
      const db = await baselineDatabase(server);
      await assert.rejects(applyMigrations(db.url, folder), /Cannot run 002_bad.sql line 2: 42703/);
      await withSql(db.url, async (sql) => {
        const tables =
          await sql`select relname from pg_class where relnamespace = 'public'::regnamespace`;
        assert.deepEqual([...tables], [{ relname: "good" }]);
        const recorded = await sql`select version, name from supabase_migrations.schema_migrations`;
        assert.deepEqual([...recorded], [{ version: "001", name: "good" }]);
      });
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true });
    }
  });

  it("their versions are unique and in order", () => {
    assert.deepEqual([...new Set(versions)].sort(), versions);
    for (const { version, name } of migrationFiles()) {
      assert.match(`${version}_${name}.sql`, MIGRATION_NAME);
    }
  });
});

function without(lines: string, others: string): string[] {
  const known = new Set(others.split("\n"));
  return lines.split("\n").filter((line) => !known.has(line));
}

function reasons(outcomes: PromiseSettledResult<unknown>[]): string {
  return outcomes.map((outcome) =>
    outcome.status === "rejected" ? String(outcome.reason) : "applied"
  ).join("\n");
}
