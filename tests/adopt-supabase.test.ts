// needs: supabase-cli
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);
const home = mkdtempSync(join(tmpdir(), "bulkhead-adopt-"));
const migrations = join(home, "supabase/migrations");

describe("adopt in a Supabase project", () => {
  let server: Server;
  let db: Database;
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 1_000, hardened: false });
    mkdirSync(migrations, { recursive: true });
    writeFileSync(join(home, "supabase/config.toml"), 'project_id = "openhouse"\n');
    cpSync(join(ROOT, "migrations"), migrations, { recursive: true });
  });
  after(async () => {
    await server?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const adopt = async (...args: string[]) => {
    try {
      const { stdout, stderr } = await run(process.execPath, [
        ...["--import", import.meta.resolve("tsx"), join(ROOT, "scripts/cli.ts"), "adopt"],
        ...args,
      ], { cwd: home, env: { PATH: process.env["PATH"], DATABASE_URL: db.url } });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const failed = error as { code: number; stdout: string; stderr: string };
      return { code: failed.code, stdout: failed.stdout, stderr: failed.stderr };
    }
  };

  test("reports in 80 columns, writes a starter, writes migrations, and supabase db push makes it green", async () => {
    const seen = await adopt();
    assert.equal(seen.code, 1, seen.stderr);
    for (const line of seen.stdout.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(seen.stdout, /tenant_null \(5 rows\)/);
    assert.match(
      seen.stdout.replace(/\s+/g, " "),
      /"own membership".*anybody may insert themselves into any tenant/,
    );

    const early = await adopt("--out", migrations);
    assert.equal(early.code, 2);
    assert.match(early.stderr, /Try: bulkhead adopt --write-config/);
    assert.equal((await adopt("--write-config")).code, 0);
    assert.match(
      readFileSync(join(home, "bulkhead.toml"), "utf8"),
      /\[membership\]\ntable = "public.members"/,
    );
    assert.equal((await adopt("--write-config")).code, 2, "never over a file that is there");

    const toml = join(home, "bulkhead.toml");
    const keep = 'service_role = "keep"';
    assert.ok(readFileSync(toml, "utf8").includes(keep));
    writeFileSync(toml, readFileSync(toml, "utf8").replace(keep, 'service_role = "close"'));
    const written = await adopt("--out", migrations);
    assert.equal(written.code, 0, written.stderr);
    for (const file of readdirSync(migrations).filter((name) => name.endsWith(".sql"))) {
      assert.match(file, /^([0-9]+)_(.*)\.sql$/);
    }

    await run(process.execPath, [
      join(ROOT, "node_modules/supabase/dist/supabase.js"),
      ...["db", "push", `--remote=${db.url}?sslmode=disable`],
    ], {
      cwd: home,
      env: {
        PATH: process.env["PATH"],
        HOME: home,
        SUPABASE_YES: "1",
        SUPABASE_TELEMETRY_DISABLED: "1",
        NO_COLOR: "1",
      },
      timeout: 200_000,
    });
    await withSql(db.url, async (sql) => {
      for (const category of ["boundary", "guard"]) {
        const [row] = await sql`select bulkhead.status(${category}) as status`;
        assert.equal(
          row?.["status"].verdict,
          "green",
          JSON.stringify(
            row?.["status"].checks.filter((one: { status: string }) => one.status !== "pass"),
          ),
        );
      }
    });

    const again = await adopt("--json");
    assert.equal(again.code, 0, again.stderr);
    const report = JSON.parse(again.stdout);
    assert.deepEqual(report.steps, []);
    assert.deepEqual(report.blocked, []);
    assert.deepEqual(
      report.findings.filter((one: { severity: string }) => one.severity === "critical"),
      [],
    );
  });
});
