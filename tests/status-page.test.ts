// needs: chromium
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { readActivity } from "../functions/_core/adapters/activity-source.ts";
import { connect } from "../functions/_core/adapters/postgres.ts";
import { readStatus } from "../functions/_core/adapters/status-source.ts";
import { type Activity, HISTORY_HOURS } from "../functions/_core/status/activity.ts";
import { historyChart, historyInWords } from "../functions/_core/status/charts.ts";
import { ageOf } from "../functions/_core/status/escape.ts";
import { statusHandler } from "../functions/_core/status/handler.ts";
import { renderMetrics } from "../functions/_core/status/metrics.ts";
import { openPage, startBrowser, violations } from "./support/page.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

const TOKEN = "t".repeat(40);
/** A picture differs with each font: the documents' are drawn on request. */
const DRAW = process.env["BULKHEAD_UPDATE_SNAPSHOT"] !== undefined;
const TENANT = "11111111-1111-4111-8111-111111111111";

describe("the status page of a project with a history", () => {
  let server: Server;
  let browser: Browser;
  let activity: Activity;
  let pages: { detail: string; summary: string; metrics: string; contentType: string };

  before(async () => {
    server = await startPostgres();
    const db = await openhouseDatabase(server, { rows: 300 });
    await withSql(db.url, async (sql) => {
      for (const hours of [26, 3, 2, 0]) {
        await sql`select bulkhead.run_canaries('five_minutes', now() - make_interval(hours => ${hours}))`;
      }
      await sql`select bulkhead.seal()`;
      await sql`alter table public.messages no force row level security`;
      await sql`
        select bulkhead.record_results(array(select f from bulkhead.findings('boundary') as f), now() - interval '3 hours')`;
      await sql`
        insert into bulkhead.tenant_backups values
          (${TENANT}, '20261120T020000Z-0000aaaa', '2026-11-20T02:00:00Z'),
          ('<b>&"', '20261119T020000Z-0000bbbb', '2026-11-19T02:00:00Z')`;
      await sql`
        insert into bulkhead.drills (backup_id, started_at, finished_at, is_passed, restored_rows, tests, rpo_seconds, rto_seconds, report)
        values ('20261101T020000Z-0000cccc', '2026-11-01T05:00:00Z', '2026-11-01T05:04:00Z', true, 1234, 31, 10800, 240, '{}')`;
    });
    const sql = connect(db.url, { max: 1, applicationName: "status page" });
    const handler = statusHandler(() => ({
      load: () => readStatus(sql),
      loadActivity: () => readActivity(sql),
      now: () => new Date(),
      token: TOKEN,
    }));
    const get = async (path: string, isTrusted: boolean) => {
      const headers = isTrusted ? { authorization: `Bearer ${TOKEN}` } : {};
      const answer = await handler(new Request(`http://h/status${path}`, { headers }));
      assert.equal(answer.status, 200, path);
      return answer;
    };
    const metrics = await get("/metrics", true);
    pages = {
      detail: await (await get("/", true)).text(),
      summary: await (await get("/", false)).text(),
      contentType: metrics.headers.get("content-type") ?? "",
      metrics: await metrics.text(),
    };
    ({ activity } = await (await get("/status.json", true)).json());
    assert.equal((await handler(new Request("http://h/status/metrics"))).status, 401);
    await sql.end();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("/status.json says what happened lately", () => {
    assert.deepEqual(activity.tenants.map(({ tenant }) => tenant), ['<b>&"', TENANT]);
    assert.equal(activity.drills[0]?.rows, 1234);
    assert.match(activity.ledger.head, /^[0-9a-f]{64}$/);
    assert.ok(activity.ledger.seals > 0);
    const orphans = activity.canaries.find(({ name }) => name === "orphaned_rows");
    assert.equal(orphans?.hours.length, HISTORY_HOURS);
    assert.equal(orphans?.hours.at(-1), "pass");
    assert.equal(orphans?.hours.filter((hour) => hour !== null).length, 4);
    const [open] = activity.incidents;
    assert.deepEqual([open?.name, open?.subject, open?.resolved_at], [
      "rls_not_forced",
      "public.messages",
      null,
    ]);
  });

  test("/metrics is OpenMetrics, without a tenant's or a table's name", () => {
    assert.match(pages.contentType, /^application\/openmetrics-text/);
    assert.ok(pages.metrics.endsWith("\n# EOF\n"));
    const seen = new Set<string>();
    for (const line of pages.metrics.trimEnd().split("\n").slice(0, -1)) {
      assert.match(
        line,
        /^(# (TYPE|UNIT|HELP) bulkhead_\w+ .+|bulkhead_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?\d+(\.\d+)?)$/,
      );
      assert.ok(!seen.has(line), line);
      seen.add(line);
    }
    assert.match(pages.metrics, /^bulkhead_drill_passed 1$/m);
    assert.match(pages.metrics, /^bulkhead_drill_rto_seconds 240$/m);
    assert.doesNotMatch(pages.metrics, /1111-|messages/);
  });

  test("a finding says since when", () => {
    assert.match(pages.detail, /<code>rls_not_forced<\/code> · for 3 hours</);
  });

  test("shows nobody a tenant without the secret", () => {
    assert.doesNotMatch(pages.summary, /1111-|#60;b|Restore drills/);
    assert.match(pages.detail, /1111-/);
    assert.doesNotMatch(pages.detail, /<b>&"/);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1280, 360]) {
      test(`is accessible and fits, ${colorScheme}, ${width} pixels wide`, async () => {
        for (const html of [pages.detail, pages.summary]) {
          await using shown = await openPage(browser, html, { colorScheme, width });
          assert.deepEqual(shown.errors, []);
          assert.deepEqual(await violations(shown.page), []);
          const [content, view] = await shown.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
          ) as [number, number];
          assert.ok(content <= view, `${content} pixels in ${view}`);
        }
      });
    }
  }

  test("looks as in docs/status.md", async () => {
    const folder = new URL("../docs/images/", import.meta.url);
    for (const colorScheme of ["light", "dark"] as const) {
      const html = pages.detail.replaceAll(/test_[0-9a-f]+/g, "postgres");
      await using shown = await openPage(browser, html, { colorScheme, width: 1040 });
      await shown.page.setViewportSize({ width: 1040, height: 720 });
      const picture = await shown.page.screenshot();
      const file = new URL(`status-${colorScheme}.png`, folder);
      if (DRAW) writeFileSync(file, picture);
      // The same view, to the pixel's size; each font draws it a little differently.
      const size = (png: Buffer) => [png.readUInt32BE(16), png.readUInt32BE(20)];
      assert.deepEqual(size(readFileSync(file)), size(picture));
    }
  });

  test("prints black on white, charts with it", async () => {
    await using shown = await openPage(browser, pages.detail, { colorScheme: "dark", width: 1280 });
    await shown.page.emulateMedia({ media: "print", colorScheme: "dark" });
    const [paper, ink] = await shown.page.evaluate(
      "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]",
    ) as string[];
    assert.deepEqual([paper, ink], ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
    const pdf = await shown.page.pdf({ format: "A4" });
    assert.ok(pdf.length > 10_000);
  });

  test("the checks of this suite see a page that is wrong", async () => {
    const wrong = pages.detail.replace('lang="en"', "").replace("<h2", '<img src="data:,"><h2');
    await using shown = await openPage(browser, wrong, { colorScheme: "light", width: 1280 });
    const found = await violations(shown.page);
    assert.ok(found.some((one) => one.startsWith("html-has-lang")));
    assert.ok(found.some((one) => one.startsWith("image-alt")));
  });
});

test("a chart says in words and shapes what it says in colour", () => {
  const hours = [...Array(HISTORY_HOURS - 3).fill(null), "pass", "fail", "unknown"];
  assert.equal(
    historyInWords(hours),
    "of 48 hours: 1 passed, 1 failed, 1 unknown, 45 without a run",
  );
  assert.equal(historyInWords(Array(HISTORY_HOURS).fill(null)), "no run in 48 hours");
  const bars = [
    ...historyChart(hours).matchAll(/class="(\w+)" x="(\d+)" y="(\d+)" .*? height="(\d+)"/g),
  ];
  assert.deepEqual(bars.map(([, ...bar]) => bar.join()), [
    "pass,270,11,8",
    "fail,276,0,19",
    "unknown,282,6,8",
  ]);
});

test("ageOf() speaks in the largest unit, and never of the future", () => {
  const now = "2026-11-21T12:00:00Z";
  assert.equal(ageOf("2026-11-19T11:00:00Z", now), "2 days");
  assert.equal(ageOf("2026-11-21T10:59:00Z", now), "1 hour");
  assert.equal(ageOf("2026-11-21T11:59:30Z", now), "less than a minute");
  assert.equal(ageOf("2026-11-21T13:00:00Z", now), "less than a minute");
});

test("a label of a metric is escaped", () => {
  const text = renderMetrics(
    {
      verdict: "red",
      checked_at: "2026-11-21T12:00:00Z",
      category: null,
      database: "x",
      server_version: "17",
      counts: { pass: 0, fail: 0, unknown: 0 },
      checks: [],
    },
    {
      incidents: [],
      canaries: [{
        name: 'a"\\\n',
        title: "",
        hours: Array(HISTORY_HOURS).fill(null),
        last_run_at: "2026-11-21T12:00:00Z",
      }],
      tenants: [],
      verified: null,
      drills: [],
      ledger: { head: "", seals: 0, sealed_at: null, anchored_at: null },
      migration: null,
    },
  );
  assert.ok(text.includes('{canary="a\\"\\\\\\n"} 1795262400'));
});
