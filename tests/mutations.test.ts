import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { benignChanges } from "./mutations/benign.ts";
import { mutations, mutationSuite } from "./mutations/suite.ts";

mutationSuite(17);

describe("the corpus", () => {
  it("has at least 80 mutations and 15 benign changes, each named once", () => {
    assert.ok(mutations.length >= 80, `${mutations.length}`);
    assert.ok(benignChanges.length >= 15);
    const names = mutations.map((each) => `${each.class}: ${each.name}`);
    assert.equal(new Set(names).size, names.length);
  });

  it("breaks every structural rule but those about missing preconditions", () => {
    const text = readFileSync(new URL("../migrations/007_status.sql", import.meta.url), "utf8");
    const rules = [...text.matchAll(/^ {4}\('(\w+)',\s+'(?:boundary|trail|guard|schedule)'/gm)]
      .map(([, name]) => name ?? "");
    const elsewhere = [
      "kit_installed",
      "tables_protected",
      "seal_lag",
      "seal_broken",
      "job_failed",
      "job_overdue",
    ];
    const broken = new Set([...mutations.map(({ finds }) => finds), ...elsewhere]);
    assert.deepEqual(rules.filter((rule) => !broken.has(rule)), []);
  });
});
