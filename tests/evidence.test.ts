import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { decide, renderIndex } from "../functions/_core/status/evidence.ts";
import { statusReport } from "../functions/_core/status/contract.ts";
import { newFolder, writeFolder } from "../scripts/hardening/evidence-folder.ts";
import { fileTree } from "../scripts/hardening/file-tree.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead, type Ran } from "./support/project.ts";

const evidence = (args: string[], env: Record<string, string>, cwd: string): Promise<Ran> =>
  bulkhead(["evidence", ...args], { env, cwd });

const green = statusReport.parse({
  verdict: "green",
  checked_at: "2026-11-21T03:00:00Z",
  category: null,
  database: "app",
  server_version: "17.10",
  counts: { pass: 1, fail: 0, unknown: 0 },
  checks: [{
    name: "rls_forced",
    subject: "database",
    title: "Row level security is forced",
    severity: "critical",
    category: "boundary",
    status: "pass",
    observed: 0,
    threshold: 0,
    detail: null,
    remediation: null,
    sample_ids: [],
    reproduce_sql: null,
    fingerprint: "a1",
  }],
});
const whole = { name: "status.md", proves: "every rule", content: "x" };

describe("decide()", () => {
  test("ships only when the status is green, the ledger intact and nothing missing", () => {
    assert.deepEqual(decide({ report: green, artefacts: [whole], ledgerProblems: 0 }), {
      ship: true,
      reasons: [],
    });
    const lost = {
      name: "drills.json",
      proves: "",
      content: null,
      missing: "no restore drill has run",
    };
    assert.deepEqual(
      decide({ report: green, artefacts: [whole, lost], ledgerProblems: 0 }).reasons,
      [
        "drills.json is missing: no restore drill has run",
      ],
    );
    assert.equal(decide({ report: green, artefacts: [whole], ledgerProblems: 2 }).ship, false);
    assert.equal(
      decide({ report: { ...green, checks: [] }, artefacts: [whole], ledgerProblems: 0 }).ship,
      false,
    );
    const unknown = {
      ...green,
      checks: green.checks.map((check) => ({ ...check, status: "unknown" as const })),
    };
    assert.match(
      decide({ report: unknown, artefacts: [whole], ledgerProblems: 0 }).reasons[0] ?? "",
      /could not be evaluated/,
    );
  });

  test("leads the index", () => {
    const decision = decide({ report: green, artefacts: [whole], ledgerProblems: 0 });
    assert.match(
      renderIndex({ decision, report: green, artefacts: [whole], version: "0.1.0" }),
      /^# Evidence: SHIP\n/,
    );
  });
});

test("writeFolder() leaves nothing behind when a file can't be written", async () => {
  const base = await mkdtemp(join(tmpdir(), "bulkhead-evidence-"));
  try {
    await assert.rejects(
      writeFolder(join(base, "e"), new Map([["a.md", "a"], ["no/such/b.md", "b"]])),
      { code: "BH_EVIDENCE_WRITE" },
    );
    assert.deepEqual(await readdir(base), []);
    await writeFile(join(base, "file"), "");
    const below = join(base, "file", "x");
    const refused = { code: "BH_EVIDENCE_WRITE", exitCode: 2 };
    await assert.rejects(newFolder(below), refused);
    await assert.rejects(writeFolder(below, new Map([["a.md", "a"]])), refused);
    await assert.rejects(writeFolder("/proc/nope/x", new Map([["a.md", "a"]])), refused);
    assert.deepEqual(await readdir(base), ["file"]);
  } finally {
    await rm(base, { recursive: true, force: true });
  }
});

test("fileTree() lists the migrations with their digests, and no link twice", async () => {
  const tree = await fileTree();
  assert.match(tree, /^ {2}007_status\.sql +[0-9a-f]{16} +\d+$/m);
  assert.equal((tree.match(/007_status\.sql/g) ?? []).length, 1);
});

describe("bulkhead evidence", () => {
  let server: Server;
  let openhouse: Database;
  let base: string;
  before(async () => {
    server = await startPostgres();
    openhouse = await openhouseDatabase(server, { rows: 300 });
    base = await mkdtemp(join(tmpdir(), "bulkhead-evidence-"));
    await withSql(openhouse.url, async (sql) => {
      await sql`select bulkhead.schedule()`;
      await sql`select bulkhead.run_canaries()`;
    });
    await withSql(openhouse.url, (sql) => sql`select bulkhead.seal()`);
  });
  after(async () => {
    await server.stop();
    await rm(base, { recursive: true, force: true });
  });

  test("is NO-SHIP with exit 1, naming each missing artefact, before the first backup and drill", async () => {
    // Names can hold anything.
    await withSql(
      openhouse.url,
      (sql) => sql.unsafe('create table public."ev\u001b[2Jil" (id integer)'),
    );
    const { code, stdout, stderr } = await evidence(["--out", "first"], {
      DATABASE_URL: openhouse.url,
    }, base);
    await withSql(openhouse.url, (sql) => sql.unsafe('drop table public."ev\u001b[2Jil"'));
    assert.equal(code, 1, stderr);
    assert.match(stdout, /^NO-SHIP\n/);
    assert.match(stdout, /table_unclassified fails for\s+public\."ev\ufffd\[2Jil"/);
    for (const line of stdout.split("\n").slice(0, -4)) assert.ok(line.length <= 80, line);
    for (const name of ["backups.json", "manifest-summary.json", "drills.json"]) {
      assert.match(stdout, new RegExp(`${name} is missing: `));
    }
    const lines = stdout.trimEnd().split("\n");
    assert.deepEqual(lines.slice(-2), [join(base, "first"), join(base, "first", "status.html")]);
    assert.match(await readFile(join(base, "first", "README.md"), "utf8"), /^# Evidence: NO-SHIP/);
  });

  test("holds what there is, each file in SHA256SUMS", async () => {
    const folder = join(base, "first");
    const names = (await readdir(folder)).sort();
    assert.deepEqual(names, [
      "README.md",
      "SHA256SUMS",
      "canaries.json",
      "controls.md",
      "file-tree.txt",
      "incidents.json",
      "ledger.json",
      "status.html",
      "status.json",
      "status.md",
      "status.sarif",
      "trust-and-safety.md",
      "versions.json",
    ]);
    execFileSync("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: folder });
    const sums = (await readFile(join(folder, "SHA256SUMS"), "utf8")).trimEnd().split("\n");
    assert.equal(sums.length, names.length - 1);
    const ledger = JSON.parse(await readFile(join(folder, "ledger.json"), "utf8"));
    assert.match(ledger.head, /^[0-9a-f]{64}$/);
    assert.deepEqual(ledger.problems, []);
  });

  test("says to customers only what was proved, and to auditors which check bears on what", async () => {
    const page = await readFile(join(base, "first", "trust-and-safety.md"), "utf8");
    const [said = "", notes = ""] = page.split("<!--");
    assert.match(said, /kept apart from other customers/);
    assert.doesNotMatch(said, /backed up|practise recovery/, "there is no backup and no drill yet");
    assert.match(notes, /- We practise recovery: drill_age, drill_rto/);
    const controls = await readFile(join(base, "first", "controls.md"), "utf8");
    for (const id of "CC6.1 CC6.3 CC6.6 CC7.1 CC7.2 CC7.3 CC7.4 A1.2 A1.3 C1.1 C1.2".split(" ")) {
      assert.match(
        controls,
        new RegExp(`^\\| ${id} \\| .+ \\| (green|red|unknown) \\| \\d+ of [1-9]\\d* \\|`, "m"),
      );
    }
    assert.match(controls, /^\| A1\.3 \| .+ \| (red|unknown) \|/m);
    const html = await readFile(join(base, "first", "status.html"), "utf8");
    assert.match(html, /<h2 id="canaries-history">/);
  });

  test("is signed with the key that is given, so that openssl can check it", async () => {
    const own = await mkdtemp(join(tmpdir(), "bulkhead-evidence-"));
    after(() => rm(own, { recursive: true, force: true }));
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const env = { DATABASE_URL: openhouse.url };
    const signed = await evidence(
      ["--out", "signed"],
      { ...env, BULKHEAD_EVIDENCE_KEY: pem },
      own,
    );
    assert.equal(signed.code, 1, signed.stderr);
    const cwd = join(own, "signed");
    await writeFile(join(own, "public.pem"), publicKey.export({ type: "spki", format: "pem" }));
    const check = () =>
      execFileSync("openssl", [
        ..."pkeyutl -verify -pubin -inkey ../public.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig"
          .split(" "),
      ], { cwd, stdio: "pipe" });
    check();
    await appendFile(join(cwd, "SHA256SUMS"), "x");
    assert.throws(check);
    const wrong = await evidence(
      ["--out", "wrong"],
      { ...env, BULKHEAD_EVIDENCE_KEY: "no key" },
      own,
    );
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /\[BH_EVIDENCE_KEY\]/);
    assert.doesNotMatch(wrong.stderr, /no key/);
  });

  test("never overwrites evidence", async () => {
    const { code, stdout, stderr } = await evidence(["--out", "first"], {
      DATABASE_URL: openhouse.url,
    }, base);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /^Error: Cannot write evidence to ".*first": it exists already \[BH_EVIDENCE_EXISTS\]\nTry: .+\n$/,
    );
  });

  test("writes nothing when the database can't be reached, and shows no password", async () => {
    const { code, stderr } = await evidence(["--out", "second"], {
      DATABASE_URL: "postgresql://me:hunter2secret@127.0.0.1:9/x",
    }, base);
    assert.equal(code, 4);
    assert.doesNotMatch(stderr, /hunter2/);
    assert.deepEqual(await readdir(base), ["first"]);
  });

  test("asks for the key-encryption key when a store is named", async () => {
    const env = { DATABASE_URL: openhouse.url, BULKHEAD_STORE: `file://${base}/store` };
    const { code, stderr } = await evidence(["--out", "third"], env, base);
    assert.equal(code, 2);
    assert.match(stderr, /BULKHEAD_KEK is not set/);
  });

  test("names a tampered audit trail as what decides", async () => {
    await withSql(openhouse.url, (sql) =>
      sql.unsafe(`
        do $$ declare t regclass := (select min(e.tableoid)::regclass from bulkhead.audit_events as e); begin
          execute format('alter table %s disable trigger bulkhead_append_only', t);
          execute format('delete from %s where id = (select min(id) from %s)', t, t);
          execute format('alter table %s enable always trigger bulkhead_append_only', t);
        end $$`));
    const { code, stdout } = await evidence(["--out", "fourth", "--json"], {
      DATABASE_URL: openhouse.url,
    }, base);
    assert.equal(code, 1);
    const answer = JSON.parse(stdout);
    assert.equal(answer.ship, false);
    assert.ok(answer.reasons.some((reason: string) => /does not match its seals/.test(reason)));
    assert.equal(answer.report, join(base, "fourth", "status.html"));
  });
});
