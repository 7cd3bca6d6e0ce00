import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Command } from "commander";
import { reportSchema } from "../functions/_core/readiness/report/contract.ts";
import { RULES } from "../functions/_core/readiness/rules/index.ts";
import { command } from "../scripts/readiness/readiness.ts";
import { bulkhead, type Ran, writeFiles } from "./support/project.ts";
import { ROOT } from "./support/sql-files.ts";

const homes: string[] = [];
after(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** A folder with these files. */
function project(files: Record<string, string>): string {
  const home = mkdtempSync(join(tmpdir(), "bulkhead-readiness-"));
  homes.push(home);
  return writeFiles(home, files);
}

function readiness(cwd: string, ...args: string[]): Promise<Ran> {
  return bulkhead(["readiness", ...args], { cwd });
}

/** The command without a process of its own: it throws what the process would report. */
function silent(one: Command): Command {
  return one.exitOverride().configureOutput({ outputError: () => {} });
}

const ONE = ["--rule", "CI-21", "--as-of", "2026-11-21"];
const BARE = { "README.md": "# App\n" };
const POLICY = { "SECURITY.md": "Write to security@example.org\n", CODEOWNERS: "* @acme/all\n" };

describe("bulkhead readiness", () => {
  it("prints a report of 80 columns, without colour, and nothing else", async () => {
    const home = project(BARE);
    const { code, stdout, stderr } = await readiness(home, ...ONE);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.match(stdout, /CI-21/);
    assert.match(stdout, /VERDICT/);
    assert.ok(!stdout.includes("\x1b"));
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
  });

  it("prints one JSON document of the contract, and SARIF, and writes pages whole", async () => {
    const home = project(BARE);
    const json = await readiness(home, ...ONE, "--json", "--html", "a.html", "--markdown", "a.md");
    assert.equal(json.stderr, "");
    const report = reportSchema.parse(JSON.parse(json.stdout));
    assert.equal(report.generated_at, "2026-11-21T12:00:00.000Z");
    assert.deepEqual(report.files.map(({ path }) => path), ["README.md"]);
    assert.match(readFileSync(join(home, "a.html"), "utf8"), /<!doctype html>[\s\S]*CI-21/);
    assert.match(readFileSync(join(home, "a.md"), "utf8"), /^# Readiness of [\s\S]*CI-21/);
    assert.deepEqual(readdirSync(home).toSorted(), ["README.md", "a.html", "a.md"]);
    const sarif = JSON.parse((await readiness(home, ...ONE, "--sarif")).stdout);
    assert.equal(sarif.runs[0].results.length, 2);
  });

  it("exits 1 on a gap as grave as --fail-on says, P0 where it says nothing", async () => {
    const home = project(BARE);
    const codes = await Promise.all(
      ["p1", "p2"].map((least) => readiness(home, ...ONE, "--fail-on", least)),
    );
    assert.deepEqual(codes.map(({ code }) => code), [0, 1]);
    const fine = await readiness(project(POLICY), ...ONE, "--fail-on", "p2");
    assert.equal(fine.code, 0, fine.stdout);
  });

  it("exits 3 where a part of the tree could not be looked at", async () => {
    const home = project({ ...POLICY, [`${"d/".repeat(110)}a.py`]: "x = 1\n" });
    const { code, stdout } = await readiness(home, ...ONE);
    assert.equal(code, 3);
    assert.match(stdout, /nested more than 100 deep/);
  });

  it("counts an ignore with a reason until its date, lists it, and says when it has expired", async () => {
    const home = project({
      ...BARE,
      "bulkhead-readiness.toml":
        '[[ignore]]\nrule = "CI-21"\nreason = "the organization keeps both"\nuntil = "2026-12-31"\n',
    });
    const args = ["--rule", "CI-21", "--fail-on", "p2", "--as-of"];
    const before = await readiness(home, ...args, "2026-12-31");
    assert.equal(before.code, 0, before.stdout);
    assert.match(before.stdout, /IGNORED[\s\S]*the organization keeps both/);
    assert.doesNotMatch(before.stdout, /STRENGTHS/);
    const later = await readiness(home, ...args, "2027-01-01");
    assert.equal(later.code, 1);
    assert.match(later.stdout, /has expired on 2026-12-31/);
  });

  it("lets through what the baseline knows, and nothing else", async () => {
    const home = project({ ...BARE, CODEOWNERS: "* @acme/all\n" });
    const args = [...ONE, "--fail-on", "p2", "--baseline", "known.json"];
    const first = await readiness(home, ...args, "--update-baseline");
    assert.equal(first.code, 0);
    assert.match(first.stderr, /1 open places? in known\.json/);
    assert.equal((await readiness(home, ...args)).code, 0);
    rmSync(join(home, "CODEOWNERS"));
    const other = await readiness(home, ...args);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /Baseline: 1 known, 1 new, 0 gone/);
  });

  it("compares with an earlier report", async () => {
    const home = project({ ...BARE, "SECURITY.md": POLICY["SECURITY.md"] });
    const earlier = await readiness(home, ...ONE, "--json");
    writeFileSync(join(home, "last.json"), earlier.stdout);
    writeFileSync(join(home, "CODEOWNERS"), POLICY.CODEOWNERS);
    rmSync(join(home, "SECURITY.md"));
    const { stdout } = await readiness(home, ...ONE, "--json", "--since", "last.json");
    const { since } = reportSchema.parse(JSON.parse(stdout));
    assert.deepEqual(since?.fixed.map(({ file }) => file), [".github/CODEOWNERS"]);
    assert.equal(since?.fresh.length, 1);
  });

  it("lists its rules and prints their pages", async () => {
    const { stdout } = await readiness(ROOT, "--list-rules");
    for (const { id } of RULES) assert.ok(stdout.includes(`${id} `), id);
    const page = await readiness(ROOT, "--explain", "ci-21");
    assert.match(page.stdout, /^# CI-21 security-policy\n/);
  });

  it("knows misuse, and leaves nothing behind", async () => {
    const home = project({ ...BARE, "bad.json": "{}" });
    const cases: [string[], string][] = [
      [["missing"], "BH_READINESS_PATH"],
      [["README.md"], "BH_READINESS_PATH"],
      [["--rule", "ZZ-99"], "BH_READINESS_RULE"],
      [["--explain", "../../x"], "BH_READINESS_RULE"],
      [["--update-baseline"], "BH_READINESS_BASELINE"],
      [["--baseline", "none.json"], "BH_READINESS_BASELINE"],
      [["--baseline", "bad.json"], "BH_READINESS_BASELINE"],
      [["--since", "bad.json"], "BH_READINESS_SINCE"],
      [["--html", "no/such/folder.html", ...ONE], "BH_READINESS_OUTPUT"],
      [["--fail-on", "p3"], "commander.invalidArgument"],
      [["--as-of", "soon"], "commander.invalidArgument"],
      [["--json", "--sarif"], "commander.conflictingOption"],
    ];
    const here = (text: string) =>
      /^(missing|README|none|bad|no\/)/.test(text) ? join(home, text) : text;
    for (const [args, code] of cases) {
      const given = args.map(here);
      if (args[0]?.startsWith("-")) given.unshift(home);
      const run = silent(command()).parseAsync(given, { from: "user" });
      await assert.rejects(run, { code }, args.join(" "));
    }
    const { code, stderr } = await readiness(home, "--rule", "ZZ-99");
    assert.equal(code, 2);
    assert.match(stderr, /^Error: Cannot .*\nTry: /);
    assert.deepEqual(readdirSync(home).toSorted(), ["README.md", "bad.json"]);
  });
});
