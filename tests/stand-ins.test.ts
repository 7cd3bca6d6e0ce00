import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import postgres from "postgres";
import { startHttpSender } from "./support/http-sender.ts";
import {
  baselineDatabase,
  type Database,
  freePort,
  type Server,
  startPostgres,
} from "./support/postgres.ts";
import { dueTimes, startScheduler } from "../scripts/local/scheduler.ts";
import { startWebhook } from "./support/webhook.ts";

let server: Server;
let db: Database;
let sql: postgres.Sql;

before(async () => {
  server = await startPostgres();
  db = await baselineDatabase(server);
  sql = postgres(db.url, { max: 2, onnotice: () => {} });
});
after(async () => {
  await sql?.end();
  await server?.stop();
});

const at = (time: string) => new Date(`2026-11-20T${time}:00Z`);

describe("the scheduler in the place of pg_cron", () => {
  it("dueTimes() leaves out the start and includes the end", () => {
    const times = dueTimes("*/5 * * * *", at("01:00"), at("01:10"));
    assert.deepEqual(times, [at("01:05"), at("01:10")]);
    assert.equal(dueTimes("30 seconds", at("01:00"), at("01:01")).length, 2);
    assert.deepEqual(dueTimes("0 2 $ * *", at("00:00"), new Date("2026-12-01T00:00Z")), [
      new Date("2026-11-30T02:00Z"),
    ]);
  });

  it("tick() runs each job as often as it was due, in order, and records it", async () => {
    await sql`create table ran (job text, who text)`;
    await sql`select cron.schedule('two', '*/2 * * * *', $$insert into ran values ('two', current_user)$$)`;
    await sql`select cron.schedule('four', '*/4 * * * *', 'select 1')`;
    await using scheduler = startScheduler(db.superUrl, { from: at("01:00") });
    const runs = await scheduler.tick(at("01:05"));
    assert.deepEqual(runs.map((run) => [run.jobname, run.status, run.message]), [
      ["two", "succeeded", "INSERT 0 1"],
      ["two", "succeeded", "INSERT 0 1"],
      ["four", "succeeded", "1 row"],
    ]);
    assert.equal((await scheduler.tick(at("01:05"))).length, 0);
    assert.deepEqual([...await sql`select job, who from ran`], [
      { job: "two", who: "postgres" },
      { job: "two", who: "postgres" },
    ]);
    const [recorded] = await sql`
      select count(*)::int as runs, bool_and(end_time >= start_time and job_pid > 0) as timed
      from cron.job_run_details where status = 'succeeded'
    `;
    assert.deepEqual(recorded, { runs: 3, timed: true });
    await sql`select cron.unschedule('two'), cron.unschedule('four')`;
  });

  it("a failing job is a row and stops no other job", async () => {
    await sql`select cron.schedule('bad', '* * * * *', 'select 1/0')`;
    await sql`select cron.schedule('good', '* * * * *', 'select 1')`;
    await using scheduler = startScheduler(db.url, { from: at("03:00") });
    const runs = await scheduler.tick(at("03:01"));
    assert.deepEqual(runs.map((run) => run.status), ["failed", "succeeded"]);
    const [row] =
      await sql`select return_message from cron.job_run_details where status = 'failed'`;
    assert.equal(row?.["return_message"], "ERROR:  division by zero\n");
    await sql`select cron.unschedule('bad'), cron.unschedule('good')`;
  });

  it("schedule() refuses nonsense and replaces a job of the same name", async () => {
    await assert.rejects(sql`select cron.schedule('x', 'every day', 'select 1')`, {
      code: "22023",
    });
    const [first] = await sql`select cron.schedule('same', '0 1 * * *', 'select 1') as id`;
    const [second] = await sql`select cron.schedule('same', '0 2 * * *', 'select 2') as id`;
    assert.equal(second?.["id"], first?.["id"]);
    await assert.rejects(sql`select cron.unschedule('nothing')`, /could not find valid entry/);
    await assert.rejects(sql`insert into cron.job (schedule, command) values ('* * * * *', 'x')`, {
      code: "42501",
    });
  });
});

describe("the HTTP sender in the place of pg_net", () => {
  it("drain() sends only what is committed", async () => {
    await using webhook = await startWebhook({ path: "/hook" });
    await using sender = startHttpSender(db.url, { poll: 0 });
    await sql.begin(async (tx) => {
      await tx`select net.http_post(${webhook.url}, ${
        tx.json({ a: 1 })
      }, timeout_milliseconds => 2000)`;
      assert.equal(await sender.drain(), 0);
    });
    await sql.begin(async (tx) => {
      await tx`select net.http_post(${webhook.url})`;
      throw new Error("rolled back");
    }).catch(() => {});
    assert.equal(await sender.drain(), 1);
    const [request] = webhook.requests;
    assert.equal(request?.body, '{"a": 1}');
    assert.equal(request?.headers["content-type"], "application/json");
    const [response] = await sql`select * from net._http_response order by created desc limit 1`;
    assert.equal(response?.["status_code"], 200);
    assert.equal(response?.["content"], "ok");
    assert.equal(response?.["timed_out"], false);
  });

  it("a 500 has a status and no error, a timeout no status, an unreachable URL an error", async () => {
    await using webhook = await startWebhook();
    await using sender = startHttpSender(db.url, { poll: 0 });
    await sql`truncate net._http_response`;
    webhook.answer({ status: 500 }, { delayMs: 3000 });
    await sql`select net.http_post(${webhook.url})`;
    await sender.drain();
    await sql`select net.http_post(${webhook.url}, timeout_milliseconds => 100)`;
    await sql`select net.http_post(${`http://127.0.0.1:${await freePort()}/`})`;
    assert.equal(await sender.drain(), 2);
    const rows =
      await sql`select status_code, timed_out, error_msg from net._http_response order by id`;
    assert.deepEqual([...rows], [
      { status_code: 500, timed_out: false, error_msg: null },
      { status_code: null, timed_out: true, error_msg: "Timeout of 100 ms reached" },
      { status_code: null, timed_out: false, error_msg: "Couldn't connect to server" },
    ]);
  });

  it("a URL that is none raises in the caller", async () => {
    await assert.rejects(sql`select net.http_post('not a url')`, /Couldn't parse URL/);
  });

  it("the queue is sent without being asked when it polls", async () => {
    await using webhook = await startWebhook();
    await using _sender = startHttpSender(db.url, { poll: 20 });
    await sql`select net.http_post(${webhook.url})`;
    assert.equal((await webhook.received(1)).length, 1);
  });
});
