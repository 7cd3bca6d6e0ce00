import assert from "node:assert/strict";
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
