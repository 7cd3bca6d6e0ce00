import assert from "node:assert/strict";
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import * as z from "zod";
import { RULES } from "../functions/_core/lint/rules.ts";
import { findSecrets } from "../functions/_core/lint/secrets.ts";
import { jwt } from "./support/lint-fixtures.ts";
import { bulkhead, type Ran, writeFiles } from "./support/project.ts";
import { ROOT } from "./support/sql-files.ts";

const homes: string[] = [];
after(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** A folder with these files. */
function project(files: Record<string, string | Uint8Array>): string {
  const home = mkdtempSync(join(tmpdir(), "bulkhead-lint-"));
  homes.push(home);
  return writeFiles(home, files);
}

function lint(cwd: string, ...args: string[]): Promise<Ran> {
  return bulkhead(["lint", ...args], { cwd });
}

const IMPORT = 'import { createClient } from "@supabase/supabase-js";\n';
const CLIENT = 'export const admin = createClient("u", process.env.SUPABASE_SERVICE_ROLE_KEY!);\n';
const WRITE = 'await admin.from("orders").delete().eq("id", 1);\n';
const report = z.object({
  files: z.number(),
  findings: z.array(
    z.object({ rule: z.string(), severity: z.string(), file: z.string(), line: z.number() }),
  ),
  unread: z.array(z.object({ file: z.string(), reason: z.string() })),
  ignored: z.number(),
  baseline: z.object({ known: z.number(), gone: z.number() }),
});

describe("bulkhead lint", () => {
  it("is clean on this repository", async () => {
    // Repositories with holes, for `bulkhead readiness` to find.
    const { code, stdout } = await lint(ROOT, "--exclude", "examples/readiness/");
    assert.equal(code, 0, stdout);
  });

  it("prints each finding with its line and a caret, in 80 columns", async () => {
    const long = `export const go = (${
      "argument, ".repeat(30)
    }) => admin.from("orders").insert({ a: 1 });\n`;
    const home = project({ "src/a.ts": IMPORT + CLIENT + WRITE + long });
    const { code, stdout } = await lint(home);
    assert.equal(code, 1);
    assert.match(stdout, /error {2}lint\/service-client {2}src\/a\.ts:2:22/);
    const lines = stdout.split("\n");
    for (const line of lines) assert.ok(line.length <= 80, line);
    const at = lines.findIndex((line) => line.includes("| await admin"));
    assert.equal(lines[at + 1]?.indexOf("^"), lines[at]?.indexOf("delete"));
    const cut = lines.findIndex((line) => line.includes("    4 |"));
    assert.equal(lines[cut + 1]?.indexOf("^"), lines[cut]?.indexOf("insert"));
  });

  it("prints one JSON document on stdout and nothing else", async () => {
    const home = project({ "src/a.ts": IMPORT + CLIENT });
    const { code, stdout, stderr } = await lint(home, "--json");
    assert.equal(code, 1);
    assert.equal(stderr, "");
    const { findings, files } = report.parse(JSON.parse(stdout));
    assert.equal(files, 1);
    assert.deepEqual(findings.map((one) => `${one.rule} ${one.line}`), ["lint/service-client 2"]);
  });

  it("never prints a key, in any format, nor writes it to a baseline", async () => {
    const key = jwt({ iss: "supabase", ref: "abcdefghijklmnop", role: "service_role" });
    assert.equal(findSecrets(key).length, 1);
    const home = project({
      "src/a.ts": `${IMPORT}export const a = createClient("u", "${key}");\n`,
    });
    for (
      const flags of [[], ["--json"], ["--sarif"], ["--baseline", "b.json", "--update-baseline"]]
    ) {
      const { stdout, stderr } = await lint(home, ...flags);
      for (const part of key.split(".")) {
        assert.ok(!(stdout + stderr).includes(part), flags.join(" "));
      }
    }
    assert.ok(!readFileSync(join(home, "b.json"), "utf8").includes(key.split(".")[2] ?? key));
  });

  it("weighs scripts less, and passes over infos", async () => {
    const home = project({
      "scripts/a.ts": 'import x from "./b";\nx.asPlatform({ reason: "clean-up" });\n',
    });
    const { code, stdout } = await lint(home);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /as-platform: asPlatform\(\) goes across tenants: clean-up/);
    const other = project({ "scripts/a.ts": IMPORT + CLIENT });
    assert.match((await lint(other)).stdout, /warn {3}lint\/service-client/);
  });

  it("runs only the rules that are asked for", async () => {
    const home = project({
      "a.ts": `${IMPORT}${CLIENT}${WRITE}// bulkhead-ignore service-rpc: of old\n`,
    });
    const { stdout } = await lint(home, "--json", "--rule", "service-write", "lint/ignore-unused");
    const rules = report.parse(JSON.parse(stdout)).findings.map((one) => one.rule);
    assert.deepEqual(rules, ["lint/service-write"]);
  });

  it("reads the tenant columns and global tables of bulkhead.toml", async () => {
    const read = (table: string, column: string) =>
      `await admin.from("${table}").select().eq("${column}", 1);\n`;
    const home = project({
      "bulkhead.toml":
        'version = 1\n[tenants]\ntable = "public.clubs"\ncolumn = "club"\n[tables."public.countries"]\nkind = "global"\nreason = "the same for all"\n',
      "a.ts": IMPORT + CLIENT + read("orders", "club") + read("orders", "org_id") +
        read("countries", "id"),
    });
    const { stdout } = await lint(home, "--json", "--rule", "service-read");
    assert.deepEqual(report.parse(JSON.parse(stdout)).findings.map((one) => one.line), [4]);
  });

  it("lists its rules, and knows misuse", async () => {
    const home = project({ "a.ts": "" });
    const { stdout } = await lint(home, "--list-rules");
    for (const { id } of RULES) assert.ok(stdout.includes(id));
    for (
      const args of [["--rule", "nothing"], ["missing"], ["--update-baseline"], [
        "--baseline",
        "missing.json",
      ]]
    ) {
      const { code, stderr } = await lint(home, ...args);
      assert.equal(code, 2, args.join(" "));
      assert.match(stderr, /^Error: Cannot .*\nTry: /);
    }
    writeFileSync(join(home, "bad.json"), '{ "version": 2 }');
    assert.equal((await lint(home, "--baseline", "bad.json")).code, 2);
    const nowhere = await lint(home, "--baseline", "no/such/b.json", "--update-baseline");
    assert.equal(nowhere.code, 2);
    assert.match(nowhere.stderr, /^Error: Cannot write "no\/such\/b.json": .*BH_LINT_BASELINE/);
    writeFileSync(join(home, "bulkhead.toml"), "version = 1\n[tenants\n");
    const broken = await lint(home);
    assert.equal(broken.code, 2);
    assert.match(broken.stderr, /^Error: Cannot read ".*bulkhead.toml": line 2: /);
  });
});

describe("--baseline", () => {
  it("knows what moved, sees what is new, and what is gone", async () => {
    const home = project({ "a.ts": IMPORT + CLIENT + WRITE });
    const flags = ["--baseline", "b.json"];
    assert.equal((await lint(home, ...flags, "--update-baseline")).code, 0);
    assert.equal((await lint(home, ...flags)).code, 0);
    // Other lines above, other blanks.
    writeFileSync(join(home, "a.ts"), `${IMPORT}\n\n// a comment\n  ${CLIENT}\n    ${WRITE}`);
    assert.equal((await lint(home, ...flags)).code, 0);
    // The same line once more is one more.
    writeFileSync(join(home, "a.ts"), IMPORT + CLIENT + WRITE + WRITE);
    const { code, stdout } = await lint(home, ...flags, "--json");
    assert.equal(code, 1);
    assert.equal(report.parse(JSON.parse(stdout)).findings.length, 1);
    writeFileSync(join(home, "a.ts"), IMPORT + CLIENT);
    const gone = await lint(home, ...flags);
    assert.equal(gone.code, 0);
    assert.match(gone.stderr, /1 of the baseline are gone/);
  });
});

describe("--sarif", () => {
  it("has what code scanning asks of 2.1.0", async () => {
    const home = project({
      "src/ä b.ts": IMPORT + CLIENT + WRITE + WRITE,
      "src/broken.ts": "const = ;",
    });
    const { stdout } = await lint(home, "--sarif");
    const text = z.object({ text: z.string().min(1) });
    const count = z.number().int().positive();
    const location = z.object({
      physicalLocation: z.object({
        artifactLocation: z.object({
          uri: z.string().regex(/^[^\s\\]+$/),
          uriBaseId: z.literal("SRCROOT"),
        }),
        region: z.object({ startLine: count, startColumn: count, endLine: count, endColumn: count })
          .optional(),
      }),
    });
    const sarif = z.strictObject({
      $schema: z.url(),
      version: z.literal("2.1.0"),
      runs: z.tuple([z.strictObject({
        tool: z.object({
          driver: z.object({
            name: z.string(),
            rules: z.array(z.object({ id: z.string(), shortDescription: text })),
          }),
        }),
        columnKind: z.literal("utf16CodeUnits"),
        originalUriBaseIds: z.object({ SRCROOT: z.object({}) }),
        invocations: z.tuple([z.object({
          executionSuccessful: z.literal(false),
          toolExecutionNotifications: z.array(
            z.object({ level: z.literal("error"), message: text, locations: z.tuple([location]) }),
          ).length(1),
        })]),
        results: z.array(z.strictObject({
          ruleId: z.string(),
          ruleIndex: z.number().int().nonnegative(),
          level: z.enum(["none", "note", "warning", "error"]),
          message: text,
          locations: z.tuple([location]),
          partialFingerprints: z.record(z.string(), z.string()),
        })),
      })]),
    }).parse(JSON.parse(stdout));
    const [{ results, tool }] = sarif.runs;
    assert.equal(results.length, 3);
    for (const one of results) assert.equal(tool.driver.rules[one.ruleIndex]?.id, one.ruleId);
    const prints = new Set(results.map((one) => Object.values(one.partialFingerprints)[0]));
    assert.equal(prints.size, 3, "every result has a fingerprint of its own");
  });
});

describe("a hostile tree", () => {
  it("is unknown, never green, when a file can't be parsed", async () => {
    const home = project({
      "a.ts": "const = ;",
      "b.sql": "create function f( returns int as 'x';",
    });
    const { code, stdout } = await lint(home, "--json");
    assert.equal(code, 3);
    assert.deepEqual(report.parse(JSON.parse(stdout)).unread.map((one) => one.file), [
      "a.ts",
      "b.sql",
    ]);
  });

  it("of links in circles, binaries, odd encodings, deep nesting and huge files ends, and says what it left out", async () => {
    const utf16 = Buffer.from(`\ufeff${IMPORT}${CLIENT}`, "utf16le");
    const home = project({
      "src/a.ts": "export const a = 1;",
      "src/binary.ts": new Uint8Array([1, 0, 2, 0, 0, 255]),
      "src/utf16.ts": utf16,
      "src/latin.ts": Buffer.from("export const a = 'caf\xe9';", "latin1"),
      "src/deep.ts": `export const a = ${"[".repeat(50_000)}${"]".repeat(50_000)};`,
      "src/long.ts": `export const a = ${'"x" + '.repeat(20_000)}"y";`,
      "src/empty.ts": "",
      "src/huge.ts": "",
      "src/hash.ts": "#!/usr/bin/env node\nexport {};\n",
      "src/crlf.ts": "export const a = 1;\r\n// bulkhead-ignore service-write: of old\r\n",
      "src/dollar.sql": "create function f() returns int as $$ select 1",
    });
    truncateSync(join(home, "src/huge.ts"), 1_000_000_000);
    symlinkSync("..", join(home, "src/up"));
    symlinkSync("self", join(home, "src/self"));
    symlinkSync("/etc", join(home, "src/etc"));
    const { code, stdout } = await lint(home, "--json");
    assert.equal(code, 1, stdout);
    const { findings, unread } = report.parse(JSON.parse(stdout));
    assert.deepEqual(
      findings.map((one) => `${one.file}:${one.line} ${one.rule}`),
      ["src/crlf.ts:2 lint/ignore-unused", "src/utf16.ts:2 lint/service-client"],
    );
    const files = unread.map((one) => one.file).sort();
    assert.deepEqual(
      files.filter((file) => file !== "src/deep.ts" && file !== "src/long.ts"),
      ["src/binary.ts", "src/dollar.sql", "src/huge.ts"],
    );
  });

  it("is left out where git leaves it out, and where others' code is", async () => {
    const bad = IMPORT + CLIENT;
    const home = project({
      ".gitignore": "generated/\n*.gen.ts\n!keep.gen.ts\n/only-top.ts\n",
      "generated/a.ts": bad,
      "src/a.gen.ts": bad,
      "src/keep.gen.ts": bad,
      "only-top.ts": bad,
      "src/only-top.ts": bad,
      "src/.gitignore": "local.ts\n",
      "src/local.ts": bad,
      "node_modules/x/a.ts": bad,
      "dist/a.js": bad,
      "legacy/a.ts": bad,
    });
    const { stdout } = await lint(home, "--json", "--exclude", "legacy/");
    assert.deepEqual(report.parse(JSON.parse(stdout)).findings.map((one) => one.file), [
      "src/keep.gen.ts",
      "src/only-top.ts",
    ]);
  });
});
