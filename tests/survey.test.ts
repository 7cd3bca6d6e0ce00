import assert from "node:assert/strict";
import type { Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { type AppOptions, expressApp, honoApp } from "../examples/survey/service/apps.ts";
import { honoAppBefore } from "../examples/survey/service/before.ts";
import { integrations } from "../examples/survey/service/integrations.ts";
import type { Row } from "../examples/survey/service/interviews.ts";
import { orgDatabase } from "../examples/survey/service/org-database.ts";
import { jwtVerifier } from "../functions/_core/adapters/tenant-jwt.ts";
import { fieldCipher } from "../functions/_core/keys/field-cipher.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import type { SessionLogEntry } from "../functions/_core/service/open-session.ts";
import { runPgTap } from "../scripts/backup/pgtap.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import { adoptExample } from "./support/adopted.ts";
import { sign } from "./support/postgrest-jwt.ts";
import { cloneOf, type Database, type Server, startPostgres, withSql } from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";
import { hardenSurvey, surveyDatabase } from "./support/survey.ts";
import { isExecutable } from "../scripts/local/unprivileged.ts";

const majors = ([17, 15] as const)
  .filter((major) => major === 17 || isExecutable("/usr/lib/postgresql/15/bin/postgres"));
const EIGHT = [
  "surveys",
  "questions",
  "sessions",
  "answers",
  "facts",
  "conversation_history",
  "conversation_state",
  "ai_session_logs",
];
const PGTAP = join(ROOT, "examples/survey/tests/survey.test.sql");
const ORGS = 20;
const SESSIONS = 6;

/** What becomes of the wrong rows: repaired to an organization, or in quarantine for a reason. */
const REPAIRED = {
  "sessions 900001": "12",
  "answers 900001": "12",
  "facts 900001": "12",
  "conversation_history 900001": "12",
  "conversation_state 900001": "12",
  "ai_session_logs 900001": "12",
};
const QUARANTINED = {
  "surveys 990001": "no organization that exists",
  "questions 990001": "its survey is not of its organization",
  "sessions 990001": "its survey is not of its organization",
  "sessions 990002": "its survey is not of its organization",
  "answers 990001": "its question is not of its organization",
  "answers 990002": "its session is not of its organization",
  "facts 990001": "its session is not of its organization",
  "facts 990002": "no organization that exists",
  "conversation_history 990001": "its session is not of its organization",
  "conversation_history 990002": "its session is not of its organization",
  "conversation_state 990001": "its session is not of its organization",
  "ai_session_logs 990001": "its session is not of its organization",
  "ai_session_logs 990002": "no organization that exists",
};

const SECRET = "a-secret-of-this-test-run-of-32-bytes-and-more";
const verifyToken = jwtVerifier({
  secret: SECRET,
  tenantClaim: "app_metadata.org_id",
  tenantKind: "bigint",
});

/** `org-12` is a session of 12, `bare-x` one whose organization is "x"; anything else is sent as it is. */
function tokenOf(name: string): string {
  const [, id] = /^(?:org|bare)-(.*)$/s.exec(name) ?? [];
  if (id === undefined) return name;
  const claims = { sub: `someone of ${id}`, role: "authenticated", aud: "authenticated" };
  return sign({ ...claims, exp: 4_102_444_800, app_metadata: { org_id: id } }, SECRET);
}

function verify(token: string): Promise<{ tenantId: string; actor: string }> {
  if (token === "broken") throw new RangeError("the key server is away");
  return verifyToken(token);
}

type Call = (
  path: string,
  options?: { token?: string; method?: string; content?: string },
) => Promise<{ status: number; body: unknown }>;
type Running = { call: Call; pool: postgres.Sql; log: SessionLogEntry[] } & AsyncDisposable;

const FRAMEWORKS = {
  express: async (options: AppOptions): Promise<{ fetch: typeof fetch; stop(): Promise<void> }> => {
    const server = await new Promise<HttpServer>((resolve) => {
      const listening = expressApp(options).listen(0, "127.0.0.1", () => resolve(listening));
    });
    const { port } = server.address() as AddressInfo;
    return {
      fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
      stop: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
  },
  hono: (options: AppOptions) => inMemory(honoApp(options)),
  before: (options: AppOptions) => inMemory(honoAppBefore(options)),
};

function inMemory(
  app: { request(path: string, init?: RequestInit): Response | Promise<Response> },
) {
  return Promise.resolve({
    fetch: (async (path: string, init?: RequestInit) =>
      await app.request(path, init)) as typeof fetch,
    stop: () => Promise.resolve(),
  });
}

async function start(
  kind: keyof typeof FRAMEWORKS,
  db: Database,
  role = "application_role",
): Promise<Running> {
  const log: SessionLogEntry[] = [];
  const pool = postgres(db.urlAs(role), { max: 10, onnotice: () => {} });
  const { fetch, stop } = await FRAMEWORKS[kind]({
    pool,
    verify,
    log: (entry) => void log.push(entry),
  });
  return {
    pool,
    log,
    async call(path, { token, method, content } = {}) {
      const response = await fetch(path, {
        method: method ?? (content === undefined ? "GET" : "POST"),
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${tokenOf(token)}` }),
          ...(content === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(content === undefined ? {} : { body: JSON.stringify({ content }) }),
      });
      return { status: response.status, body: await response.json() };
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await pool.end({ timeout: 5 });
    },
  };
}

/** Repeatable pseudo-random numbers. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

/** `total` pieces of work, `width` at a time. */
async function interleave(
  total: number,
  width: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < total) await work(next++);
  }));
}

for (const major of majors) {
  describe(`survey platform on ${major}`, () => {
    let server: Server;
    let raw: Database;
    let hardened: Database;
    before(async () => {
      server = await startPostgres({ major });
      raw = await surveyDatabase(server, { hardened: false, orgs: ORGS, sessions: SESSIONS });
      hardened = await cloneOf(server, raw.name);
      await hardenSurvey(hardened);
    });
    after(async () => await server?.stop());

    test("before, the status is red; after, green, for boundary, trail and guard", async () => {
      const findings = (category: string) =>
        withSql(
          hardened.url,
          async (sql) => [...await sql`select name, subject from bulkhead.findings(${category})`],
        );
      assert.equal(await withSql(raw.url, verdict), "red");
      assert.equal(await withSql(hardened.url, verdict), "green");
      for (const category of ["boundary", "trail", "guard"]) {
        assert.deepEqual(await findings(category), []);
      }
    });

    test("no row is lost or changed: what is not in its table is whole in quarantine, as it says", async () => {
      assert.deepEqual(await withSql(hardened.url, content), await withSql(raw.url, content));
      const found = await withSql(hardened.url, (sql) =>
        sql<{ row: string; reason: string }[]>`
        select split_part(table_name, '.', 2) || ' ' || row_id as row, reason from quarantine.rows`);
      assert.deepEqual(
        Object.fromEntries(found.map(({ row, reason }) => [row, reason])),
        QUARANTINED,
      );
    });

    test("of the planted rows each has its organization, and no other row changed hands", async () => {
      const [was, is] = [await withSql(raw.url, owners), await withSql(hardened.url, owners)];
      const changed = [...is].filter(([row, org]) =>
        was.get(row) !== org &&
        !(row.startsWith("questions ") || /^conversation_state \d{4,5}$/.test(row))
      );
      assert.deepEqual(Object.fromEntries(changed), REPAIRED);
    });

    test("bulkhead adopt and bulkhead.toml alone lead from red to green, every row kept, and the second plan is empty", async () => {
      await using db = await cloneOf(server, raw.name);
      const moved = await withSql(
        db.url,
        (sql) => adoptExample(sql, { example: "survey", tables: EIGHT, column: "org_id" }),
      );
      // Where no foreign key says whose a row is, adopt does not guess: two that harden.sql repairs wait in quarantine,
      // and one word in a session that is gone stays.
      const expected = [
        ...Object.keys(QUARANTINED),
        "ai_session_logs 900001",
        "conversation_history 900001",
      ]
        .filter((row) => row !== "conversation_history 990001" && row !== "ai_session_logs 990001");
      assert.deepEqual(moved, expected.sort());
    });

    test("its pgTAP file passes on these rows, leaves nothing, and fails when a policy or a key is gone", async () => {
      const was = await withSql(hardened.url, content);
      assert.deepEqual(await runPgTap(hardened.url, PGTAP), {
        file: "survey.test.sql",
        passed: 41,
        failed: [],
      });
      assert.deepEqual(await withSql(hardened.url, content), was);
      for (
        const change of [
          "drop policy tenant_isolation on public.sessions",
          "drop policy bulkhead_tenant on public.facts; alter policy tenant_isolation on public.facts using (true)",
          "alter table public.conversation_history drop constraint conversation_history_session_id_fkey",
          "alter view public.session_overview set (security_invoker = false)",
        ]
      ) {
        await using copy = await cloneOf(server, hardened.name);
        await withSql(copy.superUrl, (sql) => sql.unsafe(change).simple());
        assert.ok((await runPgTap(copy.url, PGTAP)).failed.length > 0, change);
      }
    });

    test("an integration token: its organization reads it, nobody else does, wherever it is moved; rotated, re-encrypted, shredded", async () => {
      await using db = await cloneOf(server, hardened.name);
      using world = await backupWorld({ DATABASE_URL: db.url });
      const pool = postgres(db.urlAs("application_role"), { max: 2, onnotice: () => {} });
      const of = (org: string) =>
        orgDatabase(pool, { tenantId: org, actor: "ada", requestId: "req-1" });
      const stored = (id: string) =>
        withSql(db.url, async (sql) => {
          const [row] =
            await sql`select integration_token as t from public.surveys where id = ${id}`;
          return String(row?.["t"]);
        });
      const tokens = integrations(fieldCipher(world.keyring));
      try {
        assert.equal(await tokens.token(of("12"), "120"), null);
        for (const id of ["120", "121"]) assert.ok(await tokens.keep(of("12"), id, `secret ${id}`));
        assert.ok(await tokens.keep(of("1"), "10", "another's"));
        assert.equal(await tokens.token(of("12"), "120"), "secret 120");
        assert.equal(await tokens.token(of("1"), "120"), null);
        assert.equal(await tokens.keep(of("1"), "120", "x"), false);
        const seen = await withSql(db.url, (sql) =>
          sql`
          select count(*)::integer as n from bulkhead.audit_events as e where e::text like '%secret 12%'`);
        assert.equal(seen[0]?.["n"], 0, "a token is in the ledger in the clear");
        await assert.rejects(
          of("12")((tx) => tx`update surveys set integration_token = 'plain' where id = 120`),
          { code: "23514" },
        );

        const [mine, sealed] = [await stored("10"), await stored("120")];
        const put = (id: string, value: string) =>
          withSql(db.url, (sql) =>
            sql.begin(async (tx) => {
              const org = id.slice(0, -1);
              await tx`select bulkhead.set_tenant(${org})`;
              await tx`update public.surveys set integration_token = ${value} where id = ${id}`;
            }));
        for (const [org, id] of [["1", "10"], ["12", "121"]] as const) {
          await put(id, sealed);
          await assert.rejects(tokens.token(of(org), id), { kind: "integrity" }, `moved to ${id}`);
        }
        await put("10", mine);
        assert.ok(await tokens.keep(of("12"), "121", "secret 121"));

        const rotated = await bulkhead(["keys", "rotate-tenant", "12"], world.env);
        assert.equal(rotated.code, 0, rotated.stderr);
        assert.equal(await tokens.token(of("12"), "120"), "secret 120");
        assert.equal(await stored("120"), sealed, "this process does not know the new key yet");
        const later = integrations(fieldCipher(await openKeyring(world)));
        assert.equal(await later.token(of("12"), "120"), "secret 120");
        assert.notEqual(await stored("120"), sealed);
        assert.equal(await tokens.token(of("12"), "120"), "secret 120", "it learned the new key");
        const column = ["--table", "public.surveys", "--column", "integration_token"];
        const job = ["keys", "re-encrypt", ...column, "--class", "integration-token", "--json"];
        const ran = await bulkhead(job, world.env);
        assert.equal(ran.code, 0, ran.stderr);
        const { seen: values, renewed } = JSON.parse(ran.stdout);
        assert.deepEqual([values, renewed], [3, 1]);
        assert.equal(await later.token(of("12"), "121"), "secret 121");

        const shred = ["keys", "shred", "--tenant", "12", "--apply"];
        assert.equal((await bulkhead(shred, world.env)).code, 0);
        const after = integrations(fieldCipher(await openKeyring(world)));
        await assert.rejects(after.token(of("12"), "120"), /it was shredded/);
        assert.equal(await after.token(of("1"), "10"), "another's");
      } finally {
        await pool.end({ timeout: 5 });
      }
    });

    for (const kind of ["express", "hono"] as const) {
      test(`${kind}: 2,000 interleaved requests of 20 organizations over 10 connections see no row of another, ever`, async () => {
        await using db = await cloneOf(server, raw.name);
        await hardenSurvey(db);
        await using app = await start(kind, db);
        const pick = random(major + kind.length);
        const counts = { rows: 0, own: 0, foreign: 0, written: 0, failed: 0, refused: 0, bare: 0 };
        const written = new Map<number, number>();
        const connections = new Set<unknown>();
        await interleave(2000, 40, async (n) => {
          const org = 1 + n % ORGS;
          const token = `org-${org}`;
          // Half of the sessions asked for are another organization's.
          const owner = pick(2) ? org : 1 + pick(ORGS);
          const session = owner * 1000 + pick(SESSIONS);
          const mine = (status: number, body: unknown) => {
            assert.equal(status, 200);
            const rows = body as Row[];
            for (const row of rows) {
              assert.equal(
                row.org_id,
                String(org),
                `request ${n}: a row of ${row.org_id} for ${org}`,
              );
            }
            counts.rows += rows.length;
            return rows.length;
          };
          const what = pick(20);
          if (what < 8) {
            const { status, body } = await app.call("/sessions", { token });
            assert.ok(mine(status, body) >= SESSIONS, "its own sessions are all there");
          } else if (what < 14) {
            const { status, body } = await app.call(`/sessions/${session}`, { token });
            if (owner === org) {
              assert.ok(mine(status, body) >= 10);
              counts.own++;
            } else {
              assert.deepEqual([status, body], [200, []]);
              counts.foreign++;
            }
          } else if (what < 16) {
            const { status, body } = await app.call(`/sessions/${session}`, {
              token,
              content: `said ${n}`,
            });
            assert.equal(mine(status, body), owner === org ? 1 : 0);
            if (owner === org) {
              counts.written++;
              written.set(org, (written.get(org) ?? 0) + 1);
            }
          } else if (what < 17) {
            assert.equal(
              (await app.call(`/sessions/${session}/fail`, { token, content: "" })).status,
              500,
            );
            counts.failed++;
          } else if (what < 18) {
            assert.equal((await app.call("/sessions")).status, 401);
            counts.refused++;
          } else {
            // Past every middleware, on whatever connection is free: what the request before left behind.
            const [left] = await app.pool`
              select pg_backend_pid() as pid, (select count(*)::integer from public.sessions) as rows,
                     coalesce(current_setting('app.current_org_id', true), '') || coalesce(current_setting('bulkhead.tenant', true), '') as context`;
            connections.add(left?.["pid"]);
            assert.deepEqual([left?.["rows"], left?.["context"]], [0, ""]);
            counts.bare++;
          }
        });
        for (const [name, count] of Object.entries(counts)) {
          assert.ok(count > 20, `${count} ${name}`);
        }
        assert.equal(connections.size, 10);
        assert.equal(
          app.log.filter((entry) => entry.code === "BH_TOKEN").length,
          counts.refused,
        );
        assert.equal(
          app.log.filter((entry) => entry.code === "request_failed").length,
          counts.failed,
        );
        assert.equal(app.log.length, counts.refused + counts.failed);
        await withSql(db.url, async (sql) => {
          const [half] =
            await sql`select count(*)::integer as n from public.sessions where respondent = 'half done'`;
          assert.equal(half?.["n"], 0);
          const said = await sql<{ tenant: string; actor: string; n: number }[]>`
            select tenant_id as tenant, actor, count(*)::integer as n from bulkhead.audit_events
            where table_name = 'public.conversation_history' and operation = 'INSERT' and actor_role = 'application_role'
              and after ->> 'org_id' = tenant_id and request_id is not null
            group by 1, 2`;
          assert.deepEqual(
            said.map(({ tenant, actor, n }) => [Number(tenant), actor, n]).sort((a, b) =>
              Number(a[0]) - Number(b[0])
            ),
            [...written].sort(([a], [b]) => a - b).map(([org, n]) => [org, `someone of ${org}`, n]),
          );
        });
      });

      test(`${kind}: without a valid session no handler runs, the error is logged, and nothing of the caller's is in it`, async () => {
        await using app = await start(kind, hardened);
        const cases: [string | undefined, number, string][] = [
          [undefined, 401, "BH_TOKEN"],
          ["", 401, "BH_TOKEN"],
          ["nonsense", 401, "BH_TOKEN"],
          ["bare-", 403, "BH_TOKEN_TENANT"],
          ["bare-012", 403, "BH_TOKEN_TENANT"],
          ["bare-1%20", 403, "BH_TOKEN_TENANT"],
          ["bare-1,12", 403, "BH_TOKEN_TENANT"],
          ["bare-1' or '1", 403, "BH_TOKEN_TENANT"],
          ["bare-9999999999999999999", 403, "BH_TOKEN_TENANT"],
          ["bare-99999999999999999999", 403, "BH_TOKEN_TENANT"],
          ["broken", 503, "BH_TOKEN_KEYS"],
        ];
        for (const [token, status, event] of cases) {
          app.log.length = 0;
          const answer = await app.call("/sessions", {
            ...(token === undefined ? {} : { token }),
          });
          assert.equal(answer.status, status, token);
          const { code, ...rest } = answer.body as { code: string };
          assert.equal(code, event);
          assert.deepEqual(Object.keys(rest), ["message", "requestId"]);
          assert.deepEqual(app.log.map((entry) => [entry.level, entry.code]), [["error", event]]);
          assert.match(app.log[0]?.requestId ?? "", /^[0-9a-f-]{36}$/);
          assert.match(
            app.log[0]?.reason ?? "",
            /^(no token|Cannot accept the token: (it is not valid here|its claim app_metadata.org_id is no tenant)|RangeError)$/,
          );
        }
        // An organization that is not there, in the right spelling: no rows, and no writes.
        assert.deepEqual((await app.call("/sessions", { token: "org-4000" })).body, []);
        assert.deepEqual(
          (await app.call("/sessions/1000", { token: "org-4000", content: "x" })).body,
          [],
        );
      });

      test(`${kind}: a pool of a role that bypasses row level security is refused before the first query`, async () => {
        await using app = await start(kind, hardened, "postgres");
        const answer = await app.call("/sessions", { token: "org-1" });
        assert.equal(answer.status, 500);
        assert.deepEqual(app.log.map((entry) => [entry.code, entry.reason]), [[
          "request_failed",
          "BulkheadError",
        ]]);
      });
    }

    test("the middleware of before shows rows of other organizations on the old schema, and none on the hardened one", async () => {
      const load = async (db: Database) => {
        await using app = await start("before", db);
        const seen = { foreign: 0, own: 0, withoutContext: 0 };
        await interleave(400, 40, async (n) => {
          const org = 1 + n % ORGS;
          const token = n % 10 === 0 ? undefined : `org-${org}`;
          const { body } = await app.call("/sessions", token === undefined ? {} : { token });
          for (const row of body as Row[]) {
            if (token === undefined) seen.withoutContext++;
            else if (row.org_id === String(org)) seen.own++;
            else seen.foreign++;
          }
        });
        assert.ok(app.log.every((entry) => entry.reason === "continuing") && app.log.length === 40);
        return seen;
      };
      const old = await load(raw);
      assert.ok(old.foreign > 100 && old.withoutContext > 100, JSON.stringify(old));
      assert.deepEqual(await load(hardened), { foreign: 0, own: 0, withoutContext: 0 });
    });

    test("no organization reads, changes, deletes or takes a row of another, in any of the eight tables", async () => {
      const pool = postgres(hardened.urlAs("application_role"), { max: 2, onnotice: () => {} });
      try {
        for (const [org, other] of [["1", "12"], ["12", "1"], ["2", "20"], ["20", "2"]] as const) {
          const database = orgDatabase(pool, {
            tenantId: org,
            actor: "ada",
            requestId: "req-1",
          });
          await database(async (tx) => {
            for (const table of EIGHT) {
              const name = `${table} of ${other} by ${org}`;
              const [all] =
                await tx`select count(*)::integer as n, count(*) filter (where org_id <> ${org})::integer as foreign from ${
                  tx(table)
                }`;
              assert.ok(all?.["n"] > 0 && all?.["foreign"] === 0, name);
              assert.equal(
                (await tx`update ${tx(table)} set org_id = ${org} where org_id = ${other}`).count,
                0,
                name,
              );
              assert.equal(
                (await tx`delete from ${tx(table)} where org_id = ${other}`).count,
                0,
                name,
              );
            }
          });
          for (const table of EIGHT) {
            await assert.rejects(database((tx) => tx`update ${tx(table)} set org_id = ${other}`), {
              code: "42501",
            }, table);
          }
          await assert.rejects(
            database((tx) =>
              tx`insert into facts (org_id, session_id, subject, value) values (${org}, ${
                Number(other) * 1000
              }, 'x', 'x')`
            ),
            { code: "23503" },
          );
        }
      } finally {
        await pool.end({ timeout: 5 });
      }
    });

    test("no context shows no rows of any table and writes nothing, and half a context is none", async () => {
      await withSql(hardened.urlAs("application_role"), async (sql) => {
        for (const table of [...EIGHT, "organizations", "session_overview"]) {
          assert.deepEqual([...await sql`select * from ${sql(table)}`], [], table);
        }
        await assert.rejects(sql`insert into facts (org_id, subject, value) values (1, 'x', 'x')`, {
          code: "42501",
        });
        for (const setting of ["app.current_org_id", "bulkhead.tenant"]) {
          const rows = await sql.begin(async (tx) => {
            await tx`select set_config(${setting}, '1', true)`;
            return await tx`select * from sessions`;
          });
          assert.equal(rows.length, 0, setting);
        }
      });
    });
  });
}

async function verdict(sql: postgres.Sql): Promise<unknown> {
  const [row] = await sql`select bulkhead.status('boundary') ->> 'verdict' as verdict`;
  return row?.["verdict"];
}

/** Rows of each table without their organization, as a count and an order-free hash; quarantined ones count for their table. */
async function content(sql: postgres.Sql): Promise<Record<string, string>> {
  const [found] = await sql`select to_regclass('quarantine.rows') is not null as has`;
  const result: Record<string, string> = {};
  for (const table of ["organizations", ...EIGHT]) {
    const moved = found?.["has"]
      ? `union all select content - 'org_id' from quarantine.rows where table_name = 'public.${table}'`
      : "";
    const [row] = await sql.unsafe(`
      select count(*) || ':' || coalesce(sum(hashtextextended(row::text, 0)::numeric), 0) as h
      from (select to_jsonb(t) - 'org_id' - 'integration_token' as row from public.${table} as t ${moved}) as r`);
    result[table] = String(row?.["h"]);
  }
  return result;
}

/** Table and key of each row, and its organization. */
async function owners(sql: postgres.Sql): Promise<Map<string, string | null>> {
  const result = new Map<string, string | null>();
  for (const table of EIGHT) {
    const rows = await sql.unsafe<{ key: string; org: string | null }[]>(
      `select coalesce(j ->> 'id', j ->> 'session_id') as key, j ->> 'org_id' as org from (select to_jsonb(t) as j from public.${table} as t) as r`,
    );
    for (const { key, org } of rows) result.set(`${table} ${key}`, org);
  }
  return result;
}
