import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { BulkheadError } from "../functions/_core/errors.ts";
import { sign, SIGNATURE_HEADER } from "../functions/_core/signature.ts";
import type { Activity } from "../functions/_core/status/activity.ts";
import {
  type Check,
  publicStatus,
  type StatusReport,
  statusReport,
} from "../functions/_core/status/contract.ts";
import { statusHandler } from "../functions/_core/status/handler.ts";
import { renderHtml } from "../functions/_core/status/html.ts";
import { renderMarkdown } from "../functions/_core/status/markdown.ts";
import { toSarif } from "../functions/_core/status/sarif.ts";
import { publicSummary, verdictOf } from "../functions/_core/status/summary.ts";
import { renderTerminal } from "../functions/_core/status/terminal.ts";
import { startFunctions } from "./support/functions-host.ts";
import {
  cloneOf,
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

const pass: Check = {
  name: "rls_forced",
  subject: "database",
  title: "Row level security is forced",
  severity: "critical",
  category: "boundary",
  status: "pass",
  observed: 0,
  threshold: 0,
  detail: "6 tables",
  remediation: null,
  sample_ids: [],
  reproduce_sql: null,
  fingerprint: "a1",
};
const fail: Check = {
  ...pass,
  name: "anon_policy",
  subject: 'public."<b>`x`|\u001b[31m"',
  title: "No policy for anon",
  status: "fail",
  detail: "acme-corp & sons may be read",
  remediation: 'drop policy "<script>" on public.t;',
  sample_ids: ["s1"],
  reproduce_sql: "select 1",
  fingerprint: "b2",
};
const open: Check = {
  ...pass,
  name: "seal_lag",
  category: "trail",
  status: "unknown",
  detail: "nobody knows",
  fingerprint: "c3",
};

function reportOf(checks: Check[]): StatusReport {
  const count = (status: string) => checks.filter((check) => check.status === status).length;
  return {
    verdict: verdictOf(checks),
    checked_at: "2026-11-21T03:00:00.123Z",
    category: null,
    database: "openhouse",
    server_version: "17.10",
    counts: { pass: count("pass"), fail: count("fail"), unknown: count("unknown") },
    checks,
  };
}
const red = reportOf([pass, fail, open]);
const quiet: Activity = {
  incidents: [],
  canaries: [],
  tenants: [],
  verified: null,
  drills: [],
  ledger: { head: "00".repeat(32), seals: 0, sealed_at: null, anchored_at: null },
  migration: null,
};

describe("the verdict", () => {
  test("is red for one failure, unknown for one question and for no check at all, green else", () => {
    assert.equal(verdictOf([pass, open, fail]), "red");
    assert.equal(verdictOf([pass, open]), "unknown");
    assert.equal(verdictOf([]), "unknown");
    assert.equal(verdictOf([pass]), "green");
  });

  test("is public without subjects, details or tenants", () => {
    const text = JSON.stringify(publicStatus.parse(publicSummary(red)));
    assert.doesNotMatch(text, /public\.|acme|policy|s1/);
    assert.deepEqual(publicSummary(red).categories[0], {
      category: "boundary",
      verdict: "red",
      pass: 1,
      fail: 1,
      unknown: 0,
    });
  });
});

describe("renderTerminal()", () => {
  test("keeps to 80 columns, without colour and without the escape codes of a table's name", () => {
    const text = renderTerminal(red);
    assert.ok(!text.includes("\u001b"));
    for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(text, /✗ No policy for anon/);
    assert.match(text, /fix: drop policy/);
    assert.match(text, /RED {2}1 pass, 1 fail, 1 unknown/);
  });

  test("colours when asked, and leaves out what passes when quiet", () => {
    assert.ok(renderTerminal(red, { colour: true }).includes("\u001b[31m✗"));
    assert.doesNotMatch(
      renderTerminal(red, { quiet: true }),
      /Row level security is forced\s+6 tables/,
    );
  });
});

describe("renderHtml()", () => {
  const html = renderHtml(red);

  test("escapes what the database says", () => {
    assert.doesNotMatch(html, /<script>|<b>`x`/);
    assert.match(html, /&#60;script&#62;/);
  });

  test("needs nothing from outside and runs no script", () => {
    assert.doesNotMatch(html, /<script|<link[^>]+stylesheet|@import|url\(|src=|https?:\/\//);
    assert.match(html, /default-src 'none'/);
  });

  test("says in words what colour says", () => {
    assert.match(html, /<h1>Red<\/h1>/);
    assert.match(html, />Fail<\/span>/);
    assert.match(html, /<html lang="en">/);
    assert.equal((html.match(/<h1/g) ?? []).length, 1);
  });
});

test("every rule has a page with its summary, ramification, resolution and example", async () => {
  const sql = await readFile(new URL("../migrations/007_status.sql", import.meta.url), "utf8");
  const rules = [...sql.matchAll(/^ {4}\('(\w+)',\s+'(?:boundary|trail|guard|schedule)'/gm)].map((
    [, name],
  ) => name ?? "");
  assert.ok(rules.length >= 45);
  for (const name of [...rules, "checks_missing", "checks_failed"]) {
    const page = await readFile(new URL(`../docs/checks/${name}.md`, import.meta.url), "utf8");
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    assert.deepEqual(headings, ["Summary", "Ramification", "How to resolve", "Example"], name);
    assert.match(page, new RegExp(`^# .+\\n\\n\`${name}\`\\n`));
  }
});

test("renderMarkdown() fences SQL so that nothing in it ends the fence", () => {
  const text = renderMarkdown(reportOf([{ ...fail, remediation: "select '```';" }]));
  assert.match(text, /````sql\n {2}select '```';\n {2}````/);
  assert.match(text, /🔴 RED/);
});

test("toSarif() lists what does not pass: failures with a level, questions as open", () => {
  const sarif = JSON.parse(JSON.stringify(toSarif(red, "0.1.0")));
  const [run] = sarif.runs;
  assert.equal(sarif.version, "2.1.0");
  assert.deepEqual(
    run.results.map((
      result: { ruleId: string; kind: string; level: string },
    ) => [result.ruleId, result.kind, result.level]),
    [["anon_policy", "fail", "error"], ["seal_lag", "open", "none"]],
  );
  for (const result of run.results) {
    assert.equal(run.tool.driver.rules[result.ruleIndex].id, result.ruleId);
  }
});

describe("the status function", () => {
  const secret = "0f".repeat(32);
  const token = "t".repeat(40);
  const now = new Date("2026-11-21T03:00:00Z");
  let loads = 0;
  const handler = (load = () => Promise.resolve(red), at = () => now) =>
    statusHandler(() => ({
      load: () => {
        loads += 1;
        return load();
      },
      loadActivity: () => Promise.resolve(quiet),
      now: at,
      hmacSecret: secret,
      token,
    }));
  const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
    handler()(new Request(`https://x.supabase.co${path}`, { headers, method }));

  test("shows everybody the verdict and nobody a table", async () => {
    const answer = await get("/status/status.json");
    assert.equal(answer.status, 200);
    const text = await answer.text();
    assert.equal(publicStatus.parse(JSON.parse(text)).verdict, "red");
    assert.doesNotMatch(text, /public\./);
    const page = await get("/status");
    assert.match(page.headers.get("content-type") ?? "", /text\/html/);
    assert.doesNotMatch(await page.text(), /acme|public\./);
  });

  test("shows details to the holder of the token, and of a signature over the path", async () => {
    const byToken = await get("/functions/v1/status/status.json", {
      authorization: `Bearer ${token}`,
    });
    assert.deepEqual(statusReport.parse(await byToken.json()), red);
    const signed = await get("/status/", { [SIGNATURE_HEADER]: await sign(secret, "GET /", now) });
    assert.match(await signed.text(), /acme-corp/);
  });

  test("refuses a wrong token and a wrong, foreign or old signature with 401, never with the public page", async () => {
    const wrong: Record<string, string>[] = [
      { authorization: "Bearer nope" },
      { authorization: `Bearer ${token}x` },
      { [SIGNATURE_HEADER]: "garbage" },
      { [SIGNATURE_HEADER]: await sign(secret, "GET /status.json", now) },
      { [SIGNATURE_HEADER]: await sign("1e".repeat(32), "GET /", now) },
      { [SIGNATURE_HEADER]: await sign(secret, "GET /", new Date(now.getTime() - 301_000)) },
    ];
    for (const headers of wrong) {
      const answer = await get("/status", headers);
      assert.equal(answer.status, 401, JSON.stringify(headers));
      assert.deepEqual(Object.keys(await answer.json()), ["code", "message"]);
    }
  });

  test("takes the platform's own JWT for no credential of ours", async () => {
    const answer = await get("/status/status.json", { authorization: "Bearer aa.bb.cc" });
    assert.equal(answer.status, 200);
    publicStatus.parse(await answer.json());
  });

  test("answers 405 to a write and 404 to another path, as JSON", async () => {
    const post = await get("/status", {}, "POST");
    assert.equal(post.status, 405);
    assert.equal(post.headers.get("allow"), "GET, HEAD");
    assert.equal((await post.json()).code, "BH_METHOD");
    assert.equal((await get("/status/etc/passwd")).status, 404);
  });

  test("asks the database once in half a minute for everybody without a secret", async () => {
    let time = now.getTime();
    const shared = handler(undefined, () => new Date(time));
    const before = loads;
    await Promise.all(
      ["/", "/status.json", "/healthz"].map((path) =>
        shared(new Request(`http://h/status${path}`))
      ),
    );
    assert.equal(loads - before, 1);
    time += 31_000;
    await shared(new Request("http://h/status"));
    assert.equal(loads - before, 2);
  });

  test("answers 503 without detail when the database is away, and recovers", async (context) => {
    context.mock.method(console, "error", () => {});
    let isAway = true;
    const away = handler(() =>
      isAway
        ? Promise.reject(
          new BulkheadError("BH_DATABASE_UNAVAILABLE", "Cannot reach db.internal:5432", {
            kind: "unavailable",
            hint: "",
          }),
        )
        : Promise.resolve(red)
    );
    const answer = await away(new Request("http://h/status/healthz"));
    assert.equal(answer.status, 503);
    assert.deepEqual(await answer.json(), {
      code: "BH_DATABASE_UNAVAILABLE",
      message: "the database does not answer",
    });
    isAway = false;
    assert.equal((await away(new Request("http://h/status/healthz"))).status, 200);
  });

  test("answers 500 without a stack when something unexpected happens", async (context) => {
    context.mock.method(console, "error", () => {});
    const broken = handler(() => Promise.reject(new Error("secret at 10.0.0.7")));
    const answer = await broken(new Request("http://h/status"));
    assert.equal(answer.status, 500);
    assert.deepEqual(await answer.json(), {
      code: "BH_INTERNAL",
      message: "the status could not be read",
    });
  });
});

describe("in a real database", () => {
  let server: Server;
  let openhouse: Database;
  before(async () => {
    server = await startPostgres();
    openhouse = await openhouseDatabase(server, { rows: 300 });
    await withSql(openhouse.url, async (sql) => {
      await sql`select bulkhead.schedule()`;
      await sql`select bulkhead.seal()`;
    });
  });
  after(() => server.stop());

  const findings = (url: string, rule: string) =>
    withSql(url, (sql) =>
      sql<{ status: string; subject: string; remediation: string }[]>`
        select f.status, f.subject, f.remediation
        from bulkhead.findings((select r.category from bulkhead.rules as r where r.name = ${rule})) as f
        where f.name = ${rule}
      `);
  const statusOf = (url: string, category: string) =>
    withSql(url, async (sql) => {
      const [row] = await sql`select bulkhead.status(${category}) as status`;
      return statusReport.parse(row?.["status"]);
    });

  test("hardened OpenHouse is green in boundary, trail, guard and schedule", async () => {
    for (const category of ["boundary", "trail", "guard", "schedule"]) {
      const report = await statusOf(openhouse.url, category);
      const found = report.checks.filter(({ status }) => status !== "pass").map((
        { name, subject, detail },
      ) => `${name} ${subject} ${detail}`);
      assert.deepEqual(found, [], category);
      assert.equal(report.verdict, "green", category);
    }
  });

  test("OpenHouse before hardening is red, table by table", async () => {
    await using raw = await openhouseDatabase(server, { rows: 300, hardened: false });
    const report = await statusOf(raw.url, "boundary");
    assert.equal(report.verdict, "red");
    const unclassified = report.checks.filter(({ name, status }) =>
      name === "table_unclassified" && status === "fail"
    );
    assert.equal(unclassified.length, 6);
  });

  test("the suite's own proof: with all policies dropped the boundary is red for every table", async () => {
    await using broken = await cloneOf(server, openhouse.name);
    await withSql(broken.url, (sql) =>
      sql.unsafe(`do $$ declare p record; begin
        for p in select * from pg_policies where schemaname = 'public' loop
          execute format('drop policy %I on %I.%I', p.policyname, p.schemaname, p.tablename);
        end loop; end $$`));
    assert.equal((await findings(broken.url, "tenant_policy")).length, 6);
  });

  test("role_bypasses_rls: BYPASSRLS for authenticated is a finding until its remedy", async () => {
    await using broken = await cloneOf(server, openhouse.name);
    await withSql(broken.superUrl, (sql) => sql.unsafe("alter role authenticated bypassrls"));
    try {
      const [found] = await findings(broken.url, "role_bypasses_rls");
      assert.equal(found?.subject, "authenticated");
      await withSql(broken.superUrl, (sql) => sql.unsafe(found?.remediation ?? ""));
      assert.deepEqual([...await findings(broken.url, "role_bypasses_rls")], []);
    } finally {
      await withSql(server.superUrl, (sql) => sql.unsafe("alter role authenticated nobypassrls"));
    }
  });

  test("table_unclassified: every schema that PostgREST serves is looked into", async () => {
    await using served = await cloneOf(server, openhouse.name);
    await withSql(served.superUrl, async (sql) => {
      await sql.unsafe(
        "create schema api authorization postgres; create table api.orders (id integer)",
      );
      await sql.unsafe(
        `alter role authenticator in database "${served.name}" set pgrst.db_schemas = 'public, api'`,
      );
    });
    const found = await findings(served.url, "table_unclassified");
    assert.deepEqual(found.map(({ subject }) => subject), ["api.orders"]);
  });

  for (const [type, first] of [["text", "'acme'"], ["bigint", "1"], ["integer", "1"]] as const) {
    test(`${type} tenants in another column, with partitions and quoted names, are green`, async () => {
      await using other = await kitDatabase(server);
      await withSql(other.url, (sql) =>
        sql.unsafe(`
          create table public.orgs (id ${type} primary key, name text);
          insert into public.orgs values (${first}, 'Acme');
          create table public."Survey Answers" (
            "Answer Id" bigint generated always as identity primary key,
            "Org Id" ${type} not null
          );
          create table public.facts (id bigint, org_id ${type} not null, at date not null, primary key (org_id, id, at)) partition by range (at);
          create table public.facts_2026 partition of public.facts for values from ('2026-01-01') to ('2027-01-01');
          select bulkhead.configure('public.orgs', tenant_column => 'org_id');
          select bulkhead.protect('public.orgs');
          select bulkhead.protect('public."Survey Answers"', 'Org Id');
          select bulkhead.protect('public.facts');
          select bulkhead.close_service_role();
        `));
      for (const category of ["boundary", "guard"]) {
        const report = await statusOf(other.url, category);
        const found = report.checks.filter(({ status }) => status !== "pass");
        assert.deepEqual(
          found.map(({ name, subject, detail }) => `${name} ${subject} ${detail}`),
          [],
        );
      }
      // The remedy names the column and the root.
      await withSql(
        other.url,
        (sql) =>
          sql.unsafe(
            'drop policy bulkhead_tenant on public."Survey Answers"; drop policy bulkhead_tenant on public.facts_2026',
          ),
      );
      const found = await findings(other.url, "tenant_policy");
      assert.deepEqual(found.map(({ subject }) => subject), [
        'public."Survey Answers"',
        "public.facts_2026",
      ]);
      for (const { remediation } of found) {
        await withSql(other.url, (sql) => sql.unsafe(remediation));
      }
      assert.equal((await statusOf(other.url, "boundary")).verdict, "green");
    });
  }

  test("foreign_key_not_enforced: disabled key triggers are a finding, and postgres can run the remedy", async () => {
    await using broken = await cloneOf(server, openhouse.name);
    await withSql(broken.superUrl, (sql) =>
      sql.unsafe(`do $$ declare t record; begin
      for t in select tgname from pg_trigger where tgrelid = 'public.messages'::regclass and tgisinternal loop
        execute format('alter table public.messages disable trigger %I', t.tgname);
      end loop; end $$`));
    const found = await findings(broken.url, "foreign_key_not_enforced");
    assert.ok(found.length >= 3);
    for (const { remediation } of found) {
      await withSql(broken.url, (sql) => sql.unsafe(remediation));
    }
    assert.deepEqual([...await findings(broken.url, "foreign_key_not_enforced")], []);
    assert.equal((await statusOf(broken.url, "boundary")).verdict, "green");
  });

  test("seal_lag: an event that waits for longer than five minutes is a finding until it is sealed", async () => {
    await using lagging = await cloneOf(server, openhouse.name);
    await withSql(
      lagging.url,
      (sql) =>
        sql`insert into bulkhead.audit_events (created_at, actor_role, table_name, operation)
        values (now() - interval '10 minutes', 'postgres', 'public.messages', 'test.old')`,
    );
    const [found] = await findings(lagging.url, "seal_lag");
    assert.equal(found?.status, "fail");
    await withSql(lagging.url, (sql) => sql.unsafe(found?.remediation ?? ""));
    assert.deepEqual([...await findings(lagging.url, "seal_lag")], []);
  });

  test("seal_broken: an event changed by the table's owner is named by its seal", async () => {
    await using tampered = await cloneOf(server, openhouse.name);
    await withSql(tampered.url, (sql) =>
      sql.unsafe(`
        do $$ declare t regclass; begin
          foreach t in array (select array_agg(distinct e.tableoid::regclass) from bulkhead.audit_events as e) loop
            execute format('alter table %s disable trigger bulkhead_append_only', t);
            execute format('update %s set actor = ''nobody'' where id = (select max(id) from %s)', t, t);
            execute format('alter table %s enable always trigger bulkhead_append_only', t);
          end loop; end $$`));
    const found = await findings(tampered.url, "seal_broken");
    assert.ok(found.length >= 1);
    assert.match(found[0]?.subject ?? "", /^seal \d+ audit_events/);
    assert.equal((await statusOf(tampered.url, "trail")).verdict, "red");
  });

  test("job_failed and job_overdue: the last run decides, until the next good one", async () => {
    await using jobs = await cloneOf(server, openhouse.name);
    await withSql(jobs.url, (sql) => sql`select bulkhead.schedule()`);
    const run = (status: string, ago: string) =>
      withSql(
        jobs.superUrl,
        (sql) =>
          sql`insert into cron.job_run_details (jobid, database, username, command, status, return_message, start_time, end_time)
          select jobid, database, username, command, ${status}, 'ERROR: boom', now() - ${ago}::interval, now() - ${ago}::interval
          from cron.job where jobname = 'bulkhead:audit:seal' and database = current_database()`,
      );
    await run("failed", "1 hour");
    assert.deepEqual((await findings(jobs.url, "job_failed")).map(({ subject }) => subject), [
      "bulkhead:audit:seal",
    ]);
    assert.deepEqual((await findings(jobs.url, "job_overdue")).map(({ subject }) => subject), [
      "bulkhead:audit:seal",
    ]);
    const [failed] = await findings(jobs.url, "job_failed");
    await withSql(jobs.url, (sql) => sql.unsafe(failed?.remediation ?? ""));
    await run("succeeded", "1 second");
    assert.deepEqual([...await findings(jobs.url, "job_failed")], []);
    assert.deepEqual([...await findings(jobs.url, "job_overdue")], []);
  });

  test("the function under Deno, as Supabase runs it, serves page, JSON and health", async () => {
    const token = "t".repeat(40);
    await using host = await startFunctions({
      deno: "edge",
      names: ["status"],
      env: { SUPABASE_DB_URL: openhouse.url, BULKHEAD_STATUS_TOKEN: token },
    });
    assert.deepEqual(await (await fetch(`${host.functionsUrl}/status/healthz`)).json(), {
      ok: true,
    });
    publicStatus.parse(await (await fetch(`${host.functionsUrl}/status/status.json`)).json());
    const detail = await fetch(`${host.functionsUrl}/status/status.json`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(statusReport.parse(await detail.json()).database, openhouse.name);
    const denied = await fetch(`${host.functionsUrl}/status`, {
      headers: { authorization: "Bearer wrong" },
    });
    assert.equal(denied.status, 401);
    await denied.body?.cancel();
    assert.match(await (await fetch(`${host.functionsUrl}/status`)).text(), /^<!doctype html>/);
  });
});
