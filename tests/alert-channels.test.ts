import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { deliverAlerts } from "../functions/_core/alert/deliver.ts";
import { createOutbox } from "../functions/_core/alert/outbox.ts";
import { ping } from "../functions/_core/alert/ping.ts";
import { readRoutes, type RouteEnv, type Routes } from "../functions/_core/alert/routes.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";
import { startWebhook } from "./support/webhook.ts";

const secret = "0f".repeat(32);
const NOW = new Date("2026-11-21T03:00:00Z");
const routes = (env: Partial<RouteEnv>): Routes =>
  readRoutes({ ...NONE, ...env }, { fetch, project: "abcd", now: () => NOW, timeoutMs: 2_000 });
const NONE = Object.fromEntries(
  ["SLACK_WEBHOOK_URL", "BULKHEAD_WEBHOOK_URL"].map((name) => [name, undefined]),
) as RouteEnv;
const names = (made: Routes) =>
  Object.fromEntries(Object.entries(made).map(([k, channels]) => [k, channels.map((c) => c.name)]));

describe("where alerts go", () => {
  test("readRoutes() sends each severity to its own webhook, and what has none to the shared one", () => {
    const url = "https://hooks.slack.com/services/a";
    assert.deepEqual(names(routes({ SLACK_WEBHOOK_URL: url })), {
      critical: ["slack"],
      warning: ["slack"],
      info: ["slack"],
    });
    assert.deepEqual(
      names(routes({
        SLACK_WEBHOOK_URL: url,
        BULKHEAD_SLACK_WEBHOOK_CRITICAL: "https://hooks.slack.com/services/b",
        BULKHEAD_SLACK_WEBHOOK_INFO: url,
        BULKHEAD_WEBHOOK_CRITICAL: "https://pager.example/in",
        BULKHEAD_WEBHOOK_SECRET: secret,
      })),
      { critical: ["slack_critical", "webhook_critical"], warning: ["slack"], info: ["slack"] },
    );
  });

  test("readRoutes() refuses a severity that reaches nobody, and a webhook without secret", () => {
    assert.throws(() => routes({}), { code: "BH_ENV", message: /SLACK_WEBHOOK_URL is not set/ });
    const some = { BULKHEAD_SLACK_WEBHOOK_CRITICAL: "https://hooks.slack.com/services/b" };
    assert.throws(() => routes(some), { code: "BH_ENV" });
    assert.throws(
      () => routes({ BULKHEAD_WEBHOOK_URL: "https://pager.example/in" }),
      { code: "BH_ENV", message: /BULKHEAD_WEBHOOK_SECRET/ },
    );
  });
});

describe("the ping", () => {
  const sleep = () => Promise.resolve();
  test("ping() asks the URL, tries three times, and never names it", async () => {
    await using clock = await startWebhook();
    assert.deepEqual(await ping({ url: undefined, fetch, sleep }), { pinged: false });
    assert.deepEqual(await ping({ url: clock.url, fetch, sleep }), { pinged: true });
    clock.answer({ status: 502 }, { hangUp: true }, { status: 200 });
    assert.deepEqual(await ping({ url: clock.url, fetch, sleep }), { pinged: true });
    clock.answer({ status: 404 });
    await assert.rejects(
      ping({ url: clock.url, fetch, sleep }),
      (error: Error & { code?: string }) =>
        error.code === "BH_PING" && !error.message.includes(clock.url),
    );
    assert.equal(clock.requests.length, 7);
    assert.ok(clock.requests.every((request) => request.method === "GET"));
  });
});

describe("two channels", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  before(async () => {
    server = await startPostgres();
    db = await kitDatabase(server);
    sql = postgres(db.url, { max: 3, onnotice: () => {} });
  });
  after(async () => {
    await sql?.end({ timeout: 1 });
    await server?.stop();
  });
  const at = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000);
  const notice = (title: string, minutes = 0, severity = "critical") =>
    sql`select bulkhead.enqueue_alert('notice', ${severity}, ${sql.json({ title })}, at_time => ${
      at(minutes)
    })`;
  const deliver = (made: Routes, minutes: number) =>
    deliverAlerts({
      outbox: createOutbox(
        (text, values) => sql.unsafe(text, values as never[]),
        () => at(minutes),
      ),
      routes: made,
      now: () => at(minutes),
      sleep: () => Promise.resolve(),
    });
  const anew = () => sql`truncate bulkhead.alert_outbox, bulkhead.alert_channels`;
  const texts = (requests: { body: string }[]) =>
    requests.map(({ body }) => {
      const parsed = JSON.parse(body);
      return parsed.notice?.title ?? String(parsed.text).split(": ").at(-1);
    });

  test("one that is away holds up no other, and gets its message later, alone", async () => {
    await anew();
    await using slack = await startWebhook();
    await using pager = await startWebhook({ path: "/in" });
    const made = routes({
      SLACK_WEBHOOK_URL: slack.url,
      BULKHEAD_WEBHOOK_URL: pager.url,
      BULKHEAD_WEBHOOK_SECRET: secret,
    });
    pager.answer({ status: 503 });
    for (const title of ["a", "b", "c"]) await notice(title);
    await deliver(made, 0);
    assert.deepEqual(texts(slack.requests), ["a", "b", "c"]);
    assert.equal(pager.requests.length, 1, "the others were not even tried");
    pager.answer({});
    await deliver(made, 1);
    assert.equal(slack.requests.length, 3, "what Slack has it does not get again");
    assert.deepEqual(texts(pager.requests).slice(1), ["a", "b", "c"]);
    const [row] = await sql`
      select count(*)::int as n from bulkhead.alert_outbox
      where state = 'sent' and delivered_to = '{slack,webhook}'`;
    assert.equal(row?.["n"], 3);
  });

  test("Retry-After of one message is obeyed for all", async () => {
    await anew();
    await using slack = await startWebhook();
    const made = routes({ SLACK_WEBHOOK_URL: slack.url });
    slack.answer({ status: 429, headers: { "retry-after": "600" } });
    await notice("a");
    await deliver(made, 0);
    await notice("b", 1);
    slack.answer({});
    for (const minute of [1, 2, 5, 9]) await deliver(made, minute);
    assert.equal(slack.requests.length, 1, "ten minutes of silence");
    await deliver(made, 11);
    assert.deepEqual(texts(slack.requests).slice(1).sort(), ["a", "b"]);
  });

  test("a webhook that is gone is a dead letter, the other channel has the message", async () => {
    await anew();
    await using slack = await startWebhook();
    await using pager = await startWebhook({ path: "/in" });
    const made = routes({
      SLACK_WEBHOOK_URL: slack.url,
      BULKHEAD_WEBHOOK_CRITICAL: pager.url,
      BULKHEAD_WEBHOOK_SECRET: secret,
    });
    slack.answer({ status: 410 });
    await notice("a");
    await deliver(made, 0);
    const [row] = await sql`select state, delivered_to, last_error from bulkhead.alert_outbox`;
    assert.deepEqual({ ...row }, {
      state: "dead",
      delivered_to: ["webhook_critical"],
      last_error: "slack: HTTP 410 ok",
    });
    slack.answer({});
    await sql`select bulkhead.requeue_alert(id) from bulkhead.alert_outbox`;
    await deliver(made, 60 * 24 * 365);
    assert.deepEqual([slack.requests.length, pager.requests.length], [2, 1]);
  });

  test("the receiver of docs/alerting.md accepts the JSON, and nothing that was changed", async () => {
    await anew();
    await using pager = await startWebhook({ path: "/in" });
    const made = routes({
      BULKHEAD_WEBHOOK_URL: pager.url,
      BULKHEAD_WEBHOOK_SECRET: secret,
    });
    await sql`
      select bulkhead.record_results(array[bulkhead.check_row('made_up', 'public.a', 'Made <up>', 'critical', 'canaries',
        'fail', 3, 0, 'a detail', 'a remedy')], ${at(0)})`;
    await deliver(made, 0);
    const [request] = await pager.received(1);
    const body = JSON.parse(request!.body);
    assert.deepEqual(Object.keys(body), [
      ...["version", "id", "kind", "severity", "sequence", "project", "incident"],
    ]);
    const documented = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
    assert.deepEqual(Object.keys(body.incident), Object.keys(JSON.parse(documented).incident));
    const header = request!.headers["x-bulkhead-signature"] ?? "";
    assert.ok(isFromBulkhead(secret, header, request!.body, NOW.getTime()));
    assert.ok(!isFromBulkhead(secret, header, `${request!.body} `, NOW.getTime()));
    assert.ok(!isFromBulkhead("0e".repeat(32), header, request!.body, NOW.getTime()));
    assert.ok(!isFromBulkhead(secret, header, request!.body, NOW.getTime() + 301_000));
  });
});

const page = readFileSync(new URL("../docs/alerting.md", import.meta.url), "utf8");
type Receiver = (secret: string, header: string, body: string, now: number) => boolean;
/** The code of the page itself, so that it can't be wrong. */
const isFromBulkhead = new Function(
  "createHmac",
  "timingSafeEqual",
  `${
    (/```js\n([\s\S]*?)```/.exec(page)?.[1] ?? "").replace(/^import.*$/m, "").replace("export ", "")
  }\nreturn isFromBulkhead;`,
)(createHmac, timingSafeEqual) as Receiver;
