import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { deliverAlerts } from "../../functions/_core/alert/deliver.ts";
import { alertHandler } from "../../functions/_core/alert/handler.ts";
import { createOutbox } from "../../functions/_core/alert/outbox.ts";
import { readRoutes } from "../../functions/_core/alert/routes.ts";
import { depth } from "../support/depth.ts";
import { startHttpSender } from "../support/http-sender.ts";
import {
  cloneOf,
  freePort,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
} from "../support/postgres.ts";
import { startWebhook, type Webhook } from "../support/webhook.ts";

const secret = "0f".repeat(32);
const START = Date.parse("2026-11-21T00:00:00Z");
const at = (minutes: number) => new Date(START + minutes * 60_000);
const project = "abcd.supabase.co";

let server: Server;
before(async () => {
  server = await startPostgres();
});
after(async () => {
  await server?.stop();
});

/** A database with the kit, Slack, and a clock that the test moves: what a minute of pg_cron does, without waiting. */
async function world() {
  const db = await kitDatabase(server);
  const sql = postgres(db.url, { max: 4, onnotice: () => {} });
  const slack = await startWebhook();
  let now = at(0);
  const routes = readRoutes({ SLACK_WEBHOOK_URL: slack.url } as never, {
    ...{ fetch, project, timeoutMs: 2_000 },
    now: () => now,
  });
  const deliver = (minutes: number) => {
    now = at(minutes);
    const outbox = createOutbox((text, values) => sql.unsafe(text, values as never[]), () => now);
    // A minute of the test is not a minute of the machine.
    let ms = 0;
    return deliverAlerts({
      ...{ outbox, routes },
      now: () => new Date(now.getTime() + ms),
      sleep: (pause) => Promise.resolve(void (ms += pause)),
    });
  };
  const record = (minutes: number, failing: Record<string, number>) =>
    sql`
      select bulkhead.record_results(array(
        select bulkhead.check_row(split_part(key, ' ', 1), split_part(key, ' ', 2), 'Made up', 'critical', 'canaries', 'fail', value::numeric, 0)
        from jsonb_each_text(${sql.json(failing)})
      ), ${at(minutes)}, '{one,two,three}')`;
  return {
    ...{ db, sql, slack, deliver, record },
    said: () => slack.requests.map((request) => String(JSON.parse(request.body).text)),
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await slack.stop();
      await db.drop();
    },
  };
}

describe("Slack", () => {
  test("is away for six hours and back: nothing is lost, and nothing floods", async () => {
    await using w = await world();
    w.slack.answer({ status: 503 });
    for (let minute = 0; minute < 360; minute++) {
      // One check fails all the time and gets worse, one comes and goes, one ends before anybody could hear of it.
      if (minute % 5 === 0) {
        await w.record(minute, {
          "one public.a": 10 + minute,
          ...(minute < 60 ? { "two public.b": 1 } : {}),
          ...(minute % 100 < 50 ? { "three public.c": 1, "three public.d": 2 } : {}),
        });
      }
      await w.deliver(minute);
    }
    const tries = w.slack.requests.length;
    assert.ok(tries > 20 && tries < 60, `${tries} tries: every 15 minutes, not every message`);
    w.slack.answer({});
    for (let minute = 360; minute < 390; minute++) {
      if (minute % 5 === 0) await w.record(minute, { "one public.a": 400 });
      await w.deliver(minute);
    }
    const heard = w.said().slice(tries);
    assert.ok(heard.length <= 6, `${heard.length} messages: ${heard.join("; ")}`);
    const [told] = await w.sql`
      select count(*)::int as incidents, count(*) filter (where not exists (
        select from bulkhead.alert_outbox as o
        join bulkhead.incidents as later on later.id = any (o.incident_ids)
        where o.state = 'sent' and later.fingerprint = i.fingerprint and later.id >= i.id))::int as untold
      from bulkhead.incidents as i`;
    assert.ok(Number(told?.["incidents"]) >= 4);
    assert.equal(told?.["untold"], 0, "whatever opened in these hours was told of");
    const [left] = await w
      .sql`select count(*)::int as n from bulkhead.alert_outbox where state in ('pending', 'dead')`;
    assert.equal(left?.["n"], 0);
  });

  test("gets at most one message of each thread at a time, with hundreds of incidents open", async () => {
    await using w = await world();
    const failing = Object.fromEntries(
      Array.from(
        { length: depth({ quick: 200, full: 2_000 }) },
        (_, n) => [`one public.t${n}`, 1 + n],
      ),
    );
    for (let minute = 0; minute <= 480; minute += 20) {
      await w.record(minute, failing);
      await w.deliver(minute);
    }
    assert.equal(w.slack.requests.length, 3, "opened, and repeated after four and eight hours");
    assert.ok(w.slack.requests.every((request) => request.body.length < 13_200));
  });
});

describe("pg_net and the function's host", () => {
  test("a call that is lost, repeated or answered by nobody changes nothing", async () => {
    await using w = await world();
    const port = await freePort();
    await w.sql`
      select vault.create_secret(${`http://127.0.0.1:${port}`}, 'bulkhead_functions_url'),
        vault.create_secret(${secret}, 'bulkhead_hmac_secret')`;
    await using sender = startHttpSender(w.db.superUrl, { poll: 0 });
    await w.sql`select bulkhead.enqueue_alert('notice', 'info', '{"title": "a"}')`;
    // Lost: a crash of the database empties the unlogged queue.
    await w.sql`select bulkhead.dispatch_alerts()`;
    await w.sql.unsafe("delete from net.http_request_queue");
    // Nobody there.
    await w.sql`select bulkhead.dispatch_alerts()`;
    await sender.drain();
    assert.equal(w.slack.requests.length, 0);
    const [waiting] = await w.sql`select state, attempts from bulkhead.alert_outbox`;
    assert.deepEqual({ ...waiting }, { state: "pending", attempts: 0 });
    // Back, and the same call twice, as a worker that failed in between sends it.
    await using host = await serve(w, port);
    await w.sql`select bulkhead.dispatch_alerts()`;
    await w.sql.unsafe(
      "insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds) select method, url, headers, body, timeout_milliseconds from net.http_request_queue",
    );
    await sender.drain();
    assert.deepEqual(host.answers.sort(), [200, 409]);
    await w.sql`select bulkhead.dispatch_alerts()`;
    await sender.drain();
    assert.equal(w.slack.requests.length, 1);
  });

  test("a clock that jumps is refused at the door, and nothing is lost", async () => {
    await using w = await world();
    const port = await freePort();
    await w.sql`
      select vault.create_secret(${`http://127.0.0.1:${port}`}, 'bulkhead_functions_url'),
        vault.create_secret(${secret}, 'bulkhead_hmac_secret')`;
    await using sender = startHttpSender(w.db.superUrl, { poll: 0 });
    await using host = await serve(w, port);
    await w.sql`select bulkhead.enqueue_alert('notice', 'info', '{"title": "a"}')`;
    for (const hours of [-1, 1]) {
      host.skewMs = hours * 3_600_000;
      await w.sql`select bulkhead.dispatch_alerts()`;
      await sender.drain();
    }
    assert.deepEqual(host.answers, [401, 401]);
    host.skewMs = 0;
    await w.sql`select bulkhead.dispatch_alerts()`;
    await sender.drain();
    assert.deepEqual([host.answers, w.slack.requests.length], [[401, 401, 200], 1]);
  });

  test("messages from a clock that was ahead leave when it is right again", async () => {
    await using w = await world();
    await w.record(60 * 24 * 30, { "one public.a": 1 });
    await w.sql`update bulkhead.alert_outbox set lease_token = gen_random_uuid(), leased_until = ${
      at(60 * 24 * 30 + 2)
    }`;
    await w
      .sql`insert into bulkhead.alert_channels (name, failures, closed_until) values ('slack', 3, ${
      at(60 * 24 * 30)
    })`;
    await w
      .sql`select vault.create_secret('http://127.0.0.1:9', 'bulkhead_functions_url'), vault.create_secret(${secret}, 'bulkhead_hmac_secret')`;
    await w.sql`select bulkhead.dispatch_alerts(${at(0)})`;
    await w.deliver(3);
    assert.equal(w.slack.requests.length, 1);
    // An incident that was told of in the future is repeated four hours from now, not in a month.
    for (const minutes of [5, 200, 244, 246]) {
      await w.record(minutes, { "one public.a": 1 });
      await w.deliver(minutes);
    }
    assert.equal(w.slack.requests.length, 2);
  });
});

/** The function `alert` on a port of its own, under the real clock but for what the test adds. */
async function serve(w: { sql: postgres.Sql; slack: Webhook }, port: number) {
  const { createServer } = await import("node:http");
  const host = { skewMs: 0, answers: [] as number[] };
  const handle = alertHandler(() => ({
    outbox: createOutbox((text, values) => w.sql.unsafe(text, values as never[])),
    routes: readRoutes({ SLACK_WEBHOOK_URL: w.slack.url } as never, {
      ...{ fetch, project },
      now: () => new Date(),
    }),
    pingUrl: undefined,
    hmacSecret: secret,
    fetch,
    now: () => new Date(Date.now() + host.skewMs),
    sleep: () => Promise.resolve(),
  }));
  const listener = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await handle(
      new Request(`http://127.0.0.1${request.url}`, {
        method: "POST",
        headers: { "x-bulkhead-signature": String(request.headers["x-bulkhead-signature"]) },
        body: Buffer.concat(chunks),
      }),
    );
    host.answers.push(answer.status);
    response.writeHead(answer.status).end(await answer.text());
  });
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
  return Object.assign(host, {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        listener.close(() => resolve());
        listener.closeAllConnections();
      }),
  });
}

describe("the outbox", () => {
  test("claims as fast with 100,000 messages as with ten", async () => {
    await using w = await world();
    const fill = (count: number, thread: string | null) =>
      w.sql`
        insert into bulkhead.alert_outbox (kind, severity, payload, thread, created_at, due_at, waiting_since)
        select 'notice', 'warning', '{"title": "x"}', ${thread}, ${at(0)}, ${at(0)}, ${
        at(0)
      } from generate_series(1, ${count})`;
    const claim = async () => {
      const times: number[] = [];
      for (let n = 0; n < 21; n++) {
        const started = performance.now();
        await w.sql`select id from bulkhead.claim_alerts(1, at_time => ${at(1)})`;
        times.push(performance.now() - started);
      }
      return times.sort((a, b) => a - b)[10] ?? Infinity;
    };
    await fill(30, null);
    const few = await claim();
    await fill(100_000, null);
    await w.sql`analyze bulkhead.alert_outbox`;
    const many = await claim();
    assert.ok(many < Math.max(10 * few, 20), `${few} ms with 30, ${many} ms with 100,000`);
    // What is critical goes first, however long the queue.
    await w
      .sql`select bulkhead.enqueue_alert('notice', 'critical', '{"title": "now"}', at_time => ${
      at(0)
    })`;
    const [first] = await w.sql`select payload from bulkhead.claim_alerts(1, at_time => ${at(1)})`;
    assert.deepEqual(first?.["payload"], { title: "now" });
    // All of one thread behind one that is retried: a pathological queue that only a hand can make.
    await w.sql`truncate bulkhead.alert_outbox`;
    await fill(100_000, "one");
    await w.sql`update bulkhead.alert_outbox set due_at = ${
      at(15)
    } where id = (select min(id) from bulkhead.alert_outbox)`;
    await w.sql`analyze bulkhead.alert_outbox`;
    const started = performance.now();
    const blocked = await w.sql`select id from bulkhead.claim_alerts(1, at_time => ${at(1)})`;
    assert.equal(blocked.length, 0);
    assert.ok(performance.now() - started < 5_000);
  });
});

describe("the database", () => {
  test("is killed in the middle of each job, and each job is whole when it is run again", async () => {
    await using own = await startPostgres();
    const db = await openhouseDatabase(own, { rows: 60 });
    const jobs = await once(
      db.url,
      (sql) => sql`select name, command from bulkhead.jobs order by name`,
    );
    assert.ok(jobs.length >= 10);
    const before = await once(db.url, counts);
    await once(
      db.url,
      (sql) =>
        sql`select vault.create_secret('http://127.0.0.1:9', 'bulkhead_functions_url'),
          vault.create_secret(${"5e".repeat(32)}, 'bulkhead_hmac_secret')`,
    );
    await once(
      db.url,
      (sql) =>
        sql`select bulkhead.add_canary('aaa_takes_long', 'select 1 as observed where pg_sleep(2) is null')`,
    );
    for (const { name, command } of depthOf(jobs)) {
      const session = postgres(db.url, { max: 1, onnotice: () => {}, connect_timeout: 5 });
      const open = await session.reserve();
      if (/^call /.test(command)) {
        // It commits by itself: it is killed in the midst of a check, which others see running.
        open.unsafe(command).catch(() => {});
        await once(db.url, async (sql) => {
          for (let tries = 0; tries < 600; tries++) {
            const [row] = await sql`select 1 from bulkhead.canary_runs where status = 'running'`;
            if (row !== undefined) return;
            await sleep(50);
          }
          assert.fail(`${name} begins no check`);
        });
      } else {
        // The worst moment: all is done and nothing is committed.
        await open.unsafe("begin");
        await open.unsafe(command).catch((error) => assert.fail(`${name}: ${error}`));
      }
      await own.kill();
      await own.restart();
      await session.end({ timeout: 0 }).catch(() => {});
      await once(db.url, (sql) => sql.unsafe(command)).catch((error) =>
        assert.fail(`${name} after the restart: ${error}`)
      );
    }
    await once(db.url, (sql) => sql`select bulkhead.reap_canaries()`);
    const [running] = await once(
      db.url,
      (sql) => sql`select count(*)::int as n from bulkhead.canary_runs where status = 'running'`,
    );
    assert.equal(running?.["n"], 0, "no run is left half-done");
    const [broken] = await once(
      db.url,
      (sql) => sql`select count(*)::int as n from bulkhead.verify_audit()`,
    );
    assert.equal(broken?.["n"], 0, "the ledger verifies");
    assert.deepEqual(await once(db.url, counts), before, "and no row of a tenant is touched");
  });

  test("dies between the post and the mark: the message is sent again with its number", async () => {
    await using own = await startPostgres();
    const db = await kitDatabase(own);
    await using slack = await startWebhook();
    await once(
      db.url,
      (sql) =>
        sql`select bulkhead.enqueue_alert('notice', 'info', '{"title": "a"}', at_time => ${at(0)})`,
    );
    const routes = readRoutes({ SLACK_WEBHOOK_URL: slack.url } as never, {
      ...{ project, fetch },
      now: () => at(0),
    });
    const worker = postgres(db.url, { max: 1, onnotice: () => {}, connect_timeout: 2 });
    const kill = {
      ...routes.info[0]!,
      send: async (...message: Parameters<typeof routes.info[0]["send"]>) => {
        const sending = await routes.info[0]!.send(...message);
        await own.kill();
        return sending;
      },
    };
    const run = (sql: postgres.Sql, minutes: number, channel: typeof kill) =>
      deliverAlerts({
        outbox: createOutbox((text, values) => sql.unsafe(text, values as never[]), () =>
          at(minutes)),
        routes: { critical: [channel], warning: [channel], info: [channel] },
        now: () =>
          at(minutes),
        sleep: () => Promise.resolve(),
      });
    await assert.rejects(run(worker, 0, kill));
    await worker.end({ timeout: 0 }).catch(() => {});
    await own.restart();
    await once(db.url, async (sql) => {
      assert.equal((await run(sql, 1, routes.info[0]!)).sent, 0, "the lease still holds");
      assert.equal((await run(sql, 3, routes.info[0]!)).sent, 1);
    });
    assert.equal(slack.requests.length, 2);
    assert.deepEqual(slack.requests[0]?.body, slack.requests[1]?.body);
  });
});

async function once<T>(url: string, work: (sql: postgres.Sql) => Promise<T> | T): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function counts(sql: postgres.Sql) {
  const [row] = await sql`
    select (select count(*)::int from public.messages) as messages, (select count(*)::int from public.tenants) as tenants`;
  return { ...row };
}

/** Every job at full depth; the ones that write most otherwise. */
function depthOf<T extends { name?: string }>(jobs: readonly T[]): readonly T[] {
  const few = ["bulkhead:audit:seal", "bulkhead:canaries:run", "bulkhead:alerting:dispatch"];
  return depth({ quick: 0, full: 1 }) === 1
    ? jobs
    : jobs.filter((job) => few.includes(String(job.name)));
}

describe("the schedule", () => {
  test("runs twice at once, and a tenant is deleted meanwhile: one set of incidents, one message each", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    await using copy = await cloneOf(server, db.name);
    const [one, two, three] = [1, 2, 3].map(() =>
      postgres(copy.url, { max: 1, onnotice: () => {} })
    );
    try {
      await one!.unsafe("alter table public.messages drop constraint messages_unit_id_fkey");
      const [{ gone } = { gone: "" }] = await one!<{ gone: string }[]>`
        select tenant_id as gone from public.messages group by 1 order by count(*) desc limit 1`;
      const passes = await Promise.allSettled([
        one!`select * from bulkhead.run_canaries()`,
        two!`select * from bulkhead.run_canaries()`,
        one!`select * from bulkhead.run_canaries('nightly')`,
        two!`select bulkhead.seal()`,
        two!`select bulkhead.dispatch_alerts()`,
        three!.unsafe(
          `delete from public.messages where tenant_id = '${gone}'; delete from public.onboarding_attempts where tenant_id = '${gone}';
           delete from public.units where tenant_id = '${gone}'; delete from public.developments where tenant_id = '${gone}';
           delete from public.members where tenant_id = '${gone}'; delete from public.tenants where id = '${gone}'`,
        ),
      ]);
      const failed = passes.flatMap((p) => p.status === "rejected" ? [String(p.reason)] : []);
      assert.deepEqual(
        failed.filter((reason) => !/bulkhead_functions_url/.test(reason)),
        [],
        "no pass fails because of another",
      );
      const left = await one!`select id from public.tenants where id = ${gone}`;
      assert.equal(left.length, 0, "the tenant is gone");
      // Its rows are missed, by name, and nothing is unknown or an orphan because of it.
      const after = await one!`select name, subject, status from bulkhead.run_canaries('nightly')
        where status <> 'pass' and name not in ('ledger_sample')`;
      assert.deepEqual(
        [...new Set(after.map((row) => `${row["name"]} ${row["status"]}`))],
        ["abnormal_deletes fail"],
      );
      const doubles = await one!`
        select fingerprint from bulkhead.incidents where state = 'open' group by fingerprint having count(*) > 1`;
      assert.equal(doubles.length, 0);
      const threads = await one!`
        select thread from bulkhead.alert_outbox where state = 'pending' and thread is not null
        group by thread having count(*) > 1`;
      assert.equal(threads.length, 0);
    } finally {
      await Promise.all([one, two, three].map((sql) => sql!.end({ timeout: 1 })));
    }
  });

  test("stops: watch() says so, no ping leaves, and the status is not green", async () => {
    await using w = await world();
    await w
      .sql`select vault.create_secret('http://127.0.0.1:9', 'bulkhead_functions_url'), vault.create_secret(${secret}, 'bulkhead_hmac_secret')`;
    const ran = async (minutesAgo: number) => {
      await w.sql.unsafe("delete from cron.job_run_details");
      await w.sql`
        insert into cron.job_run_details (jobid, database, username, command, status, start_time, end_time)
        select jobid, database, username, command, 'succeeded', now() - ${minutesAgo} * interval '1 minute',
          now() - ${minutesAgo} * interval '1 minute'
        from cron.job where jobname like 'bulkhead:%'`;
    };
    const watch = async () => (await w.sql`select bulkhead.watch() as watch`)[0]?.["watch"];
    const ping = async () => (await w.sql`select bulkhead.ping() as id`)[0]?.["id"];
    // pg_cron still runs the jobs of the database that this one was copied from.
    await w.sql`select bulkhead.schedule()`;
    assert.equal((await watch()).is_fresh, false, "nothing ever ran");
    assert.equal(await ping(), null);
    await w.sql`update bulkhead.canaries set is_enabled = false where cadence = 'nightly'`;
    await w.sql`select bulkhead.run_canaries()`;
    await w
      .sql`update bulkhead.incidents set state = 'resolved', resolved_at = now() where state = 'open'`;
    await ran(1);
    assert.deepEqual((await watch()).problems, []);
    assert.notEqual(await ping(), null, "well: the ping leaves");
    await ran(40);
    assert.deepEqual((await watch()).problems, [
      "the scheduler is silent",
      "the ledger is not being sealed",
    ]);
    assert.equal(await ping(), null, "and stops with the scheduler");
    await ran(1);
    await w.sql`update bulkhead.canary_runs set finished_at = now() - interval '20 minutes'`;
    assert.deepEqual((await watch()).problems, ["the canaries are silent"]);
    await w.sql`update bulkhead.canary_runs set finished_at = now()`;
    await w.sql`
      select bulkhead.record_results(array[bulkhead.check_row('one', 'public.a', 'x', 'critical', 'canaries', 'fail')])`;
    assert.deepEqual((await watch()).problems, ["1 critical incident(s) are open"]);
    assert.equal(await ping(), null, "red: no ping");
    await w
      .sql`select bulkhead.acknowledge(fingerprint) from bulkhead.incidents where state = 'open'`;
    assert.deepEqual((await watch()).problems, [], "somebody is on it: the watch itself is well");
    await w
      .sql`update bulkhead.alert_outbox set waiting_since = now() - interval '31 minutes' where state = 'pending'`;
    assert.deepEqual((await watch()).problems, ["alerts do not leave"]);
  });
});
