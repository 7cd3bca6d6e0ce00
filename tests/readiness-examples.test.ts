import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { PARSERS } from "../functions/_core/adapters/readiness-parsers.ts";
import { readRepository } from "../functions/_core/adapters/readiness-tree.ts";
import { audit } from "../functions/_core/readiness/audit.ts";
import { Repository } from "../functions/_core/readiness/repository.ts";
import { type Report, reportSchema } from "../functions/_core/readiness/report/contract.ts";
import { renderMarkdown } from "../functions/_core/readiness/report/markdown.ts";
import { reportOf } from "../functions/_core/readiness/report/report.ts";
import { ROOT } from "./support/sql-files.ts";

/** What a person who read the example whole says of it. */
const EXAMPLES: Record<string, { maturity: Report["maturity"]; p0: string[] }> = {
  prototype: {
    maturity: "prototype",
    p0: ["APP-02", "CI-03", "CI-06", "DB-06", "DR-01", "SEC-01"],
  },
  startup: { maturity: "prototype", p0: ["DB-03", "DB-06"] },
  pilot: { maturity: "pilot", p0: [] },
  production: { maturity: "pilot", p0: [] },
  enterprise: { maturity: "enterprise", p0: [] },
};

describe("examples/readiness", () => {
  let home: string;
  before(() => {
    home = mkdtempSync(join(tmpdir(), "bulkhead-readiness-"));
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  for (const [name, expected] of Object.entries(EXAMPLES)) {
    it(`${name}: the whole report, and what a reader would say`, async () => {
      const report = await reportOn(name, home);
      const golden = join(ROOT, `examples/readiness/${name}.report.md`);
      const shown = renderMarkdown(report);
      if (process.env["BULKHEAD_UPDATE_SNAPSHOT"]) writeFileSync(golden, shown);
      assert.deepEqual(
        report.roadmap.find(({ phase }) => phase === "A safety")?.rules.toSorted(),
        expected.p0,
      );
      assert.equal(report.maturity, expected.maturity);
      assert.equal(shown, readFileSync(golden, "utf8"));
    });
  }
});

describe("this repository", () => {
  it("has nothing open that stops production; what it need not answer has a reason and a day", () => {
    const shown = execFileSync(
      process.execPath,
      ["--import", "tsx", "scripts/cli.ts", "readiness", "--json", "--fail-on", "p1"],
      { cwd: ROOT, encoding: "utf8", maxBuffer: 50_000_000 },
    );
    const { verdict, rules, unread } = reportSchema.parse(JSON.parse(shown));
    assert.equal(verdict.pilot.answer, "go");
    assert.deepEqual(rules.filter(({ severity }) => severity === "p0" || severity === "p1"), []);
    assert.deepEqual(unread, []);
  });
});

/** The report on an example as a repository of its own, everything in it committed. */
async function reportOn(name: string, home: string): Promise<Report> {
  const root = join(home, name);
  cpSync(join(ROOT, "examples/readiness", name), root, { recursive: true });
  execFileSync("git", ["init", "-q", root]);
  execFileSync("git", ["-C", root, "add", "--all", "--force"]);
  const { files, unread } = await readRepository(root);
  const repository = new Repository(files, PARSERS);
  for (const one of unread) repository.note(one);
  return reportOf(await audit(repository), repository, {
    repository: name,
    toolVersion: "1.0.0",
    now: new Date("2026-11-21T12:00:00Z"),
  });
}
