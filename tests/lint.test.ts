import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { RULES } from "../functions/_core/lint/rules.ts";
import { fixtures, found, lintFiles } from "./support/lint-fixtures.ts";
import { ROOT } from "./support/sql-files.ts";

const all = fixtures();

describe("fixtures", () => {
  for (const { name, idea, files, expected } of all) {
    it(`${name}: ${idea}`, async () => {
      const result = await lintFiles(files);
      assert.deepEqual(result.unread, []);
      assert.deepEqual(found(result), expected);
    });
  }

  it("show every rule at least once, and look-alikes for silence", () => {
    const shown = new Set(all.flatMap((one) => one.expected.map((line) => line.split(" ")[1])));
    for (const { id } of RULES) assert.ok(shown.has(id.slice("lint/".length)), id);
    for (const { name, expected } of all) {
      // Many look-alikes need a service client to look like something.
      const own = expected.filter((line) => !line.startsWith("lib/admin.ts:"));
      assert.equal(own.length === 0, name.startsWith("ok-"), name);
    }
  });
});

describe("docs/lint.md", () => {
  const text = readFileSync(join(ROOT, "docs/lint.md"), "utf8");
  for (const { id, severity } of RULES) {
    it(`has a section on ${id}`, () => {
      const section = text.split("\n### ").find((one) => one.startsWith(`${id}\n`)) ?? "";
      assert.match(section, new RegExp(`^\\*\\*Summary\\*\\* \\(${severity}\\): `, "m"));
      for (const part of ["Why", "How to fix", "Example", "False positives"]) {
        assert.ok(section.includes(`\n**${part}**:`), part);
      }
    });
  }
});

describe("bulkhead lint", () => {
  it("is clean on this repository", async () => {
    const { code, stdout } = await bulkheadLint(ROOT);
    assert.equal(code, 0, stdout);
  });
});

function bulkheadLint(
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [
      "--import",
      "tsx",
      join(ROOT, "scripts/cli.ts"),
      "lint",
      ...args,
    ], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data) => stdout += data);
    child.stderr.on("data", (data) => stderr += data);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}
