import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { applyFiles, planFiles, ups } from "./support/adopt.ts";
import { depth } from "./support/depth.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

/** What a writer waits at most behind one attempt of a step; the machine's own pauses come on top. */
const LOCK_TIMEOUT_MS = 500;
const SLACK_MS = 500;

const CONFIG = {
  version: 1,
  lock_timeout: `${LOCK_TIMEOUT_MS}ms`,
  batch_pages: 200,
  tenants: { table: "public.tenants", column: "tenant_id" },
  membership: { table: "public.members", active: "is_active" },
  policies: {
    'public.tenants."read tenants"': "drop",
    'public.developments."read developments"': "drop",
    'public.units."read units"': "drop",
    'public.messages."chat widget"': "narrow",
    'public.members."own membership"': "drop",
  },
  functions: {
    "public.mark_sold(uuid)": ["pin", "close", "invoker"],
    "public.search_messages(text)": ["pin", "close", "invoker"],
  },
};

/** Writes until told to stop; the longest wait, and what was refused. */
type Writer = { writes: number; slowest: number; refused: string[] };

describe("adopt on a database at work", () => {
  let server: Server;
  let db: Database;
  const rows = depth({ quick: 50_000, full: 1_000_000 });
  before(async () => {
    server = await startPostgres({ settings: { max_wal_size: "4GB" } });
    db = await openhouseDatabase(server, { rows, hardened: false });
  });
  after(async () => await server?.stop());

  test(`no writer waits longer than lock_timeout while ${rows} rows are adopted, and none is refused that names its tenant`, async (t) => {
    const sql = postgres(db.url, { max: 8, onnotice: () => {}, prepare: false });
    const [unit] = await sql`select id, tenant_id, development_id from public.units limit 1`;
    assert.ok(unit);
    let stop = false;
    const writer = async (
      work: (tx: postgres.TransactionSql, n: number) => Promise<unknown>,
    ): Promise<Writer> => {
      const seen: Writer = { writes: 0, slowest: 0, refused: [] };
      while (!stop) {
        const started = performance.now();
        try {
          await sql.begin(async (tx) => {
            await work(tx, seen.writes);
            seen.slowest = Math.max(seen.slowest, performance.now() - started);
          });
        } catch (error) {
          seen.refused.push(error instanceof postgres.PostgresError ? error.code : String(error));
        }
        seen.writes++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return seen;
    };
    const insert = (tx: postgres.TransactionSql) =>
      tx`insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (${
        unit["tenant_id"]
      }, ${unit["development_id"]}, ${unit["id"]}, 'staff', 'live')`;
    const writers = [
      writer(insert),
      writer((tx) =>
        tx`update public.messages set is_read = not is_read where id = (select id from public.messages where tenant_id is not null offset ${
          Math.floor(Math.random() * 500)
        } limit 1)`
      ),
      // keeps its locks for a while, as a request that calls somebody else does
      writer(async (tx) => {
        await insert(tx);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }),
    ];
    // the old chat widget goes on without a tenant, until that is refused
    const widget = writer((tx) =>
      tx`insert into public.messages (unit_id, sender, body) values (${
        unit["id"]
      }, 'resident', 'lost')`
    );
    try {
      await withSql(
        db.url,
        async (migrator) => await applyFiles(migrator, ups(await planFiles(migrator, CONFIG))),
      );
    } finally {
      stop = true;
    }
    const seen = await Promise.all(writers);
    const lost = await widget;
    for (const each of seen) {
      assert.deepEqual(each.refused, []);
      assert.ok(each.writes > 10);
    }
    const worst = Math.max(...seen.map((each, at) => at === 2 ? each.slowest - 200 : each.slowest));
    t.diagnostic(
      `slowest write ${Math.round(worst)} ms of ${
        seen.map((each) => each.writes).join(" + ")
      } writes; ${lost.refused.length} of ${lost.writes} of the widget refused`,
    );
    assert.ok(worst < LOCK_TIMEOUT_MS + SLACK_MS, `a writer waited ${Math.round(worst)} ms`);
    assert.deepEqual(
      [...new Set(lost.refused)].filter((code) => !["23514", "23502"].includes(code)),
      [],
    );
    assert.ok(lost.refused.length > 0 && lost.refused.length < lost.writes);

    const [status] = await sql`select bulkhead.status('boundary') as status`;
    assert.equal(status?.["status"].verdict, "green");
    const [left] =
      await sql`select count(*)::integer as n from public.messages where tenant_id is null`;
    assert.equal(left?.["n"], 0);
    const [kept] =
      await sql`select (select count(*) from public.messages)::integer + (select count(*) from bulkhead.adopt_quarantine where relation = 'public.messages')::integer as n`;
    const written = (seen[0]?.writes ?? 0) + (seen[2]?.writes ?? 0) + lost.writes -
      lost.refused.length;
    assert.equal(kept?.["n"], rows + written);
    await sql.end({ timeout: 5 });
  });
});
