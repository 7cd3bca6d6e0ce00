import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import postgres from "postgres";
import { deliverAlerts } from "../functions/_core/alert/deliver.ts";
import { alertHandler } from "../functions/_core/alert/handler.ts";
import {
  type Claim,
  createOutbox,
  type Outbox,
  type Settlement,
} from "../functions/_core/alert/outbox.ts";
import { type Alert, alert } from "../functions/_core/alert/payload.ts";
import { renderAlert, renderPlain, type SlackMessage } from "../functions/_core/alert/render.ts";
import type { Channel, Sending } from "../functions/_core/alert/channel.ts";
import { postToSlack, slackChannel } from "../functions/_core/alert/slack.ts";
import { code, fit, plain } from "../functions/_core/alert/text.ts";
import { decide, type Memory, memory } from "../functions/_core/alert/memory.ts";
import { judge } from "../functions/_core/alert/watch.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { sign, SIGNATURE_HEADER } from "../functions/_core/signature.ts";
import { startFunctions } from "./support/functions-host.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";
import { type Answer, startWebhook } from "./support/webhook.ts";

const secret = "0f".repeat(32);
const project = "abcd.supabase.co";

const incident = {
  kind: "opened",
  severity: "critical",
  sequence: 1,
  payload: {
    kind: "opened",
    name: "abnormal_deletes",
    title: "An abnormal number of rows deleted",
    subject: "public.messages, tenant 5f0c",
    severity: "critical",
    category: "canaries",
    status: "fail",
    observed: 4000,
    threshold: 1667,
    detail:
      "4000 row(s) of public.messages deleted and not put back: 34 % of its rows. 4000 row(s) by service_role for mallory in transaction 7744 at 2026-11-21 02:58 UTC",
    tenants: "5f0c",
    remediation:
      "Ask the actor named above whether it was meant.\nIf not, stop them first.\nPut the rows back.",
    sample_ids: ["a1", "a2", "a3", "a4", "a5"],
    reproduce_sql:
      "select * from bulkhead.net_deletes('public.messages', now() - interval '24 hours', 'infinity', '5f0c')",
    runbook: "docs/runbooks/abnormal_deletes.md",
    fingerprint: "0123456789abcdef0123456789abcdef",
    incident_id: 17,
    sequence: 1,
    breaches: 1,
    opened_at: "2026-11-21T03:00:00+00:00",
    last_seen_at: "2026-11-21T03:00:00+00:00",
    resolved_at: null,
    database: "postgres",
  },
};
const of = (overrides: Record<string, unknown>, payload: Record<string, unknown> = {}) =>
  alert.parse({ ...incident, ...overrides, payload: { ...incident.payload, ...payload } });
const notice = alert.parse({
  kind: "notice",
  id: "42",
  severity: "info",
  sequence: 1,
  payload: {
    title: "Restore drill passed",
    detail: "The newest backup of 3 tenants restores and matches.",
    facts: { Rows: 50000, Took: "41 s" },
    actions: [],
    runbook: "https://example.org/runbooks/drill",
  },
});

/** One channel for everything, in the place of Slack. */
function routesTo(send: Channel["send"]) {
  const channels = [{ name: "slack", send }];
  return { critical: channels, warning: channels, info: channels };
}
/** The words that a notification would show. */
const words = (message: Parameters<Channel["send"]>[0]) => renderAlert(message, { project }).text;

const SNAPSHOTS = new URL("./support/alert-messages.json", import.meta.url);

describe("messages", () => {
  test("renderAlert() writes what a person needs at 3 a.m.", () => {
    const unknown = {
      status: "unknown",
      observed: null,
      sample_ids: [],
      detail: "Cannot look at public.units: lock timeout",
    };
    const member = (place: string, kind = "opened", observed: number | null = 12) => ({
      kind,
      name: "abnormal_deletes",
      title: incident.payload.title,
      subject: place,
      severity: "warning",
      observed,
      threshold: 0,
      tenants: "5f0c",
      opened_at: "2026-11-21T03:00:00+00:00",
      fingerprint: "0123456789abcdef0123456789abcdef",
      incident_id: 17,
      sequence: 1,
    });
    const group = {
      members: [
        member("public.messages", "opened", 4000),
        ...Array.from({ length: 17 }, (_, n) => member(`public.table_${n}`)),
        member("public.units", "worsened"),
        member("public.invoices", "resolved"),
      ],
      total: 31,
      others: 4,
    };
    const over = { resolved_at: "2026-11-21T04:25:00Z", sequence: 3, observed: 4000 };
    const messages = {
      opened: renderAlert(of({}), { project }),
      worsened: renderAlert(of({ kind: "worsened", sequence: 2 }, { sequence: 2, breaches: 4 }), {
        project,
      }),
      unknown: renderAlert(of({ severity: "warning" }, { severity: "warning", ...unknown }), {
        project,
      }),
      resolved: renderAlert(of({ kind: "resolved", sequence: 3 }, over), { project }),
      group: renderAlert(of({}, group), { project }),
      cameBack: renderAlert(of({}, { relapses: 2, acknowledged_by: "kim" }), {
        project,
        runbookUrl: "https://example.org/app/blob/main/",
      }),
      blindGroup: renderAlert(
        of({ severity: "warning" }, {
          severity: "warning",
          ...unknown,
          members: [member("database", "opened", null), {
            ...member("database", "opened", null),
            name: "orphaned_rows",
            title: "Rows whose parent is gone",
          }],
          total: 2,
        }),
        { project },
      ),
      notice: renderAlert(notice, { project }),
      plain: renderPlain(of({}), { project }),
    };
    if (process.env["BULKHEAD_UPDATE_SNAPSHOT"] === "1") {
      writeFileSync(SNAPSHOTS, `${JSON.stringify(messages, null, 2)}\n`);
    }
    assert.deepEqual(
      JSON.parse(JSON.stringify(messages)),
      JSON.parse(readFileSync(SNAPSHOTS, "utf8")),
    );
  });

  test("fit() escapes the ampersand first, cuts before it escapes, and never inside a character", () => {
    assert.equal(
      fit("<!channel> & <https://evil.example|log in>", 200),
      "&lt;!channel&gt; &amp; &lt;https://evil.example|log in&gt;",
    );
    assert.equal(fit("&&&", 11), "&amp;&amp;…");
    assert.equal(fit("ab😀cd", 4), "ab…");
    assert.equal(code("a`b\nc", 50), "`a'b c`");
    assert.equal(plain("a\u202eb\u0007\n c", 150), "a b c");
  });

  test("renderAlert() stays within Slack's budget and lets no row write markup", () => {
    const nasty = fc.string({
      unit: fc.constantFrom(
        "<",
        "&",
        ">",
        "!",
        "@",
        "`",
        "*",
        "\n",
        "😀",
        "a",
        "<!here>",
        "<https://x|y>",
      ),
      maxLength: 4000,
    });
    fc.assert(
      fc.property(nasty, nasty, fc.boolean(), (one, two, isGroup) => {
        const rendered = of({}, {
          title: one,
          detail: two,
          tenants: one,
          subject: two,
          remediation: one,
          reproduce_sql: two,
          runbook: one,
          sample_ids: Array.from({ length: 20 }, () => two),
          fingerprint: two,
          acknowledged_by: two,
          relapses: 9,
          others: 1e9,
          ...(isGroup && {
            total: 1e9,
            members: Array.from({ length: 20 }, () => ({
              ...incident.payload,
              title: one,
              subject: two,
              tenants: one,
              fingerprint: two,
            })),
          }),
        });
        for (
          const message of [
            renderAlert(rendered, { project: one, runbookUrl: two }),
            renderPlain(rendered, { project: two }),
          ]
        ) {
          const texts = textsOf(message);
          assert.ok(texts.reduce((sum, text) => sum + text.length, 0) < 10_000);
          assert.ok((message.blocks ?? []).length <= 50);
          for (const block of message.blocks ?? []) {
            if (block.type === "header") assert.ok(block.text.text.length <= 150);
            if (block.type === "section") {
              assert.ok((block.text?.text.length ?? 0) <= 3000);
              assert.ok((block.fields?.length ?? 0) <= 10);
              for (const field of block.fields ?? []) assert.ok(field.text.length <= 2000);
            }
          }
          const mrkdwn = (message.blocks ?? []).flatMap((block) =>
            block.type === "header" ? [] : textsOf({ ...message, text: "", blocks: [block] })
          );
          for (const text of [message.text, ...mrkdwn]) {
            assert.doesNotMatch(text, /[<>]|&(?!amp;|lt;|gt;)/);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

function textsOf(message: SlackMessage): string[] {
  const blocks = (message.blocks ?? []).flatMap((block) =>
    block.type === "header"
      ? [block.text]
      : block.type === "section"
      ? [...(block.text ? [block.text] : []), ...(block.fields ?? [])]
      : block.type === "context"
      ? block.elements
      : []
  );
  return [message.text, ...blocks.map((block) => block.text)];
}

describe("posting", () => {
  const answering = (status: number, body = "", headers: Record<string, string> = {}) =>
    postToSlack("https://hooks.example/secret", renderAlert(notice, { project }), {
      fetch: () => Promise.resolve(new Response(body, { status, headers })),
    });

  test("postToSlack() tells what to do from the answer", async () => {
    assert.deepEqual(await answering(200, "ok"), { outcome: "sent" });
    assert.deepEqual(await answering(429, "", { "retry-after": "30" }), {
      outcome: "retry",
      error: "HTTP 429",
      retryAfterSeconds: 30,
    });
    assert.deepEqual(await answering(429, "", { "retry-after": "Fri, 31 Dec 1999" }), {
      outcome: "retry",
      error: "HTTP 429",
      retryAfterSeconds: 60,
    });
    assert.deepEqual(await answering(400, "invalid_blocks"), {
      outcome: "malformed",
      error: "HTTP 400 invalid_blocks",
    });
    for (const status of [500, 502, 503, 408]) {
      assert.equal((await answering(status)).outcome, "retry");
    }
    for (const status of [403, 404, 410, 302]) {
      assert.equal((await answering(status)).outcome, "dead");
    }
  });

  test("postToSlack() retries when nobody answers, and never names the URL", async () => {
    const outcome = await postToSlack(
      "https://hooks.example/secret",
      renderAlert(notice, { project }),
      {
        fetch: () => Promise.reject(new TypeError("failed https://hooks.example/secret")),
      },
    );
    assert.deepEqual(outcome, { outcome: "retry", error: "the webhook is unreachable" });
  });

  test("postToSlack() gives up waiting", async () => {
    await using webhook = await startWebhook();
    webhook.answer({ delayMs: 5_000 });
    const outcome = await postToSlack(webhook.url, renderAlert(notice, { project }), {
      fetch,
      timeoutMs: 50,
    });
    assert.deepEqual(outcome, { outcome: "retry", error: "no answer in time" });
  });
});

describe("delivery", () => {
  const claims = (count: number): Claim[] =>
    Array.from({ length: count }, (_, index) => ({
      ...incident,
      id: String(index),
      token: "t",
      delivered: [],
    }));

  async function deliver(queue: Claim[], answers: Sending[]) {
    const settled: Settlement[] = [];
    const noted: string[] = [];
    const slept: number[] = [];
    const outbox: Outbox = {
      accept: () => Promise.resolve(true),
      claim: () => Promise.resolve(queue.shift()),
      settle: (_, settlement) => Promise.resolve(settled.push(settlement) > 0),
      closed: () => Promise.resolve(new Map()),
      note: (channel, sending) => {
        noted.push(`${channel} ${sending.outcome}`);
        return Promise.resolve(
          sending.outcome === "retry" ? sending.retryAfterSeconds ?? 30 : undefined,
        );
      },
    };
    let posted = 0;
    const counts = await deliverAlerts({
      outbox,
      routes: routesTo(() =>
        Promise.resolve((posted++, answers.shift() ?? { outcome: "sent" as const }))
      ),
      now: () => new Date(0),
      sleep: (ms) => Promise.resolve(void slept.push(ms)),
    });
    return { counts, settled, posted, slept, noted };
  }

  test("deliverAlerts() sends one message a second until nothing is due", async () => {
    const { counts, slept } = await deliver(claims(3), []);
    assert.deepEqual(counts, { sent: 3, retried: 0, dead: 0, lost: 0 });
    assert.deepEqual(slept, [1000, 1000, 1000]);
  });

  test("slackChannel() falls back to plain text once, then gives the message up", async () => {
    const say = async (...answers: Response[]) => {
      const bodies: SlackMessage[] = [];
      const channel = slackChannel("slack", "https://hooks.example/secret", {
        project,
        fetch: (_, init) => {
          bodies.push(JSON.parse(String(init?.body)));
          return Promise.resolve(answers.shift()!);
        },
      });
      return { sending: await channel.send(of({})), bodies };
    };
    const refusal = () => new Response("invalid_blocks", { status: 400 });
    const fell = await say(refusal(), new Response("ok"));
    assert.deepEqual(fell.sending, { outcome: "sent" });
    assert.deepEqual(fell.bodies.map((body) => body.blocks === undefined), [false, true]);
    const gone = await say(refusal(), refusal());
    assert.deepEqual(gone.sending, { outcome: "dead", error: "HTTP 400 invalid_blocks" });
  });

  test("deliverAlerts() stops when Slack is busy and leaves the rest for later", async () => {
    const { counts, settled, posted, noted } = await deliver(claims(3), [{
      outcome: "retry",
      error: "HTTP 429",
      retryAfterSeconds: 30,
    }]);
    assert.deepEqual([counts.retried, posted, noted], [1, 1, ["slack retry"]]);
    assert.deepEqual(settled, [{
      outcome: "retry",
      error: "slack: HTTP 429",
      retryAfterSeconds: 30,
      delivered: [],
    }]);
  });

  test("deliverAlerts() gives up what the other side will never take", async () => {
    const { counts, settled } = await deliver(claims(2), [{ outcome: "dead", error: "HTTP 404" }]);
    assert.deepEqual([counts.dead, counts.sent], [1, 1]);
    assert.deepEqual(settled[0], { outcome: "dead", error: "slack: HTTP 404", delivered: [] });
  });

  test("deliverAlerts() gives up a payload that it can't read instead of trying for ever", async () => {
    const { settled } = await deliver([{ ...claims(1)[0]!, payload: { title: 1 } }], []);
    assert.equal(settled[0]?.outcome, "dead");
  });
});

describe("the handler", () => {
  const now = new Date("2026-11-21T03:00:00Z");
  const seen = new Set<string>();
  const handle = alertHandler(() => ({
    outbox: {
      accept: (signature) => Promise.resolve(!seen.has(signature) && !!seen.add(signature)),
      claim: () => Promise.resolve(undefined),
      settle: () => Promise.resolve(true),
      closed: () => Promise.resolve(new Map()),
      note: () => Promise.resolve(undefined),
    },
    hmacSecret: secret,
    routes: routesTo(() => Promise.resolve({ outcome: "sent" })),
    pingUrl: undefined,
    fetch,
    now: () => now,
    sleep: () => Promise.resolve(),
  }));
  const call = async (body: string, header?: string, method = "POST") => {
    const response = await handle(
      new Request("http://127.0.0.1/alert", {
        method,
        ...(method === "POST" ? { body } : {}),
        headers: header === undefined ? {} : { [SIGNATURE_HEADER]: header },
      }),
    );
    const answer = await response.json() as Record<string, unknown>;
    if (!response.ok) assert.deepEqual(Object.keys(answer), ["code", "message"]);
    return [response.status, answer["code"] ?? answer["sent"]];
  };

  test("alertHandler() answers a signed call once, and every other one with a code", async () => {
    const body = JSON.stringify({ action: "deliver", nonce: randomUUID() });
    const header = await sign(secret, body, now);
    assert.deepEqual(await call(body, header), [200, 0]);
    assert.deepEqual(await call(body, header), [409, "BH_REPLAY"]);
    assert.deepEqual(await call(` ${body}`, header), [401, "BH_SIGNATURE"]);
    assert.deepEqual(await call(body), [401, "BH_SIGNATURE"]);
    const late = await sign(secret, body, new Date(now.getTime() - 301_000));
    assert.deepEqual(await call(body, late), [401, "BH_SIGNATURE"]);
    for (
      const other of ["", "[]", "{}", "{", body.replace("deliver", "run"), '{"action":"deliver"}']
    ) {
      assert.deepEqual(await call(other, await sign(secret, other, now)), [400, "BH_BODY"]);
    }
    assert.deepEqual(await call("", header, "GET"), [405, "BH_METHOD"]);
    assert.deepEqual(await call("x".repeat(5000), header), [413, "BH_TOO_LARGE"]);
  });
});

describe("the handler in trouble", () => {
  test("alertHandler() answers 500 and 503 with a code, and keeps the cause to its log", async () => {
    const logged: string[] = [];
    const log = console.error;
    console.error = (...words: unknown[]) => void logged.push(words.join(" "));
    try {
      const body = JSON.stringify({ action: "deliver", nonce: randomUUID() });
      const answer = async (error: Error) => {
        const handle = alertHandler(() => {
          throw error;
        });
        const response = await handle(
          new Request("http://127.0.0.1/alert", { method: "POST", body }),
        );
        return [response.status, await response.json()];
      };
      assert.deepEqual(await answer(new Error("secret in here")), [500, {
        code: "BH_INTERNAL",
        message: "the alerts could not be delivered",
      }]);
      const away = new BulkheadError("BH_DATABASE_UNAVAILABLE", "Cannot reach the database", {
        kind: "unavailable",
        hint: "",
      });
      assert.deepEqual(await answer(away), [503, {
        code: "BH_DATABASE_UNAVAILABLE",
        message: "the database does not answer",
      }]);
    } finally {
      console.error = log;
    }
    assert.deepEqual(logged, [
      "BH_UNEXPECTED secret in here",
      "BH_DATABASE_UNAVAILABLE Cannot reach the database",
    ]);
  });
});

describe("the watchdog", () => {
  const now = new Date("2026-11-21T03:00:00Z");
  const said = (verdict: "green" | "red" | "unknown", checked_at: string) =>
    judge({ verdict, checked_at }, { now, maxAgeMinutes: 15 }).verdict;
  test("judge() believes an answer only while it is fresh", () => {
    assert.equal(said("green", "2026-11-21T02:50:00Z"), "green");
    assert.equal(said("red", "2026-11-21T02:50:00Z"), "red");
    assert.equal(said("green", "2026-11-21T02:44:00Z"), "unknown");
    assert.equal(said("green", "2026-11-21T03:20:00Z"), "unknown");
    assert.equal(said("green", "yesterday"), "unknown");
    const fresh = { verdict: "green" as const, checked_at: now.toISOString() };
    assert.equal(
      judge({ ...fresh, stale: ["silent"] }, { now, maxAgeMinutes: 15 }).verdict,
      "unknown",
    );
  });

  test("decide() says each thing once: its beginning, its change, every four hours, its end", () => {
    let held: Memory | undefined;
    const says = [
      ...[
        "green",
        "red",
        "red",
        "silent",
        "silent",
        "silent",
        "silent",
        "silent",
        "green",
        "green",
      ],
      ...["unknown", "green"],
    ].map((verdict, hour) => {
      const { say, next } = decide(held, { verdict: verdict as "green", detail: "" }, {
        now: new Date(now.getTime() + hour * 3_600_000),
        repeatHours: 4,
      });
      held = next;
      return say;
    });
    assert.deepEqual(says, [
      ...[undefined, "began", undefined, "changed", undefined, undefined, undefined, "still"],
      ...["over", undefined, "began", "over"],
    ]);
    const red = { verdict: "red", detail: "" } as const;
    assert.equal(decide(undefined, red, { now, repeatHours: 4 }).say, "began");
    const future = {
      verdict: "red",
      since: "2026-12-01T00:00:00Z",
      told_at: "2026-12-01T00:00:00Z",
    };
    assert.equal(decide(memory.parse(future), red, { now, repeatHours: 4 }).say, "still");
  });
});

describe("bulkhead watchdog", () => {
  const bin = fileURLToPath(new URL("../scripts/bin.mjs", import.meta.url));
  async function watch(answer: Answer, flags: string[] = []) {
    await using status = await startWebhook({ path: "/status.json" });
    await using slack = await startWebhook();
    status.answer(answer);
    const args = [bin, "watchdog", "--url", status.url, "--json", ...flags];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, SLACK_WEBHOOK_URL: slack.url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
    const exit = await new Promise((resolve) => child.once("close", resolve));
    return {
      exit,
      said: JSON.parse(output).verdict,
      texts: slack.requests.map((r) => JSON.parse(r.body).text),
    };
  }
  const status = (verdict: string, at = new Date()) => ({
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ verdict, checked_at: at.toISOString() }),
  });

  test("the watchdog is quiet on green and barks at everything else", async () => {
    assert.deepEqual(await watch(status("green")), { exit: 0, said: "green", texts: [] });
    const red = await watch(status("red"));
    assert.deepEqual([red.exit, red.said], [1, "red"]);
    assert.deepEqual(red.texts, ["🔴 Critical: Watchdog: status is red"]);
    const old = await watch(status("green", new Date(Date.now() - 3_600_000)));
    assert.deepEqual([old.exit, old.said, old.texts.length], [3, "unknown", 1]);
    const down = await watch({ status: 503 });
    assert.deepEqual([down.exit, down.said, down.texts.length], [4, "silent", 1]);
    const folder = mkdtempSync(join(tmpdir(), "bulkhead-watchdog-"));
    const state = ["--state", join(folder, "state.json")];
    assert.deepEqual((await watch(status("red"), state)).texts.length, 1, "said once");
    assert.deepEqual((await watch(status("red"), state)).texts, [], "and not again an hour later");
    assert.deepEqual((await watch(status("green"), state)).texts, ["🔵 Watchdog: green again"]);
    writeFileSync(join(folder, "state.json"), "{");
    assert.equal((await watch(status("red"), state)).texts.length, 1, "a damaged memory is none");
    rmSync(folder, { recursive: true });
    const quiet = await watch({ body: "<html>" }, ["--no-slack"]);
    assert.deepEqual([quiet.exit, quiet.said, quiet.texts.length], [4, "silent", 0]);
  });
});

describe("with a database", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  before(async () => {
    server = await startPostgres();
    db = await kitDatabase(server);
    sql = postgres(db.url, { max: 4, onnotice: () => {} });
  });
  after(async () => {
    await sql?.end({ timeout: 1 });
    await server?.stop();
  });
  const outbox = () => createOutbox((text, parameters) => sql.unsafe(text, parameters as never[]));
  const state = async () =>
    (await sql`select state, attempts, sequence from bulkhead.alert_outbox order by id`).map((
      row,
    ) => ({ ...row }));
  const options = (send: Channel["send"]) => ({
    outbox: outbox(),
    routes: routesTo(send),
    now: () => new Date(),
    sleep: () => Promise.resolve(),
  });
  const fail = (minutes: number, status = "fail") =>
    sql`
    select bulkhead.record_results(array[bulkhead.check_row('made_up', 'public.messages', 'Made up', 'warning', 'canaries',
      ${status}, 1, 0, 'a detail', 'a remedy')], now() - ${60 - minutes} * interval '1 minute')`;

  test("a crash between send and mark sends the same message again, with the same number", async () => {
    await sql`truncate bulkhead.alert_outbox, bulkhead.incidents`;
    await fail(0);
    const sent: Alert[] = [];
    const post = (message: Alert) =>
      Promise.resolve((sent.push(message), { outcome: "sent" as const }));
    const dying = { ...outbox(), settle: () => Promise.reject(new Error("killed")) };
    await assert.rejects(deliverAlerts({ ...options(post), outbox: dying }), /killed/);
    assert.deepEqual(
      await deliverAlerts(options(post)),
      { sent: 0, retried: 0, dead: 0, lost: 0 },
      "the lease still holds",
    );
    await sql`update bulkhead.alert_outbox set leased_until = now()`;
    assert.equal((await deliverAlerts(options(post))).sent, 1);
    assert.equal(sent.length, 2);
    assert.deepEqual(sent[0], sent[1]);
    assert.deepEqual(await state(), [{ state: "sent", attempts: 2, sequence: 1 }]);
  });

  test("two workers at once send each message once, and what waited is told once", async () => {
    await sql`truncate bulkhead.alert_outbox, bulkhead.incidents`;
    await fail(0);
    await fail(10, "pass");
    await fail(15, "pass");
    for (let i = 0; i < 20; i++) {
      await sql`select bulkhead.enqueue_alert('notice', 'info', ${sql.json({ title: `n${i}` })})`;
    }
    const sent: string[] = [];
    const post = async (message: Alert) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      sent.push(words(message));
      return { outcome: "sent" as const };
    };
    await Promise.all([
      deliverAlerts(options(post)),
      deliverAlerts(options(post)),
      deliverAlerts(options(post)),
    ]);
    await deliverAlerts(options(post));
    // Open and over before anybody could be told is one message.
    assert.equal(sent.length, 21);
    assert.equal(new Set(sent).size, 21);
    assert.deepEqual(sent.filter((text) => text.includes("Made up")), ["🟢 Resolved: Made up"]);
  });

  test("a worker whose lease ran out can't settle what another one holds", async () => {
    await sql`truncate bulkhead.alert_outbox, bulkhead.incidents`;
    await sql`select bulkhead.enqueue_alert('notice', 'info', '{"title": "a"}')`;
    const slow = await outbox().claim();
    await sql`update bulkhead.alert_outbox set leased_until = now()`;
    const quick = await outbox().claim();
    assert.ok(slow && quick);
    assert.equal(await outbox().settle(slow, { outcome: "dead" }), false);
    assert.equal(await outbox().settle(quick, { outcome: "sent" }), true);
  });

  test("the database signs what the function under Deno 2.1.4 verifies, and Slack gets the message", async () => {
    await sql`truncate bulkhead.alert_outbox, bulkhead.incidents`;
    await using webhook = await startWebhook();
    await using host = await startFunctions({
      names: ["alert"],
      env: {
        SUPABASE_DB_URL: db.url,
        BULKHEAD_HMAC_SECRET: secret,
        SLACK_WEBHOOK_URL: webhook.url,
      },
    });
    await sql`select vault.create_secret(${host.functionsUrl}, 'bulkhead_functions_url'), vault.create_secret(${secret}, 'bulkhead_hmac_secret')`;
    await fail(0);
    await sql`select bulkhead.dispatch_alerts()`;
    const [request] =
      await sql`select url, headers, convert_from(body, 'UTF8') as body from net.http_request_queue order by id desc limit 1`;
    const call = () =>
      fetch(request!["url"], {
        method: "POST",
        headers: request!["headers"],
        body: request!["body"],
      });
    const first = await call();
    assert.deepEqual([first.status, await first.json()], [202, { accepted: true }]);
    const [received] = await webhook.received(1);
    assert.match(JSON.parse(received!.body).text, /Warning: Made up/);
    const replay = await call();
    assert.deepEqual([replay.status, (await replay.json()).code], [409, "BH_REPLAY"]);
    for (let i = 0; i < 50 && (await state())[0]?.["state"] !== "sent"; i++) {
      await new Promise((r) => setTimeout(r, 50));
    }
    assert.deepEqual(await state(), [{ state: "sent", attempts: 1, sequence: 1 }]);
    assert.equal(webhook.requests.length, 1);
  });
});
