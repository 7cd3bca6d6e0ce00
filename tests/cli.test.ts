import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { statusReport } from "../functions/_core/status/contract.ts";
import { explain } from "../scripts/cli/explain.ts";
import { redact } from "../scripts/cli/redact.ts";
import { prepare } from "../scripts/cli/run.ts";
import { program } from "../scripts/cli.ts";
import {
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

const BIN = fileURLToPath(new URL("../scripts/bin.mjs", import.meta.url));
const STATUS = fileURLToPath(new URL("../scripts/hardening/status-check.ts", import.meta.url));
const TSX = fileURLToPath(new URL("../node_modules/tsx/dist/esm/index.mjs", import.meta.url));

type Ran = { code: number; stdout: string; stderr: string };

/** Run the program from another folder, with nothing but `env`. */
function run(
  args: string[],
  env: Record<string, string> = {},
  onStart?: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ran> {
  return new Promise((resolve) => {
    const { PATH = "" } = process.env;
    const child = spawn(process.execPath, args, {
      cwd: tmpdir(),
      env: { PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    onStart?.((signal) => child.kill(signal));
  });
}
const bulkhead = (args: string[], env: Record<string, string> = {}) => run([BIN, ...args], env);

/** Exactly one `Error:` and one `Try:` line, nothing on stdout, no stack. */
function assertRefused(ran: Ran, code: number, pattern: RegExp): void {
  assert.match(ran.stderr, /^Error: .+ \[\w+\]\nTry: .+\n$/);
  assert.match(ran.stderr, pattern);
  assert.equal(ran.stdout, "");
  assert.equal(ran.code, code);
}

describe("bulkhead", () => {
  test(
    "says so when the disk under standard output is full",
    { skip: !existsSync("/dev/full") },
    async () => {
      const full = openSync("/dev/full", "w");
      const child = spawn(process.execPath, [BIN, "--help"], { stdio: ["ignore", full, "pipe"] });
      let stderr = "";
      child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr += text);
      const [code] = await once(child, "close");
      closeSync(full);
      assert.equal(code, 4);
      assert.match(stderr, /^Error: Cannot write to standard output: ENOSPC \[BH_OUTPUT\]\nTry: /);
    },
  );

  test("--help lists every command, and so does no argument at all", async () => {
    for (const args of [["--help"], []]) {
      const { code, stdout } = await bulkhead(args);
      assert.equal(code, 0);
      for (
        const name of [
          "status",
          "evidence",
          "backup",
          "drill",
          "restore",
          "backups",
          "prune",
          "keys",
          "watchdog",
          "init",
          "upgrade",
          "doctor",
          "uninstall",
        ]
      ) {
        assert.match(stdout, new RegExp(`^ {2}${name} `, "m"));
      }
    }
  });

  test("loads every command it lists, and no line of its help is longer than 80 characters", async () => {
    const names = (await program([])).commands.map((command) => command.name());
    assert.ok(names.includes("service-token") && names.includes("watchdog"));
    for (const name of names) {
      let help = "";
      const root = await program([name]);
      prepare(root, () => {}, (text) => help += text);
      await assert.rejects(root.parseAsync(["node", "bulkhead", name, "--help"]), {
        code: "commander.helpDisplayed",
      });
      assert.match(help, new RegExp(`^Usage: bulkhead ${name} `));
      assert.match(help, /--json|Commands:/);
      assert.deepEqual(help.split("\n").filter((line) => line.length > 80), [], name);
    }
  });

  test("--version prints the version of package.json", async () => {
    const { version } = JSON.parse(
      await readFile(new URL("../package.json", import.meta.url), "utf8"),
    );
    assert.equal((await bulkhead(["--version"])).stdout, `${version}\n`);
  });

  test("refuses an unknown command and an unknown flag with exit 2", async () => {
    assertRefused(await bulkhead(["stauts"]), 2, /Unknown command "stauts"[\s\S]*status/);
    assertRefused(
      await bulkhead(["status", "--bogus"]),
      2,
      /Unknown flag "--bogus"[\s\S]*bulkhead status --help/,
    );
  });

  test("--json turns an error into one JSON object on stderr", async () => {
    const { code, stdout, stderr } = await bulkhead(["status", "--json"]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.deepEqual(Object.keys(JSON.parse(stderr)), ["code", "message", "hint"]);
  });

  test("names the variable that is missing or malformed, and never its value", async () => {
    assertRefused(await bulkhead(["status"]), 2, /DATABASE_URL is not set/);
    assertRefused(
      await bulkhead(["status", "--database-env", "PROD_URL"]),
      2,
      /PROD_URL is not set/,
    );
    const malformed = await bulkhead(["status"], {
      DATABASE_URL: "mysql://me:hunter2secret@db/app",
    });
    assertRefused(malformed, 2, /DATABASE_URL is malformed/);
    assert.doesNotMatch(malformed.stderr, /hunter2/);
  });

  test("says exit 4 when the database does not answer, without its password", async () => {
    const closed = createServer();
    const port = await new Promise<number>((resolve) =>
      closed.listen(0, "127.0.0.1", () => {
        const address = closed.address();
        const free = typeof address === "object" && address !== null ? address.port : 0;
        closed.close(() => resolve(free));
      })
    );
    const ran = await bulkhead(["status"], {
      DATABASE_URL: `postgresql://me:hunter2secret@127.0.0.1:${port}/app`,
    });
    assertRefused(ran, 4, /Cannot reach the database "127\.0\.0\.1/);
    assert.doesNotMatch(ran.stderr, /hunter2/);
  });

  test("leaves with 130 on Ctrl-C", async () => {
    // A server that accepts and never answers: the command waits for it.
    const silent = createServer(() => {});
    const port = await new Promise<number>((resolve) =>
      silent.listen(0, "127.0.0.1", () => {
        const address = silent.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      })
    );
    const env = { DATABASE_URL: `postgresql://me@127.0.0.1:${port}/app` };
    const ran = await run([BIN, "status", "--no-report"], env, (kill) => {
      silent.once("connection", () => setTimeout(() => kill("SIGINT"), 50));
    });
    silent.close();
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, /Interrupted/);
  });
});

describe("bulkhead status", () => {
  let server: Server;
  let openhouse: Database;
  let folder: string;
  before(async () => {
    server = await startPostgres();
    openhouse = await openhouseDatabase(server, { rows: 300 });
    await withSql(openhouse.url, (sql) => sql`select bulkhead.schedule()`);
    folder = await mkdtemp(join(tmpdir(), "bulkhead-cli-"));
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const env = () => ({ DATABASE_URL: openhouse.url });

  test("prints a green category, exits 0 and writes one report a format", async () => {
    const reports = join(folder, "green");
    const { code, stdout, stderr } = await bulkhead([
      "status",
      "--category",
      "boundary",
      "--report-dir",
      reports,
    ], env());
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^GREEN {2}\d+ pass, 0 fail, 0 unknown$/m);
    assert.ok(!stdout.includes("\u001b"));
    assert.equal((stderr.match(/^report /gm) ?? []).length, 4);
    const names = (await readdir(reports)).sort();
    assert.deepEqual(names.map((name) => name.split(".")[1]), ["html", "json", "md", "sarif"]);
    assert.match(names[0] ?? "", /^\d{8}T\d{6}Z-boundary\.html$/);
  });

  test("runs as a script of its own too", async () => {
    const { code, stdout } = await run([
      "--import",
      TSX,
      STATUS,
      "--category",
      "guard",
      "--no-report",
      "--json",
    ], env());
    assert.equal(code, 0);
    assert.equal(statusReport.parse(JSON.parse(stdout)).verdict, "green");
  });

  test("exits 1 on red and names the table; --quiet leaves out what passes", async () => {
    await using raw = await openhouseDatabase(server, { rows: 300, hardened: false });
    const { code, stdout } = await bulkhead([
      "status",
      "--category",
      "boundary",
      "--no-report",
      "--quiet",
    ], { DATABASE_URL: raw.url });
    assert.equal(code, 1);
    assert.match(stdout, /public\.messages/);
    assert.match(stdout, /fix: select bulkhead\.protect\('public\.messages'\);/);
    assert.doesNotMatch(stdout, /✓/);
  });

  test("exits 3 when nothing fails but something could not be evaluated", async () => {
    await using unknown = await kitDatabase(server);
    await withSql(unknown.url, (sql) => sql`drop function bulkhead.checks_guard()`);
    const { code, stdout } = await bulkhead(["status", "--category", "guard", "--no-report"], {
      DATABASE_URL: unknown.url,
    });
    assert.match(stdout, /^UNKNOWN/m);
    assert.equal(code, 3);
  });

  test("refuses an unknown category, format and report folder", async () => {
    assertRefused(
      await bulkhead(["status", "--category", "nope"], env()),
      2,
      /Cannot check "nope"[\s\S]*boundary, trail/,
    );
    assertRefused(
      await bulkhead(["status", "--format", "pdf"], env()),
      2,
      /"pdf"[\s\S]*md,json,html,sarif/,
    );
    const ran = await bulkhead(
      ["status", "--category", "guard", "--report-dir", "/dev/null/x"],
      env(),
    );
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /Cannot write the report to "\/dev\/null\/x"/);
  });

  test("says what to do in a database without the kit", async () => {
    await withSql(server.superUrl, (sql) => sql.unsafe("create database bare owner postgres"));
    assertRefused(
      await bulkhead(["status"], { DATABASE_URL: server.url("bare") }),
      3,
      /not installed[\s\S]*supabase db push/,
    );
  });

  test("says `bulkhead upgrade` where the database has an older kit", async () => {
    await using db = await kitDatabase(server);
    await withSql(
      db.url,
      (sql) => sql`alter table bulkhead.audit_events rename column request_id to request`,
    );
    const ran = await bulkhead(["audit"], { DATABASE_URL: db.url });
    if (ran.code === 0) assert.fail("the renamed column is not read: rename another one");
    assertRefused(ran, 3, /\[BH_KIT_VERSION\][\s\S]*bulkhead upgrade/);
  });

  test("adopt and snapshot do not wait for ever behind a lock", async () => {
    await using db = await openhouseDatabase(server);
    await withSql(db.superUrl, async (holder) => {
      await holder.unsafe(`alter database ${db.name} set lock_timeout = '300ms'`);
      await holder.unsafe(
        "begin; lock table public.units, public.members in access exclusive mode",
      );
      for (const command of [["adopt"], ["snapshot"]]) {
        assertRefused(
          await bulkhead(command, { DATABASE_URL: db.url }),
          4,
          /\[BH_LOCKED\][\s\S]*pg_stat_activity/,
        );
      }
      await holder.unsafe("rollback");
    });
  });
});

test("explain() never shows a stack, and keeps to one line", () => {
  const explained = explain(new Error("boom\n  at somewhere"));
  assert.deepEqual([explained.code, explained.exit], ["BH_UNEXPECTED", 70]);
  assert.doesNotMatch(explained.message, /\n/);
});

test("redact() takes passwords, webhooks and secret variables out of any text", () => {
  const env = {
    BULKHEAD_KEK: "c2VjcmV0c2VjcmV0",
    BULKHEAD_HMAC_SECRET: "0f0f0f0f0f0f",
    PATH: "/usr/bin:/bin",
  };
  const text = redact(
    "postgresql://me:p%40ss@db:5432/x c2VjcmV0c2VjcmV0 0f0f0f0f0f0f https://hooks.slack.com/services/T0/B0/xyz /usr/bin:/bin",
    env,
  );
  assert.equal(
    text,
    "postgresql://me:***@db:5432/x [BULKHEAD_KEK] [BULKHEAD_HMAC_SECRET] https://hooks.slack.com/services/*** /usr/bin:/bin",
  );
});

test("docs/errors.md lists every code that the source knows, and no other", async () => {
  const root = fileURLToPath(new URL("../", import.meta.url));
  const known = new Set<string>();
  for (const part of ["migrations", "functions", "scripts"]) {
    for (const name of await readdir(join(root, part), { recursive: true })) {
      if (!/\.(ts|sql)$/.test(name)) continue;
      const text = await readFile(join(root, part, name), "utf8");
      for (const [, code] of text.matchAll(/"(BH_[A-Z0-9_]+)"/g)) known.add(code ?? "");
      for (const [, code] of text.matchAll(/errcode = '(BH\d{3}|42501)'/g)) known.add(code ?? "");
    }
  }
  const page = await readFile(join(root, "docs/errors.md"), "utf8");
  const listed = [...page.matchAll(/^\| (BH_[A-Z0-9_]+|BH\d{3}|42501) /gm)].map(([, code]) => code);
  assert.deepEqual([...listed].sort(), [...known].sort());
});
