// needs: chromium
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser } from "playwright-core";
import type { Judgement } from "../functions/_core/readiness/audit.ts";
import { Repository } from "../functions/_core/readiness/repository.ts";
import type { Area, Evidence, Severity, Status } from "../functions/_core/readiness/rule.ts";
import { type Report, reportSchema } from "../functions/_core/readiness/report/contract.ts";
import { renderHtml } from "../functions/_core/readiness/report/html.ts";
import { renderMarkdown } from "../functions/_core/readiness/report/markdown.ts";
import { reportOf } from "../functions/_core/readiness/report/report.ts";
import { renderSarif } from "../functions/_core/readiness/report/sarif.ts";
import { scoreAreas } from "../functions/_core/readiness/report/score.ts";
import { renderTerminal } from "../functions/_core/readiness/report/terminal.ts";
import { decide, maturityOf } from "../functions/_core/readiness/report/verdict.ts";
import { PARSERS } from "../functions/_core/adapters/readiness-parsers.ts";
import { openPage, startBrowser, violations } from "./support/page.ts";

const KIND = { fail: "gap", warn: "weakness", unknown: "unknown", pass: "strength" } as const;

/** A judgement as a rule would lead to it. */
function judged(
  id: string,
  area: Area,
  rated: Severity,
  status: Status,
  { severity = rated, file = "src/app.ts", message = `${id} is seen`, ignored }: {
    severity?: Severity;
    file?: string;
    message?: string;
    ignored?: Evidence["ignored"];
  } = {},
): Judgement {
  const isOpen = status === "fail" || status === "warn";
  const evidence: Evidence[] = status === "not-applicable" ? [] : [{
    kind: KIND[status],
    file,
    line: 3,
    message,
    ...(isOpen ? { severity } : {}),
    ...(ignored ? { ignored } : {}),
  }];
  return {
    rule: {
      id,
      name: id.toLowerCase(),
      area,
      severity: rated,
      confidence: "high",
      section: 2,
      title: `${id} holds`,
      remedy: `mend ${id}`,
      check: () => ({ status, summary: "", evidence: [] }),
    },
    outcome: { status, summary: message, evidence },
    severity: isOpen ? severity : null,
  };
}

/** So many passes that nothing is thin. */
const solid = (area: Area, count = 10) =>
  Array.from({ length: count }, (_, n) => judged(`OK-${area}-${n}`, area, "p1", "pass"));

const areaOf = (judgements: Judgement[], area: Area) =>
  scoreAreas(judgements).find((one) => one.area === area);

describe("scoreAreas()", () => {
  it("weighs what could be evaluated, and says what could not", () => {
    const area = areaOf([
      judged("A", "db", "p0", "pass"),
      judged("B", "db", "p1", "fail"),
      judged("C", "db", "p2", "warn"),
      judged("D", "db", "p1", "unknown"),
      judged("E", "db", "p1", "not-applicable"),
    ], "db");
    // kept 10 + 0 + 0.5 of 10 + 4 + 1
    assert.deepEqual(area, {
      area: "db",
      score: 70,
      pass: 1,
      warn: 1,
      fail: 1,
      unknown: 1,
      not_applicable: 1,
      is_sufficient: true,
      capped_by: [],
    });
  });

  it("an open P0 holds its area at 39, whatever passes beside it", () => {
    const area = areaOf([...solid("secrets", 50), judged("S", "secrets", "p0", "fail")], "secrets");
    assert.deepEqual([area?.score, area?.capped_by], [39, ["S"]]);
  });

  it("a P0 that is open in tests alone costs a P1 and caps nothing", () => {
    const area = areaOf([
      judged("A", "secrets", "p0", "fail", { severity: "p1" }),
      judged("B", "secrets", "p0", "pass"),
    ], "secrets");
    assert.deepEqual([area?.score, area?.capped_by], [80, []]);
  });

  it("under 60% coverage is insufficient evidence, and so is nothing at all", () => {
    const half = areaOf(
      [judged("A", "ci", "p1", "pass"), judged("B", "ci", "p1", "unknown")],
      "ci",
    );
    assert.equal(half?.is_sufficient, false);
    const none = areaOf([judged("A", "ci", "p1", "unknown")], "ci");
    assert.deepEqual([none?.score, none?.is_sufficient], [null, false]);
    assert.equal(areaOf([], "ci"), undefined);
  });
});

describe("decide()", () => {
  const verdictOf = (judgements: Judgement[]) => decide(judgements, scoreAreas(judgements));
  const answers = (judgements: Judgement[]) =>
    Object.values(verdictOf(judgements)).map(({ answer }) => answer).join();

  it("goes everywhere when all that decides passes", () => {
    const all = [...solid("db"), ...solid("secrets")];
    assert.equal(answers(all), "go,go,go");
    assert.equal(maturityOf(verdictOf(all)), "enterprise");
  });

  it("a P0 that reaches data stops the pilot; one that doesn't stops production", () => {
    const data = [...solid("db"), judged("X", "security", "p0", "fail")];
    assert.equal(answers(data), "no-go,no-go,no-go");
    assert.equal(maturityOf(verdictOf(data)), "prototype");
    assert.deepEqual(verdictOf(data).standard.decided_by, ["X", "security"]);
    const recovery = [...solid("db"), ...solid("dr"), judged("Y", "dr", "p0", "fail")];
    assert.equal(answers(recovery), "go,no-go,no-go");
    assert.equal(maturityOf(verdictOf(recovery)), "pilot");
  });

  it("a P1 stops the enterprise, and standard production where an area falls under 60", () => {
    assert.equal(answers([...solid("db"), judged("X", "db", "p1", "fail")]), "go,go,no-go");
    const low = [...solid("db"), ...["A", "B"].map((id) => judged(id, "auth", "p1", "fail"))];
    assert.equal(answers(low), "go,no-go,no-go");
    assert.match(verdictOf(low).standard.because, /auth at 0/);
  });

  it("what decides and is unknown is unproven, never a go", () => {
    const unknown = [...solid("db"), ...solid("dr"), judged("X", "dr", "p0", "unknown")];
    assert.equal(answers(unknown), "go,unproven,unproven");
    const hinted = [...solid("db"), ...solid("dr"), judged("X", "dr", "p0", "warn")];
    assert.equal(answers(hinted), "go,unproven,unproven");
    const scarce = [...solid("db"), judged("X", "auth", "p2", "unknown")];
    assert.match(verdictOf(scarce).enterprise.because, /insufficient evidence on auth/);
  });

  it("an empty repository is unproven", () => {
    assert.equal(answers([]), "unproven,unproven,unproven");
    assert.equal(maturityOf(verdictOf([])), "prototype");
  });
});

const EVIL = '"><script>alert(1)</script>\u001b[2J\u202e | `x`';

function sample(): Report {
  const files = ["README.md", "src/app.ts", `src/${EVIL}.ts`].map((path) => ({
    path,
    text: "a\nb\nc\n",
    size: 6,
    context: "prod" as const,
    isTracked: true,
  }));
  const repository = new Repository(files, PARSERS);
  const judgements = [
    ...solid("db", 3),
    judged("SEC-99", "secrets", "p0", "fail", { file: `src/${EVIL}.ts`, message: EVIL }),
    judged("CI-99", "ci", "p1", "warn", { file: "SECURITY.md" }),
    judged("DEP-99", "deployment", "p2", "fail"),
    judged("DR-99", "dr", "p0", "unknown"),
    judged("OBS-99", "observability", "p1", "warn", {
      ignored: { reason: "the gateway does it", until: "2027-01-31" },
    }),
    judged("WEB-99", "security", "p1", "not-applicable", { message: "there is no web" }),
  ];
  return reportOf(
    {
      judgements,
      unread: [{ file: "a.yaml", line: 2, reason: "its aliases never end" }],
      files: 3,
      notices: [{ file: EVIL, line: 3, message: "the ignore of CI-98 has expired" }],
    },
    repository,
    { repository: EVIL, toolVersion: "1.2.3", now: new Date("2026-11-21T12:00:00Z") },
  );
}

describe("the report", () => {
  const report: Report = {
    ...sample(),
    since: {
      generated_at: "2026-10-01T00:00:00.000Z",
      fixed: [{ rule: "CI-98", file: "a.yml", message: EVIL }],
      fresh: [],
      unchanged: 2,
    },
  };

  it("is the JSON that the contract describes, and comes back as it left", () => {
    assert.deepEqual(reportSchema.parse(JSON.parse(JSON.stringify(report))), report);
  });

  it("has a fingerprint a place, none twice", () => {
    const all = report.rules.flatMap(({ evidence }) => evidence.map((one) => one.fingerprint));
    assert.equal(new Set(all).size, all.length);
  });

  for (const verbose of [false, true]) {
    it(`fits a terminal of 80 columns, whatever files are called${verbose ? ", verbose" : ""}`, () => {
      const shown = renderTerminal(report, { width: 80, verbose });
      for (const line of shown.split("\n")) assert.ok([...line].length <= 80, line);
      assert.ok(!shown.includes("\u001b") && !shown.includes("\u202e"));
      assert.match(shown, /P0: STOP\n {2}✗ SEC-99 {2}SEC-99 holds/);
      assert.match(shown, /UNDECIDED\n {2}\? DR-99/);
      assert.match(shown, /until 2027-01-31: the gateway does it/);
      assert.match(shown, /Pilot +NO-GO/);
      assert.match(shown, /decided by SEC-99/);
      assert.match(shown, /Maturity +prototype\n$/);
    });
  }

  it("in Markdown keeps hostile names in their cells and lists every file", () => {
    const shown = renderMarkdown(report);
    assert.doesNotMatch(shown.replaceAll(/``.*?``|`[^`\n]*`/g, ""), /(?<!\\)<script/);
    const table = shown.slice(shown.indexOf("## Files")).trimEnd().split("\n").slice(4);
    assert.equal(table.length, report.files.length);
    for (const row of table) assert.equal(row.match(/(?<!\\)\|/g)?.length, 4, row);
    assert.match(shown, /\| Enterprise production \| \*\*NO-GO\*\* \|/);
    assert.match(shown, /- \[ \] SEC-99: mend SEC-99/);
  });

  it("in SARIF has a place that exists for each open one, the heaviest first", () => {
    const { runs: [run] } = JSON.parse(JSON.stringify(renderSarif(report)));
    const seen = run.results.map((one: Record<string, never>) => {
      const { ruleId, level, locations: [{ physicalLocation }] } = JSON.parse(JSON.stringify(one));
      return [ruleId, level, decodeURIComponent(physicalLocation.artifactLocation.uri)];
    });
    assert.deepEqual(seen, [
      ["SEC-99", "error", `src/${EVIL}.ts`],
      ["CI-99", "warning", "README.md"],
      ["OBS-99", "warning", "src/app.ts"],
      ["DEP-99", "note", "src/app.ts"],
    ]);
    assert.equal(run.results[2].suppressions[0].kind, "external");
    assert.ok(
      run.results.every((one: { ruleIndex: number; ruleId: string }) =>
        run.tool.driver.rules[one.ruleIndex].id === one.ruleId
      ),
    );
  });
});

describe("the page", () => {
  let browser: Browser;
  const html = renderHtml(sample());
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser?.close());

  it("runs nothing that a repository wrote", async () => {
    assert.doesNotMatch(html, /<script/);
    await using shown = await openPage(browser, html, { colorScheme: "light", width: 1280 });
    assert.deepEqual(shown.errors, []);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1280, 360]) {
      it(`is accessible and fits, ${colorScheme}, ${width} pixels wide`, async () => {
        await using shown = await openPage(browser, html, { colorScheme, width });
        await shown.page.evaluate("document.querySelector('details').open = true");
        assert.deepEqual(await violations(shown.page), []);
        const [content, view] = await shown.page.evaluate(
          "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
        ) as [number, number];
        assert.ok(content <= view, `${content} pixels in ${view}`);
      });
    }
  }

  it("prints black on white", async () => {
    await using shown = await openPage(browser, html, { colorScheme: "dark", width: 1280 });
    await shown.page.emulateMedia({ media: "print", colorScheme: "dark" });
    const colours = await shown.page.evaluate(
      "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]",
    );
    assert.deepEqual(colours, ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
  });
});
