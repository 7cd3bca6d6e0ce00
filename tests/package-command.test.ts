import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { readKit } from "../scripts/project/kit.ts";
import { backupWorld } from "./support/backup-world.ts";
import { installKit, packKit } from "./support/packed.ts";
import { openhouseDatabase, startPostgres, withSql } from "./support/postgres.ts";
import {
  createProject,
  filesOf,
  projectsFolder,
  type Ran,
  removeFolder,
} from "./support/project.ts";
import { ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);
const home = projectsFolder();

describe("the package's command, compiled, without what only the kit's development needs", () => {
  const elsewhere = join(home, "elsewhere");
  let kit: string;
  let bulkhead: (args: string[], env?: Record<string, string>, cwd?: string) => Promise<Ran>;
  before(async () => {
    mkdirSync(elsewhere);
    const installed = await installKit(await packKit(home), home);
    kit = installed.kit;
    bulkhead = (args, env = {}, cwd = elsewhere) => {
      const { PATH = "" } = process.env;
      const options = { cwd, env: { PATH, HOME: elsewhere, NO_COLOR: "1", ...env } };
      return run(installed.bin, args, options).then(
        (ran) => ({ code: 0, ...ran }),
        ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
      );
    };
  });

  after(() => removeFolder(home));

  test("carries its commands once, as JavaScript, and the source of the functions for Deno", () => {
    const files = Object.keys(filesOf(kit));
    const source = files.filter((file) => file.startsWith("scripts/") && !file.endsWith(".pgsql"));
    assert.deepEqual(source, ["scripts/bin.mjs", "scripts/local/functions-host.mjs"]);
    assert.ok(files.includes("functions/backup/index.ts"));
    assert.ok(!files.some((file) => /^(tests|bench|examples)\//.test(file)));
  });

  test("loads every command from another folder, each only when it is asked for", async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    assert.deepEqual(await bulkhead(["--version"]), {
      code: 0,
      stdout: `${version}\n`,
      stderr: "",
    });
    const dist = join(kit, "dist");
    const loading = `import { readdirSync } from "node:fs";
      import { pathToFileURL } from "node:url";
      const load = (file) => import(pathToFileURL(process.argv[1] + "/" + file).href);
      const { program } = await load("scripts/cli.js");
      const names = (await program([])).commands.map((command) => command.name());
      for (const name of names) await program([name]);
      // And what they import later still: the adapter of a store, say. Drizzle is its user's own.
      for (const file of readdirSync(process.argv[1], { recursive: true })) {
        if (file.endsWith(".js") && !file.endsWith("tenant-drizzle.js")) await load(file);
      }
      console.log(names.length);`;
    const { stdout } = await run(process.execPath, [
      "--input-type=module",
      "--eval",
      loading,
      dist,
    ]);
    assert.ok(Number(stdout) > 30, stdout);
  });

  test("installs into a project the very files that the clone installs, and answers for it", async () => {
    const project = createProject(home, { "src/admin.ts": "export const one = 1;\n" });
    const init = await bulkhead(["init", "--dir", project]);
    assert.equal(init.code, 0, init.stderr);
    const lock = JSON.parse(readFileSync(join(project, "supabase/bulkhead.lock.json"), "utf8"));
    assert.equal(lock.digest, readKit().digest);
    for (const [path, text] of Object.entries(filesOf(join(project, ".github")))) {
      assert.doesNotMatch(text, /scripts\//, `${path} calls a file that the project does not have`);
      assert.match(text, /npx --no-install bulkhead /, path);
    }
    const upgrade = await bulkhead(["upgrade", "--dir", project, "--dry-run"]);
    assert.equal(upgrade.code, 0, upgrade.stderr);
    assert.equal((await bulkhead(["lint"], {}, project)).code, 0);
    const audit = await bulkhead(["readiness", "--json"], {}, project);
    assert.ok(JSON.parse(audit.stdout).rules.length > 50, audit.stderr);
    assert.match((await bulkhead(["readiness", "--explain", "DR-01"])).stdout, /^# /);
  });

  test("checks, backs up, restores, drills and compares a real database", async () => {
    await using server = await startPostgres();
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const ask = async (...args: string[]) => {
      const ran = await bulkhead([...args, "--json"], world.env);
      assert.equal(ran.stderr.includes('"code":"BH_'), false, `${args}: ${ran.stderr}`);
      return { code: ran.code, answer: JSON.parse(ran.stdout) };
    };
    assert.ok((await ask("status", "--no-report")).answer.checks.length > 50);
    assert.ok((await ask("status")).answer.checks.length > 50);
    assert.equal(readdirSync(join(elsewhere, "reports")).length, 4);

    const { answer: backup } = await ask("backup");
    assert.ok(backup.rows > 600);
    const [gone] = await withSql(db.superUrl, (sql) =>
      sql`
        with gone as (
          delete from public.messages
          where tenant_id = (select min(tenant_id::text)::uuid from public.messages) returning tenant_id)
        select tenant_id as tenant, count(*) as rows from gone group by 1`);
    const restore = ["restore", "--tenant", gone?.["tenant"], "--insert-missing"];
    assert.equal((await ask(...restore)).code, 0);
    const [back] = await withSql(
      db.url,
      (sql) =>
        sql`select count(*) as rows from public.messages where tenant_id = ${gone?.["tenant"]}`,
    );
    assert.equal(back?.["rows"], gone?.["rows"]);

    const openhouse = ["schema", "harden"].map((name) =>
      join(ROOT, `examples/openhouse/${name}.sql`)
    );
    const drill = await ask(
      "drill",
      "--report-dir",
      "reports",
      "--project-migrations",
      ...openhouse,
    );
    assert.equal(drill.answer.ok, true, JSON.stringify(drill.answer));
  });

  test("says with BULKHEAD_DEBUG=1 where in the source it failed", async () => {
    const { code, stderr } = await bulkhead(["backup"], { BULKHEAD_DEBUG: "1" });
    assert.equal(code, 2);
    assert.match(stderr, /at .+scripts\/backup\/environment\.ts:\d+/);
  });

  test("names what runs in the evidence", async () => {
    const tree = join(kit, "dist/scripts/hardening/file-tree.js");
    const { stdout } = await run(process.execPath, [
      "--input-type=module",
      "--eval",
      `process.stdout.write(await (await import(${JSON.stringify(tree)})).fileTree())`,
    ]);
    assert.match(stdout, /^dist\/\n[\s\S]*^ {4}cli\.js +[0-9a-f]{16}/m);
    assert.doesNotMatch(stdout, /\.map|\.d\.ts/);
  });
});
