import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { audit } from "../functions/_core/readiness/audit.ts";
import { readIgnores } from "../functions/_core/readiness/ignore.ts";
import { conclude, type Evidence, type Rule } from "../functions/_core/readiness/rule.ts";
import { compare, makeBaseline } from "../functions/_core/readiness/report/baseline.ts";
import { reportOf } from "../functions/_core/readiness/report/report.ts";
import { sinceReport } from "../functions/_core/readiness/report/since.ts";
import { repositoryOf } from "./support/readiness-cases.ts";

const NOW = new Date("2026-11-21T12:00:00Z");

/** A rule that has a gap at each line with the word BAD, and a strength at each with GOOD. */
function wordRule(id: string): Rule {
  return {
    id,
    name: id.toLowerCase(),
    area: "ci",
    severity: "p0",
    confidence: "high",
    section: 4,
    title: "nothing is bad",
    remedy: "mend it",
    check(repository) {
      const evidence = repository.files.flatMap(({ path, text }) =>
        (text ?? "").split("\n").flatMap((line, index): Evidence[] => {
          const word = /BAD|GOOD|HAZY/.exec(line)?.[0];
          if (word === undefined || line.includes("bulkhead-ignore") && !line.includes("BAD")) {
            return [];
          }
          const kind = word === "BAD" ? "gap" : word === "GOOD" ? "strength" : "unknown";
          return [{ kind, file: path, line: index + 1, message: line.trim().slice(0, 20) }];
        })
      );
      return conclude(evidence, { status: "unknown", summary: "nothing is there" });
    },
  };
}

const RULES = [wordRule("CI-01"), wordRule("CI-02")];

async function audited(files: Record<string, string>, now = NOW) {
  const repository = repositoryOf(files);
  const ignores = readIgnores(repository, RULES.map(({ id }) => id), now);
  const found = await audit(repository, { rules: RULES, ignores });
  const report = reportOf(found, repository, { repository: "a", toolVersion: "1.0.0", now });
  const [first, second] = report.rules;
  assert.ok(first && second);
  return { first, second, report, notices: report.notices.map(({ message }) => message) };
}

const TERMS = "until 2027-01-31: the vendor signs it";

describe("an ignore in a comment", () => {
  for (
    const [language, file, text] of [
      ["YAML", "a.yml", `a: BAD # bulkhead-ignore CI-01 ${TERMS}\n`],
      ["Python, the line before", "a.py", `# bulkhead-ignore CI-01 ${TERMS}\nBAD = 1\n`],
      ["TypeScript", "a.ts", `// bulkhead-ignore CI-01 ${TERMS}\n// and why\n\nBAD();\n`],
      ["a block", "a.ts", `/* bulkhead-ignore CI-01 ${TERMS} */\nBAD();\n`],
      ["a block's second line", "a.ts", `/**\n * bulkhead-ignore CI-01 ${TERMS}\n */\nBAD();\n`],
      ["JSX", "a.tsx", `  {/* bulkhead-ignore CI-01 ${TERMS} */}\n  <BAD />\n`],
      ["SQL", "a.sql", `select BAD; -- bulkhead-ignore CI-01 ${TERMS}\n`],
      ["HTML", "a.html", `<!-- bulkhead-ignore CI-01 ${TERMS} -->\n<b>BAD</b>\n`],
      ["ini", "a.ini", `; bulkhead-ignore CI-01 ${TERMS}\nBAD = 1\n`],
      ["Windows lines", "a.yml", `# bulkhead-ignore CI-01 ${TERMS}\r\na: BAD\r\n`],
    ] as const
  ) {
    it(`covers its line: ${language}`, async () => {
      const { first, second, notices } = await audited({ [file]: text });
      const ignored = first.evidence.find(({ kind }) => kind === "gap")?.ignored;
      assert.deepEqual(ignored, { reason: "the vendor signs it", until: "2027-01-31" });
      assert.equal(first.status, "unknown", "answered for is not proven");
      assert.equal(first.severity, null);
      assert.equal(second.status, "fail", "another rule is not meant");
      assert.deepEqual(notices, []);
    });
  }

  it("names several rules", async () => {
    const { first, second } = await audited({
      "a.yml": `a: BAD # bulkhead-ignore CI-01, CI-02 ${TERMS}\n`,
    });
    assert.deepEqual([first.status, second.status], ["unknown", "unknown"]);
  });

  it("covers no other line, no other file, and never makes a pass", async () => {
    const { first } = await audited({
      "a.yml": `a: BAD # bulkhead-ignore CI-01 ${TERMS}\nb: BAD\nc: GOOD\n`,
      "b.yml": "a: BAD\n",
    });
    assert.equal(first.status, "fail");
    assert.equal(
      first.evidence.filter(({ kind, ignored }) => kind === "gap" && !ignored).length,
      2,
    );
    const rest = await audited({ "a.yml": `a: BAD # bulkhead-ignore CI-01 ${TERMS}\nc: GOOD\n` });
    assert.equal(rest.first.status, "unknown");
    assert.match(rest.first.summary, /ignored until 2027-01-31/);
  });

  for (
    const [what, terms, says] of [
      ["no date", ": the vendor signs it", /needs a last day/],
      ["no reason", " until 2027-01-31", /needs a last day|needs a reason/],
      ["hardly a reason", " until 2027-01-31: ok", /reason of ten characters/],
      ["a day that is none", " until 2027-02-31: the vendor signs it", /needs a last day/],
      ["no day at all", " until forever: the vendor signs it", /needs a last day/],
      ["a day too far", " until 2028-01-01: the vendor signs it", /more than a year/],
      ["yesterday", " until 2026-11-20: the vendor signs it", /expired on 2026-11-20/],
      ["today", " until 2026-11-21: the vendor signs it", null],
    ] as const
  ) {
    it(`${says ? "counts for nothing, and is said," : "counts"} with ${what}`, async () => {
      const { first, notices } = await audited({
        "a.yml": `a: BAD # bulkhead-ignore CI-01${terms}\n`,
      });
      assert.equal(first.status, says ? "fail" : "unknown");
      if (says) assert.match(notices[0] ?? "", says);
      else assert.deepEqual(notices, []);
    });
  }

  it("is said when it covers nothing, or names no rule; bulkhead lint's own are not its concern", async () => {
    const { notices } = await audited({
      "a.yml": `a: fine # bulkhead-ignore CI-01 ${TERMS}\nb: 1 # bulkhead-ignore ZZ-99 ${TERMS}\n`,
      "b.ts": "// bulkhead-ignore service-write: nightly clean-up\n",
    });
    assert.deepEqual(notices.toSorted(), [
      "the ignore of CI-01 covers nothing that is open",
      "the ignore of ZZ-99 counts for nothing: there is no such rule",
    ]);
  });
});

describe("an ignore in bulkhead-readiness.toml", () => {
  const entry = (path: string, more = "") =>
    `[[ignore]]\nrule = "CI-01"\n${path}reason = "the vendor signs it"\nuntil = 2027-01-31\n${more}`;

  it("covers the files of its path", async () => {
    const { first } = await audited({
      "bulkhead-readiness.toml": entry('path = "legacy/"\n'),
      "legacy/deep/a.yml": "BAD\n",
      "src/a.yml": "BAD\n",
    });
    assert.deepEqual(first.evidence.map(({ file, ignored }) => [file, ignored !== undefined]), [
      ["legacy/deep/a.yml", true],
      ["src/a.yml", false],
    ]);
  });

  it("covers the whole of a rule without one, even where it has no place", async () => {
    const files = { "bulkhead-readiness.toml": entry(""), "a.yml": "fine\n" };
    const { first, second } = await audited(files);
    assert.equal(first.evidence[0]?.ignored?.until, "2027-01-31");
    assert.equal(first.status, "unknown");
    assert.deepEqual(second.evidence, []);
  });

  it("takes a date as text too, and says which entry is wrong", async () => {
    const { first, report } = await audited({
      "bulkhead-readiness.toml": entry("").replace("2027-01-31", '"2027-01-31"') +
        '\n[[ignore]]\nrule = "CI-02"\nuntil = 2020-01-01\nreason = "long ago and over"\n',
      "a.yml": "BAD\n",
    });
    assert.equal(first.status, "unknown");
    assert.deepEqual(report.notices.map(({ file, line }) => [file, line]), [
      ["bulkhead-readiness.toml", 6],
    ]);
  });

  it("is refused where it is malformed", async () => {
    for (
      const text of [
        "[[ignore",
        "[[ignore]]\n",
        '[[ignore]]\nrule = "CI-01"\nfile = "a"\n',
        "a = 1\n",
      ]
    ) {
      await assert.rejects(audited({ "bulkhead-readiness.toml": text }), {
        code: "BH_READINESS_CONFIG",
      });
    }
  });
});

describe("baseline and --since", () => {
  it("know a place again on another line, and see what is new and what is gone", async () => {
    const before = await audited({ "a.yml": "a: BAD\nb: BAD\n", "b.yml": "c: BAD\n" });
    const after = await audited({ "a.yml": "# more\n\na: BAD\nd: BAD\n", "b.yml": "c: BAD\n" });
    const own = sinceReport(after.report, before.report);
    assert.deepEqual(own.fixed.map(({ rule, message }) => `${rule} ${message}`), [
      "CI-01 b: BAD",
      "CI-02 b: BAD",
    ]);
    assert.equal(own.fresh.length, 2);
    assert.equal(own.unchanged, 4);
    const { fresh, known, gone } = compare(after.report, makeBaseline(before.report));
    assert.deepEqual(fresh.map(({ evidence }) => evidence.message), ["d: BAD", "d: BAD"]);
    assert.deepEqual([known, gone], [4, 2]);
  });

  it("call nothing fixed that is ignored now, or that can't be decided any more", async () => {
    const before = await audited({ "a.yml": "a: BAD\n" });
    const ignored = await audited({ "a.yml": `a: BAD # bulkhead-ignore CI-01, CI-02 ${TERMS}\n` });
    const hazy = await audited({ "a.yml": "a: HAZY\n" });
    for (const { report } of [ignored, hazy]) {
      assert.deepEqual(sinceReport(report, before.report).fixed, []);
      assert.equal(sinceReport(report, before.report).unchanged, 2);
    }
    const mended = await audited({ "a.yml": "a: GOOD\n" });
    assert.equal(sinceReport(mended.report, before.report).fixed.length, 2);
  });
});
