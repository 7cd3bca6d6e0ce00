import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { changeOf, eventLine, ledgerEvent, plain } from "../functions/_core/ledger/event-line.ts";
import { exactParse, exactString } from "../functions/_core/ledger/exact-json.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

const BIN = fileURLToPath(new URL("../scripts/bin.mjs", import.meta.url));

let server: Server;
let db: Database;
let sql: postgres.Sql;
before(async () => {
  server = await startPostgres();
  db = await kitDatabase(server);
  sql = postgres(db.url, { max: 3, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id text primary key);
    create schema crm;
    create table public.messages (id bigint primary key, tenant_id text, body text, big numeric);
    create table public.people (id bigint primary key, tenant_id text, name text);
    create table crm.people (id bigint primary key, tenant_id text, name text);
    create view public.seen as select * from public.messages;
    insert into public.tenants values ('acme'), ('birch');
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants'), bulkhead.protect('public.messages'), bulkhead.protect('public.people'), bulkhead.protect('crm.people');
  `);
});
after(async () => {
  await sql?.end({ timeout: 1 });
  await server?.stop();
});

type Ran = { code: number; stdout: string; stderr: string };

function start(args: string[]): ChildProcess {
  const { PATH = "" } = process.env;
  return spawn(process.execPath, [BIN, ...args], {
    cwd: tmpdir(),
    env: { PATH, DATABASE_URL: db.url, TZ: "UTC" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(...args: string[]): Promise<Ran> {
  const child = start(args);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const [code] = await once(child, "close");
  return { code: code ?? -1, stdout, stderr };
}

async function write(actor: string, statement: string, tenant = "acme"): Promise<string> {
  return await sql.begin(async (tx) => {
    await tx`select bulkhead.set_tenant(${tenant}, ${actor})`;
    await tx.unsafe(statement);
    const [row] = await tx`select pg_current_xact_id()::text as x`;
    return row?.["x"];
  }) as string;
}

test("a person finds who changed a row, looks at the plan, puts it back and sees it in the ledger", async () => {
  await write(
    "alice",
    "insert into public.messages values (42, 'acme', 'a', 1.50), (43, 'acme', 'x', 9007199254740993)",
  );
  await write("bob", "insert into public.messages values (50, 'birch', 'other', 1)", "birch");
  const x = await write(
    "mallory",
    "update public.messages set body = 'b' where id = 42; delete from public.messages where id = 43",
  );

  const history = await run("history", "messages", "42");
  assert.match(history.stdout, new RegExp(`#${x}  mallory  UPDATE messages 42  body: "a" → "b"`));
  assert.equal(history.stdout.trim().split("\n").length, 2);

  const list = await run("audit", "--tenant", "acme", "--actor", "mallory", "--since", "1h");
  assert.equal(list.code, 0, list.stderr);
  assert.deepEqual(
    list.stdout.trim().split("\n").map((line) => line.replace(/^.*mallory {2}/, "")),
    [
      'UPDATE messages 42  body: "a" → "b"',
      'DELETE messages 43  big: 9007199254740993, body: "x"',
    ],
  );
  assert.ok(!list.stdout.includes("\u001b"), "no colour in a pipe");

  const plan = await run("undo", "--transaction", x);
  assert.equal(plan.code, 0, plan.stderr);
  assert.match(plan.stdout, /public.messages: 1 to set back, 1 to insert/);
  assert.match(plan.stdout, /~ messages 42 {2}body: "b" → "a"/);
  const [, digest = ""] = /--apply (\w+)/.exec(plan.stderr) ?? [];
  assert.equal((await run("undo", "--transaction", x, "--apply", "0000")).code, 1);
  const done = await run("undo", "--transaction", x, "--apply", digest, "--acting", "carol");
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /1 row of public.messages inserted \(acme\)/);
  const rows = await sql`select id, body, big::text from public.messages order by id`;
  assert.deepEqual(rows.map((row) => `${row["id"]} ${row["body"]} ${row["big"]}`), [
    "42 a 1.50",
    "43 x 9007199254740993",
    "50 other 1",
  ]);
  const again = await run("undo", "--transaction", x);
  assert.match(again.stdout, /Nothing to undo/);
  const trail = await run("audit", "--actor", "carol", "--json");
  const events = trail.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(events.map((event) => event.operation).sort(), [
    "INSERT",
    "UPDATE",
    "bulkhead.undo",
  ]);
  assert.match(trail.stdout, /"big":9007199254740993/, "numbers are exact");
});

test("a plan with rows that later writes own ends with 1, and --json is one document", async () => {
  const x = await write("alice", "insert into public.people values (1, 'acme', 'a')");
  await write("bob", "update public.people set name = 'b'");
  const refused = await run("undo", "--transaction", x);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /! people 1 {2}conflict: changed later by bob in transaction \d+/);
  assert.match(refused.stderr, /--conflicts skip/);
  const applied = await run("undo", "--transaction", x, "--apply");
  assert.equal(applied.code, 1);
  assert.match(applied.stderr, /^Error: Cannot undo: rows are in the way: .*\[BH107\]\nTry: /);
  const skipped = await run("undo", "--transaction", x, "--conflicts", "skip", "--json");
  assert.equal(JSON.parse(skipped.stdout).steps[0].state, "skipped");
});

test("--follow prints what commits late after what was numbered later, once, and ends on Ctrl-C", async () => {
  const child = start(["audit", "--follow", "--limit", "1", "--table", "public.people", "--json"]);
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => out += text);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => err += text);
  const names = () =>
    out.split("\n").filter(Boolean).map((line) => JSON.parse(line).after?.name).slice(1);
  while (out === "") await sleep(50);
  const slow = await sql.reserve();
  await slow.unsafe("begin; insert into public.people values (100, 'acme', 'numbered first')");
  for (let i = 0; i < 3; i++) {
    await write("w", `insert into public.people values (${101 + i}, 'acme', 'quick ${i}')`);
    await sleep(400);
  }
  while (names().length < 3) await sleep(50);
  await slow.unsafe("commit");
  slow.release();
  while (names().length < 4) await sleep(50);
  await write("w", "insert into public.people values (110, 'acme', 'last')");
  while (names().length < 5) await sleep(50);
  await sleep(700);
  assert.deepEqual(names(), ["quick 0", "quick 1", "quick 2", "numbered first", "last"]);
  child.kill("SIGINT");
  const [code] = await once(child, "close");
  assert.equal(code, 130);
  assert.doesNotMatch(err, /Error|at /);
});

test("Ctrl-C in the middle of --apply leaves nothing done, whatever the database went on with", async () => {
  const x = await write("alice", "insert into public.people values (200, 'acme', 'stays')");
  const writer = await sql.reserve();
  await writer.unsafe("begin; lock table public.people in row exclusive mode");
  const child = start(["undo", "--transaction", x, "--apply"]);
  const atWork = async () => {
    const [row] = await sql`
      select count(*)::int as n from pg_stat_activity
      where query like '%bulkhead.apply_undo(%' and state <> 'idle' and pid <> pg_backend_pid()`;
    return row?.["n"] > 0;
  };
  while (!await atWork()) await sleep(50);
  child.kill("SIGINT");
  const [code] = await once(child, "close");
  assert.equal(code, 130);
  await writer.unsafe("commit");
  writer.release();
  while (await atWork()) await sleep(50);
  assert.equal((await sql`select from public.people where id = 200`).length, 1);
  const done = await run("undo", "--transaction", x, "--apply");
  assert.match(done.stdout, /^1 row of public.people deleted \(acme\)$/m);
});

test("bad input is one error that names it and one line that says what to do", async () => {
  const cases: [string[], number, RegExp][] = [
    [["audit", "--since", "soon"], 2, /neither a time nor how long ago.*BH_AUDIT_TIME/],
    [["audit", "--since", "1m", "--until", "2m"], 2, /the end is before.*BH_AUDIT_TIME/],
    [["audit", "--tenant", "nobody"], 1, /Cannot find the tenant nobody.*BH103/],
    [["audit", "--table", "nothing"], 2, /Cannot find the table "nothing".*BH_AUDIT_TABLE/],
    [
      ["audit", "--table", "people"],
      2,
      /Cannot tell which table "people" is: crm.people, public.people.*BH_AUDIT_TABLE/,
    ],
    [["audit", "--limit", "0"], 2, /BH_USAGE/],
    [["history", "seen", "1"], 1, /it is a view.*BH101/],
    [["history", "messages", "x"], 1, /BH108/],
    [["undo"], 1, /name a transaction, or a tenant and since when.*BH105/],
    [["undo", "--transaction", "x"], 2, /BH_USAGE/],
    [["undo", "--transaction", "999999999"], 1, /the ledger does not know it.*BH104/],
    [["undo", "--tenant", "acme", "--since", "300d"], 1, /the ledger of .* begins at.*BH102/],
  ];
  for (const [args, code, pattern] of cases) {
    const ran = await run(...args);
    assert.match(ran.stderr, /^Error: .+ \[\w+\]\nTry: .+\n$/, args.join(" "));
    assert.match(ran.stderr, pattern);
    assert.equal(ran.code, code, args.join(" "));
    assert.equal(ran.stdout, "");
  }
});

test("data cannot draw on the terminal, and a line keeps to its width", () => {
  assert.equal(plain("a\u001b[2Jb\u202e"), "a\\u001b[2Jb\\u202e");
  const event = ledgerEvent.parse({
    id: "1",
    at: "2026-11-20T10:00:00Z",
    transaction: "9",
    tenant: "961a25e0-1f65-4396-8b20-3fdfaf67619c",
    actor: "eve\u001b[31m",
    role: "service_role",
    operation: "UPDATE",
    table: "public.messages",
    record: "42",
    before: JSON.stringify({ body: "\u001b]0;owned\u0007", secret: { $bulkhead: "masked" } }),
    after: JSON.stringify({ body: "é".repeat(200), secret: { $bulkhead: "masked" } }),
    request: null,
    address: null,
    metadata: null,
  });
  const line = eventLine(event, { width: 80, now: Date.parse("2026-11-21T10:00:00Z") });
  const text = `${line.head}  ${line.operation} ${line.target}  ${line.detail}`;
  assert.ok([...text].length <= 80, text);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\u0000-\u001f\u007f]/);
  assert.match(text, /961a25e0 {2}/);
  assert.match(changeOf(event), /secret: \(masked\) → \(masked\)/);
  const long = {
    ...event,
    at: "2025-11-20T10:00:00Z",
    transaction: "123456789012",
    tenant: "漢字".repeat(20),
    actor: "somebody.with.a.long.name@example.com",
    operation: "order.refunded.in.part",
    table: `analytics.${"a_table_of_a_name_".repeat(3)}`,
    record: "e\u0301".repeat(40),
  };
  for (const width of [40, 80, 200]) {
    const { head, operation, target, detail } = eventLine(long, { width, now: Date.now() });
    const drawn = `${head}  ${operation} ${target}  ${detail}`.trimEnd()
      .replace(/\p{Script=Han}/gu, "##").replace(/\p{M}/gu, "");
    assert.ok(drawn.length <= width, `${drawn.length} of ${width}: ${drawn}`);
  }
});

test("exactString() gives back what exactParse() read, whatever is in it", () => {
  for (
    const text of [
      '{"n":1.00,"big":9007199254740993,"e":-1.5e-7}',
      '{"s":"1.00","q":"say \\"\uE000123\\"","m":"\uE000","k\uE0001":["\uE000\uE0005",5]}',
      "null",
    ]
  ) assert.equal(exactString(exactParse(text)), text);
  assert.throws(() => exactParse('{"a":"b'), SyntaxError);
});

test("exactParse() reads a value of many megabytes, as a ledger without caps has them", () => {
  for (const value of ["a".repeat(20_000_000), '\\"\\\\'.repeat(5_000_000)]) {
    assert.equal(exactString(exactParse(`{"a":"${value}"}`)).length, value.length + 8);
  }
});
