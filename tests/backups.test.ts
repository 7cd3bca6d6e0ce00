import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import { connect, copyIn, copyOut } from "../functions/_core/adapters/postgres.ts";
import { ROOT } from "../scripts/local/sql-files.ts";
import { sign, SIGNATURE_HEADER } from "../functions/_core/signature.ts";
import { backupWorld, bulkhead, startBulkhead } from "./support/backup-world.ts";
import { startFunctions } from "./support/functions-host.ts";
import { startHttpSender } from "./support/http-sender.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

const filesOf = (folder: string, sub: string) => {
  try {
    return readdirSync(join(folder, sub), { recursive: true }).map(String);
  } catch {
    return [];
  }
};

describe("connect()", () => {
  test("connect() names host and database of an unreachable server, never the password", async () => {
    const sql = connect("postgresql://ada:s3cret@127.0.0.1:1/app");
    await assert.rejects(async () => await sql`select 1`, (error: Error & { code?: string }) => {
      assert.equal(error.code, "BH_DATABASE_UNAVAILABLE");
      assert.match(error.message, /127\.0\.0\.1:1\/app/);
      assert.doesNotMatch(JSON.stringify([error.message, error.stack]), /s3cret/);
      return true;
    });
    await sql.end({ timeout: 0 });
  });

  test("a failed COPY leaves a connection that still answers", async () => {
    const sql = connect(server.superUrl, { max: 1 });
    try {
      await assert.rejects(
        sql.begin(async (tx) => {
          const query =
            "copy (select 1 / (5000 - i) from generate_series(1, 200000) as i) to stdout";
          for await (const _ of await copyOut(tx, query));
        }),
        /division by zero/,
      );
      await sql`create temporary table numbers (n integer primary key)`;
      const body = new Response("1\n1\n").body;
      assert.ok(body);
      await assert.rejects(copyIn(sql, "copy numbers from stdin", body), /duplicate key/);
      const [row] = await sql`select 1 as one`;
      assert.equal(row?.["one"], 1);
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
});

describe("bulkhead backup", () => {
  test("a backup holds every row of every tenant, and no plaintext", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const ran = await bulkhead(["backup", "--json"], world.env);
    assert.equal(ran.code, 0, ran.stderr);
    const result = JSON.parse(ran.stdout);
    const [rows] = await withSql(db.url, (sql) =>
      sql<{ count: string }[]>`
        select (select count(*) from public.tenants) + (select count(*) from public.members)
          + (select count(*) from public.developments) + (select count(*) from public.units)
          + (select count(*) from public.messages) + (select count(*) from public.onboarding_attempts)
          + (select count(*) from bulkhead.audit_events) + (select count(*) from bulkhead.audit_seals)
          + (select count(*) from bulkhead.audit_eras) as count
      `);
    assert.equal(result.rows, Number(rows?.count));
    assert.equal(result.tenants, 3);
    for (const name of filesOf(world.folder, "objects")) {
      const path = join(world.folder, "objects", name);
      const text = (() => {
        try {
          return readFileSync(path, "latin1");
        } catch {
          return "";
        }
      })();
      assert.doesNotMatch(text, /public|messages|onboarding/);
    }
    const [run] = await withSql(db.url, (sql) => sql`select * from bulkhead.backup_runs`);
    assert.equal(run?.["state"], "complete");
    assert.equal(run?.["id"], result.backup);
  });

  test("a tenant without an event is referenced, one with an event is copied, --full copies all", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    await withSql(
      db.url,
      (sql) => sql`delete from public.messages where id = (select id from public.messages limit 1)`,
    );
    const second = JSON.parse((await bulkhead(["backup", "--json"], world.env)).stdout);
    assert.equal(second.referenced, 2);
    const third = JSON.parse((await bulkhead(["backup", "--json", "--full"], world.env)).stdout);
    assert.equal(third.referenced, 0);
    const verified = await bulkhead(["backups", "verify", second.backup], world.env);
    assert.equal(verified.code, 0, verified.stderr);
  });

  test("a write past the triggers is found by the weekly comparison: the tenant is copied, named and reported", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const run = async (...args: string[]) => {
      const ran = await bulkhead(["backup", "--json", ...args], world.env);
      assert.equal(ran.code, 0, ran.stderr);
      return { ...ran, result: JSON.parse(ran.stdout) };
    };
    await run();
    const [tenant] = await withSql(db.superUrl, async (sql) => {
      // Nothing of it reaches the ledger.
      await sql`alter table public.messages disable trigger all`;
      const rows = await sql<{ id: string }[]>`
        update public.messages set body = body || '!' where id = (select min(id::text) from public.messages)::uuid
        returning tenant_id::text as id
      `;
      await sql`alter table public.messages enable trigger all`;
      return rows.map((row) => row.id);
    });
    const within = await run();
    assert.deepEqual([within.result.referenced, within.result.unrecorded], [3, []]);
    const aWeekLater = () =>
      withSql(
        db.url,
        (sql) => sql`update bulkhead.backup_runs set started_at = started_at - interval '7 days'`,
      );
    await aWeekLater();
    const { result, stderr } = await run();
    assert.deepEqual([result.referenced, result.unrecorded], [2, [tenant]]);
    assert.match(stderr, new RegExp(`^{"event":"unrecorded","tenant":"${tenant}"}$`, "m"));
    const alerts = await withSql(
      db.url,
      (sql) =>
        sql`select payload ->> 'detail' as detail from bulkhead.alert_outbox where payload ->> 'title' = 'Rows changed past the ledger'`,
    );
    assert.equal(alerts.length, 1);
    assert.match(String(alerts[0]?.["detail"]), new RegExp(String(tenant)));
    // What was copied is what is there: the next comparison is silent.
    await aWeekLater();
    const after = await run();
    assert.deepEqual([after.result.referenced, after.result.unrecorded], [3, []]);
    assert.equal((await bulkhead(["backups", "verify"], world.env)).code, 0);
    const { result: full } = await run("--full");
    assert.deepEqual([full.referenced, full.unrecorded], [0, []]);
  });

  test("a role that RLS binds backs up nothing: a row that a policy would hide raises", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    await withSql(db.superUrl, (sql) =>
      sql.unsafe(`
        alter role authenticator in database ${db.name} set row_security = on;
        grant usage on schema bulkhead, public to authenticator;
        grant select, insert, update, delete on all tables in schema bulkhead, public to authenticator;
        grant execute on all functions in schema bulkhead to authenticator;
        grant pg_monitor to authenticator`));
    const ran = await bulkhead(["backup", "--full"], {
      ...world.env,
      DATABASE_URL: db.urlAs("authenticator"),
    });
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /row-level security policy for table/);
    assert.equal((await listBackups(world)).valid.length, 1);
  });

  test("progress is a bar on a terminal and JSON lines in a pipe", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const piped = await bulkhead(["backup", "--concurrency", "3"], world.env);
    assert.equal(piped.code, 0, piped.stderr);
    const lines = piped.stderr.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ event }) => event), ["started", ...Array(4).fill("object")]);
    assert.match(piped.stdout, /^Backup \S+ is complete: /);
    // util-linux's script gives the command a terminal.
    const { PATH = "", HOME = "" } = process.env;
    const shown = execFileSync(
      "script",
      ["-qec", `'${process.execPath}' scripts/bin.mjs backup --full`, "/dev/null"],
      { env: { PATH, HOME, ...world.env }, cwd: ROOT, encoding: "utf8" },
    );
    assert.match(shown, /4\/4 tenants/);
    assert.doesNotMatch(shown, /"event"/);
  });

  test("a table that is neither protected nor exempt fails the backup by name, on record and in the outbox", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    await withSql(db.url, (sql) => sql`create table public.forgotten (id int primary key)`);
    const ran = await bulkhead(["backup"], world.env);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^Error: .*forgotten.* neither protected nor exempt/m);
    assert.match(ran.stderr, /^Try: /m);
    const [run] = await withSql(
      db.url,
      (sql) => sql`select state, error from bulkhead.backup_runs`,
    );
    assert.equal(run?.["state"], "failed");
    const alerts = await withSql(
      db.url,
      (sql) => sql`select 1 from bulkhead.alert_outbox where payload ->> 'title' = 'Backup failed'`,
    );
    assert.equal(alerts.length, 1);
    assert.deepEqual((await listBackups(world)).valid, []);
  });

  test("two runners at once: one completes, the other is refused", async () => {
    await using db = await openhouseDatabase(server, { rows: 20_000 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    const codes = await Promise.all([1, 2].map(() => bulkhead(["backup"], world.env)));
    const refused = codes.filter((ran) => ran.code === 1);
    assert.equal(refused.length, 1, codes.map((ran) => ran.stderr).join("\n"));
    assert.match(refused[0]?.stderr ?? "", /BH602/);
    assert.equal((await listBackups(world)).valid.length, 1);
  });

  test("kill -9 in the middle: the newest complete backup stays whole, and the next run does not wait", async () => {
    await using db = await openhouseDatabase(server, { rows: 20_000 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    for (const after of [0, 60, 150]) {
      const { child, ended } = startBulkhead(["backup", "--full", "--json"], world.env);
      await new Promise<void>((resolve) => child.stderr?.once("data", () => resolve()));
      await sleep(after);
      child.kill("SIGKILL");
      await ended;
    }
    const verified = await bulkhead(["backups", "verify"], world.env);
    assert.equal(verified.code, 0, verified.stderr);
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const runs = await withSql(
      db.url,
      (sql) => sql`select state from bulkhead.backup_runs order by started_at`,
    );
    assert.ok(runs.every((run) => run["state"] !== "running"), "a dead run is failed, not running");
  });

  test("Ctrl-C leaves no manifest, a failed run, and exit code 130", async () => {
    await using db = await openhouseDatabase(server, { rows: 20_000 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    const { child, ended } = startBulkhead(["backup", "--json", "--concurrency", "1"], world.env);
    await new Promise<void>((resolve) => child.stderr?.once("data", () => resolve()));
    child.kill("SIGINT");
    const ran = await ended;
    assert.equal(ran.code, 130, ran.stderr);
    assert.deepEqual((await listBackups(world)).valid, []);
    const [run] = await withSql(
      db.url,
      (sql) => sql`select state, error from bulkhead.backup_runs`,
    );
    assert.equal(run?.["state"], "failed");
  });

  test("connections that break off in the middle are one Error: line, and the next backup is whole", async () => {
    await using db = await openhouseDatabase(server, { rows: 20_000 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    // Where the driver is struck differs from time to time.
    for (let round = 0; round < 4; round++) {
      const { child, ended } = startBulkhead(["backup", "--full"], world.env);
      await new Promise<void>((resolve) => child.stderr?.once("data", () => resolve()));
      await sleep(30 * round);
      await withSql(
        db.url,
        (sql) =>
          sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'bulkhead backup%'`,
      );
      const ran = await ended;
      assert.equal(ran.code, 4, ran.stderr);
      assert.match(ran.stderr, /^Error: .*\[BH_DATABASE_UNAVAILABLE\]\nTry: .*\n$/m);
      assert.doesNotMatch(ran.stderr, /^\s+at /m);
    }
    assert.deepEqual((await listBackups(world)).valid, []);
    const next = await bulkhead(["backup"], world.env);
    assert.equal(next.code, 0, next.stderr);
    const states = await withSql(
      db.url,
      (sql) => sql`select state from bulkhead.backup_runs where state <> 'failed'`,
    );
    assert.deepEqual(states.map((run) => run["state"]), ["complete"]);
  });
});

describe("bad input", () => {
  test("every mistake is one Error: and one Try: line, with its exit code and without a secret", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const { DATABASE_URL: _, ...noDatabase } = world.env;
    const { BULKHEAD_KEK: __, ...noKek } = world.env;
    const other = randomBytes(32).toString("base64");
    const away = "postgresql://ada:s3cret@127.0.0.1:1/app";
    const cases: [string[], Record<string, string>, number][] = [
      [["backup", "--nope"], world.env, 2],
      [["backup", "--concurrency", "0"], world.env, 2],
      [["backup"], noDatabase, 2],
      [["backup"], noKek, 2],
      [["backup"], { ...world.env, BULKHEAD_KEK: "short" }, 2],
      [["backup"], { ...world.env, BULKHEAD_STORE: "ftp://nowhere" }, 2],
      [["backup"], { ...world.env, DATABASE_URL: away }, 4],
      [["backup"], { ...world.env, BULKHEAD_KEK: other }, 5],
      [["restore"], world.env, 2],
      [["restore", "--tenant", "no-uuid"], world.env, 1],
      [["restore", "--into-env", "NOWHERE_URL"], world.env, 2],
      [["restore", "--tenant", "x", "--insert-missing", "--replace"], world.env, 2],
      [["drill"], { ...world.env, DATABASE_URL: away }, 4],
      [["drill"], { ...world.env, BULKHEAD_KEK: other }, 5],
      [["drill"], world.env, 1],
      [["drill", "--tests", "no-such.sql"], world.env, 2],
      [["backups", "list"], world.env, 1],
      [["backups", "verify"], world.env, 1],
      [["backups", "show", "nope"], world.env, 2],
    ];
    for (const [args, env, code] of cases) {
      const ran = await bulkhead(args, env);
      const what = `bulkhead ${args.join(" ")}: ${ran.stderr}`;
      assert.equal(ran.code, code, what);
      assert.equal(ran.stderr.match(/^Error: /gm)?.length, 1, what);
      assert.equal(ran.stderr.match(/^Try: /gm)?.length, 1, what);
      assert.doesNotMatch(`${ran.stdout}${ran.stderr}`, /s3cret|at .*\.ts:\d+/, what);
    }
  });
});

describe("the function backup", () => {
  test("scheduler, pg_net and the function make a backup that verifies; bad calls are refused", async () => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    const secret = randomBytes(32).toString("hex");
    await using host = await startFunctions({
      deno: "edge",
      names: ["backup"],
      write: [world.folder],
      env: { ...world.env, SUPABASE_DB_URL: db.url, BULKHEAD_HMAC_SECRET: secret },
    });
    await withSql(
      db.url,
      (sql) =>
        sql`select vault.create_secret(${host.functionsUrl}, 'bulkhead_functions_url'), vault.create_secret(${secret}, 'bulkhead_hmac_secret')`,
    );
    const url = `${host.functionsUrl}/backup`;
    const signed = async (body: string) => ({
      method: "POST",
      body,
      headers: { [SIGNATURE_HEADER]: await sign(secret, body, new Date()) },
    });
    const calls: [RequestInit, number][] = [
      [{ method: "GET" }, 405],
      [{ method: "POST", body: "{}" }, 401],
      [{ method: "POST", body: "{}", headers: { [SIGNATURE_HEADER]: "t=1,v1=00" } }, 401],
      [{ method: "POST", body: "x".repeat(5000) }, 413],
      [await signed("not json"), 400],
      [await signed('{"action":"deliver","nonce":"8c5f2a43-7a0e-4f8a-9a55-0f6c2f2a9b11"}'), 400],
    ];
    for (const [init, status] of calls) {
      const answer = await fetch(url, init);
      const text = await answer.text();
      assert.equal(answer.status, status, text);
      assert.deepEqual(Object.keys(JSON.parse(text)).sort(), ["code", "message"]);
      assert.doesNotMatch(text, /\.ts:|s3cret/);
    }

    await using sender = startHttpSender(db.url, { poll: 0 });
    await withSql(db.url, (sql) => sql`select bulkhead.dispatch_backup()`);
    await sender.drain();
    const run = await settled(db.url);
    assert.equal(run["state"], "complete", `${run["error"]} ${host.log()}`);
    assert.equal(run["source"], "edge");
    const [answer] = await withSql(
      db.url,
      (sql) => sql`select status_code from net._http_response`,
    );
    assert.equal(answer?.["status_code"], 202);
    const verified = await bulkhead(["backups", "verify", "--json"], world.env);
    assert.equal(verified.code, 0, verified.stderr);
    assert.equal(JSON.parse(verified.stdout).objects, 4);
    const [stored] = (await listBackups(world)).valid;
    assert.equal(stored?.manifest.snapshot, "per-object");

    const replay = await signed(
      `{"action":"backup","nonce":"8c5f2a43-7a0e-4f8a-9a55-0f6c2f2a9b11"}`,
    );
    assert.equal((await fetch(url, replay)).status, 202);
    assert.equal((await fetch(url, replay)).status, 409);
    await settled(db.url);
  });
});

async function settled(url: string): Promise<Record<string, unknown>> {
  for (let waited = 0; waited < 30_000; waited += 100) {
    const [run] = await withSql(
      url,
      (sql) => sql`select * from bulkhead.backup_runs order by started_at desc, id desc limit 1`,
    );
    if (run && run["state"] !== "running") return run;
    await sleep(100);
  }
  throw new Error("the run does not end");
}
