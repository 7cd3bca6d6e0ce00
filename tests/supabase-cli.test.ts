// needs: supabase-cli
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import postgres from "postgres";
import { parse } from "smol-toml";
import * as z from "zod";
import {
  applyMigrations,
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
} from "./support/postgres.ts";
import { migrationFiles, ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);
const home = mkdtempSync(join(tmpdir(), "bulkhead-cli-"));
let server: Server;
let db: Database;
let sql: postgres.Sql;

/** Through argv only because the CLI has no other way; the password is this test server's. */
async function supabase(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(process.execPath, [
    join(ROOT, "node_modules/supabase/dist/supabase.js"),
    ...args,
    `--remote=${db.url}?sslmode=disable`,
  ], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      SUPABASE_YES: "1",
      SUPABASE_TELEMETRY_DISABLED: "1",
      NO_COLOR: "1",
    },
    timeout: 120_000,
  });
  return `${stdout}${stderr}`;
}

before(async () => {
  server = await startPostgres();
  db = await baselineDatabase(server);
  sql = postgres(db.url, { max: 1, onnotice: () => {} });
});
after(async () => {
  await sql?.end();
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

describe("the Supabase CLI", () => {
  const versions = migrationFiles().map(({ version }) => version);
  const recorded = async () =>
    (await sql<
      { version: string }[]
    >`select version from supabase_migrations.schema_migrations order by 1`)
      .map(({ version }) => version);

  it("db push applies migrations/ through the link", async () => {
    const output = await supabase("db", "push");
    assert.match(output, /Finished supabase db push/i);
    assert.deepEqual(await recorded(), versions);
    const [kit] = await sql`select to_regclass('bulkhead.audit_events') is not null as found`;
    assert.equal(kit?.["found"], true);
  });

  it("migration list has every version on both sides", async () => {
    const output = await supabase("migration", "list");
    for (const version of versions) {
      const line = output.split("\n").find((text) => text.includes(version)) ?? "";
      assert.equal(line.split(version).length - 1 >= 2, true, `${version} in: ${line}`);
    }
  });

  it("a second db push changes nothing", async () => {
    const snapshot = async () =>
      await sql`select count(*)::int as objects, max(oid)::text as newest from pg_class`;
    const earlier = await snapshot();
    assert.match(await supabase("db", "push"), /up to date/i);
    assert.deepEqual([...await snapshot()], [...earlier]);
    assert.deepEqual(await applyMigrations(db.url), []);
  });

  it("config.toml names functions and an import map that exist", () => {
    const shape = z.object({
      functions: z.record(z.string(), z.object({ entrypoint: z.string(), import_map: z.string() })),
    });
    const folder = join(ROOT, "supabase");
    const { functions } = shape.parse(parse(readFileSync(join(folder, "config.toml"), "utf8")));
    for (const { entrypoint, import_map } of Object.values(functions)) {
      for (const path of [entrypoint, import_map]) {
        assert.ok(existsSync(resolve(folder, path)), path);
      }
    }
  });
});
