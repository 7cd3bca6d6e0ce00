import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { kitDatabase, startPostgres, withSql } from "./support/postgres.ts";
import { splitStatements } from "../scripts/local/sql-statements.ts";
import { parseTap } from "../scripts/local/tap.ts";

const postgresModule = fileURLToPath(new URL("support/postgres.ts", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "bulkhead-support-"));
after(() => rmSync(home, { recursive: true, force: true }));

describe("startPostgres()", () => {
  it("has a postgres who is no superuser and bypasses row security, as Supabase does", async () => {
    await using server = await startPostgres();
    await using db = await kitDatabase(server);
    await withSql(db.url, async (sql) => {
      const [me] = await sql`
        select rolsuper, rolbypassrls, rolcreaterole, pg_catalog.pg_get_userbyid(datdba) as owner
        from pg_roles, pg_database
        where rolname = current_user and datname = current_database()
      `;
      assert.deepEqual(me, {
        rolsuper: false,
        rolbypassrls: true,
        rolcreaterole: true,
        owner: "postgres",
      });
      await assert.rejects(sql`create extension plpgsql_check`, /not available|permission denied/);
      await sql`create table public.mine (id int)`;
      const [grants] =
        await sql`select has_table_privilege('anon', 'public.mine', 'truncate') as anon`;
      assert.equal(grants?.["anon"], true);
    });
  });

  it("clones a database with the kit faster than it makes one", async () => {
    await using server = await startPostgres();
    const times: number[] = [];
    for (let i = 0; i < 4; i++) {
      const started = performance.now();
      await using _db = await kitDatabase(server);
      times.push(performance.now() - started);
    }
    assert.ok(Math.min(...times.slice(1)) < times[0]! / 2, `${times.map(Math.round)} ms`);
  });

  it("kill() loses nothing that was committed", async () => {
    await using server = await startPostgres();
    await withSql(server.superUrl, (sql) => sql`create table kept as select 7 as seven`);
    await server.kill();
    await server.restart();
    const [row] = await withSql(server.superUrl, (sql) => sql`select seven from kept`);
    assert.equal(row?.["seven"], 7);
  });

  it("rejects a wrong password and listens on loopback only", async () => {
    await using server = await startPostgres();
    const wrong = server.superUrl.replace(server.password, "wrong");
    await assert.rejects(withSql(wrong, (sql) => sql`select 1`), { code: "28P01" });
    const [row] = await withSql(
      server.superUrl,
      (sql) => sql`select current_setting('listen_addresses') as at`,
    );
    assert.equal(row?.["at"], "127.0.0.1");
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`leaves neither process nor data when its parent gets ${signal}`, async () => {
      const { child, port, data } = await startInChild();
      child.kill(signal);
      for (
        let waited = 0;
        waited < 10_000 && (existsSync(data) || await answers(port));
        waited += 50
      ) await sleep(50);
      assert.equal(await answers(port), false);
      assert.equal(existsSync(data), false);
    });
  }

  it("two processes that start at once both get a server", async () => {
    // a temporary folder of their own, so that both have to copy the programs first
    const tmp = mkdtempSync(join(tmpdir(), "bulkhead-both-"));
    chmodSync(tmp, 0o777);
    try {
      const started = await Promise.all([
        startInChild({ TMPDIR: tmp }),
        startInChild({ TMPDIR: tmp }),
      ]);
      for (const { port } of started) assert.equal(await answers(port), true);
      for (const { child } of started) child.kill("SIGTERM");
      await Promise.all(
        started.map(({ child }) => new Promise((resolve) => child.once("exit", resolve))),
      );
      await sleep(500);
      const staged = readdirSync(tmp).filter((name) => /^bulkhead-postgres-/.test(name));
      assert.equal(staged.length, 1, staged.join(", "));
    } finally {
      rmSync(tmp, { recursive: true, force: true, maxRetries: 10 });
    }
  });

  it("does not run programs from a folder that somebody planted", async () => {
    const tmp = mkdtempSync(join(tmpdir(), "bulkhead-planted-"));
    chmodSync(tmp, 0o777);
    try {
      const first = await startInChild({ TMPDIR: tmp });
      first.child.kill("SIGTERM");
      const [name = ""] = readdirSync(tmp).filter((entry) => /^bulkhead-postgres-/.test(entry));
      assert.notEqual(name, "");
      rmSync(join(tmp, name), { recursive: true });
      const planted = mkdtempSync(join(home, "planted-"));
      writeFileSync(join(planted, "marker"), "");
      symlinkSync(planted, join(tmp, name));
      const second = await startInChild({ TMPDIR: tmp });
      assert.equal(await answers(second.port), true);
      assert.deepEqual(readdirSync(planted), ["marker"]);
      second.child.kill("SIGTERM");
      await new Promise((resolve) => second.child.once("exit", resolve));
      await sleep(500);
    } finally {
      rmSync(tmp, { recursive: true, force: true, maxRetries: 10 });
    }
  });
});

describe("splitStatements()", () => {
  it("sees no semicolon inside strings, names, dollar quotes and comments", () => {
    const script = `
      select ';', e'\\';', ";", $$;$$, $a$;$$;$a$ -- ;
      /* ; /* ; */ ; */;
      create function f() returns int language sql as $$ select 1; $$;
      -- only a comment;
      select a$b$c from t;`;
    const texts = splitStatements(script).map(({ text }) => text);
    assert.equal(texts.length, 3);
    assert.match(texts[1] ?? "", /^create function/);
    const [, second] = splitStatements("select 1;\nselect 2");
    assert.deepEqual(second, { text: "select 2", offset: 10 });
  });
});

describe("parseTap()", () => {
  it("counts what ran, keeps diagnostics and misses nothing that was planned", () => {
    const results = parseTap([
      "1..3",
      "ok 1 - a",
      "not ok 2 - b\n# Failed test 2",
      "ok 3 - c # SKIP no need",
    ], "x");
    assert.deepEqual(results.map(({ status }) => status), ["passed", "failed", "skipped"]);
    assert.equal(results[1]?.message, "Failed test 2\n");
    assert.equal(parseTap(["1..2", "ok 1 - a"], "x").at(-1)?.message, "planned 2, ran 1");
    assert.equal(parseTap([], "x").at(-1)?.message, "it has no plan");
  });
});

/** A server whose parent is another process, to see what is left when that process ends. */
async function startInChild(
  env: Record<string, string> = {},
): Promise<{ child: ChildProcess; port: number; data: string }> {
  const script = `
    import { startPostgres, withSql } from ${JSON.stringify(postgresModule)};
    const server = await startPostgres();
    const [row] = await withSql(server.superUrl, (sql) => sql\`select current_setting('data_directory') as data\`);
    console.log(JSON.stringify({ port: server.port, data: row.data }));
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, [
    "--no-warnings",
    "--import",
    "tsx",
    "--input-type=module",
    "-e",
    script,
  ], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once(
      "exit",
      (code) => reject(new Error(`Cannot start a server in a child: exit code ${code}`)),
    );
    child.stdout?.once("data", (text: unknown) => {
      const { port, data } = JSON.parse(String(text)) as { port: number; data: string };
      resolve({ child, port, data });
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
