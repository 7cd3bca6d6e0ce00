import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { RULES } from "../functions/_core/readiness/rules/index.ts";
import { type Cases, check } from "./support/readiness-cases.ts";
import { ROOT } from "./support/sql-files.ts";

const home = join(ROOT, "tests/readiness");

for (const rule of RULES) {
  const stem = `${rule.id.toLowerCase()}-${rule.name}`;
  describe(`${rule.id} ${rule.name}`, async () => {
    const file = join(home, `${stem}.ts`);
    const { cases }: { cases: Cases } = await import(pathToFileURL(file).href);
    it("has cases of its own, an offender and a look-alike among them", () => {
      assert.equal(cases.rule, rule.id);
      const statuses = Object.values(cases.cases).map(({ status }) => status);
      assert.ok(statuses.some((one) => one === "fail" || one === "warn"), "no offender");
      assert.ok(statuses.some((one) => one !== "fail" && one !== "warn"), "no look-alike");
    });
    for (const [name, one] of Object.entries(cases.cases)) it(name, () => check(rule.id, one));
    it("has a page", () => {
      const page = readFileSync(join(ROOT, `docs/readiness/${stem}.md`), "utf8");
      assert.ok(page.startsWith(`# ${rule.id} ${rule.name}\n`), "its title");
      for (const part of ["Summary", "Why", "How to fix", "Example", "False positives"]) {
        assert.ok(page.includes(`\n**${part}**`), part);
      }
    });
  });
}

describe("the rules", () => {
  it("stand in the index with what each asks", () => {
    const index = readFileSync(join(ROOT, "docs/readiness/README.md"), "utf8").replace(/ +/g, " ");
    for (const { id, name, title, severity } of RULES) {
      const page = `${id.toLowerCase()}-${name}.md`;
      const row = `| [${id}](${page}) | ${severity.toUpperCase()} | ${title} |`;
      assert.ok(index.includes(row.replace(/ +/g, " ")), row);
    }
  });
  const stems = new Set(RULES.map(({ id, name }) => `${id.toLowerCase()}-${name}`));
  it("have an id and a name each", () => {
    assert.equal(stems.size, RULES.length);
    assert.equal(new Set(RULES.map(({ id }) => id)).size, RULES.length);
    assert.equal(new Set(RULES.map(({ name }) => name)).size, RULES.length);
  });
  for (
    const [folder, end] of [["functions/_core/readiness/rules", ".ts"], ["docs/readiness", ".md"], [
      "tests/readiness",
      ".ts",
    ]] as const
  ) {
    it(`are all there is in ${folder}`, () => {
      assert.ok(existsSync(join(ROOT, folder)));
      for (const file of readdirSync(join(ROOT, folder))) {
        if (["index.ts", "README.md"].includes(file)) continue;
        assert.ok(stems.has(file.slice(0, -end.length)), file);
      }
    });
  }
});
