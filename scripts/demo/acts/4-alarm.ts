import process from "node:process";
import { startFunctions } from "../../local/functions-host.ts";
import { startHttpSender } from "../../local/http-sender.ts";
import { startScheduler } from "../../local/scheduler.ts";
import { startWebhook } from "../../local/webhook.ts";
import { slackLines } from "../slack-lines.ts";
import { bulkhead } from "../bulkhead.ts";
import { type Act, expect, mark, type Stage } from "../stage.ts";

const LOST = 4_000;

/** Somebody deletes; the canary, the outbox and the function tell Slack. */
export const alarm: Act = {
  name: "alarm",
  title: `Last night's backup; then somebody deletes ${LOST} messages of one tenant`,
  async run(stage) {
    const night = await lastNight(stage);
    await startWatch(stage);
    await stage.watch.pass(6);
    const [calm] = await stage
      .sql`select count(*)::int as n from bulkhead.incidents where state = 'open'`;
    expect(calm?.["n"] === 0, "nothing is wrong before");

    const tenant = await deleteMessages(stage);
    stage.say(
      mark.bad(
        `${LOST} messages of "${tenant.name}" are gone (service role, actor "import-script")`,
      ),
    );
    await stage.watch.pass(6);
    const [request] = await stage.watch.messages(1);
    expect(request !== undefined, "the alert reached the webhook");
    stage.say(
      mark.ok(
        "five minutes later pg_cron's canary → outbox → functions/alert on Deno 2.1.4 → Slack:",
      ),
    );
    const lines = slackLines(request.body);
    for (const line of lines) stage.say(`    │ ${line}`);
    expect(
      lines.join("\n").includes("4000") || lines.join("\n").includes("4,000"),
      "the message says how many",
    );
    await forward(request.body);
    return { tenant: tenant.id, deleted: LOST, backup: night, message: lines };
  },
};

/** What a nightly run of yesterday left: the backup from which the rows come back. */
async function lastNight(stage: Stage): Promise<string> {
  const keys = await bulkhead(stage, ["keys", "init"]);
  expect(keys.code === 0, `the keyring is made (${keys.stderr.trim()})`);
  const run = await bulkhead(stage, ["backup", "--json"]);
  expect(run.code === 0, `the nightly backup runs (${run.stderr.trim().split("\n").at(-1)})`);
  const [newest] = await stage
    .sql`select id from bulkhead.backup_runs where state = 'complete' order by started_at desc limit 1`;
  expect(newest !== undefined, "the run is recorded as complete");
  stage.say(mark.ok(`last night's backup: ${newest["id"]}`));
  return String(newest["id"]);
}

/** The functions under Deno, the receiver in Slack's place, the clock and the sender that stand in for pg_cron and pg_net. */
async function startWatch(stage: Stage): Promise<void> {
  const webhook = await startWebhook();
  stage.onEnd(() => webhook.stop());
  const host = await startFunctions({
    deno: "edge",
    write: [stage.folder],
    env: { ...stage.env, SUPABASE_DB_URL: stage.url, SLACK_WEBHOOK_URL: webhook.url },
  });
  stage.onEnd(() => host.stop());
  await stage.sql`select vault.create_secret(${host.functionsUrl}, 'bulkhead_functions_url')`;
  await stage.sql`select vault.create_secret(${
    stage.env["BULKHEAD_HMAC_SECRET"] ?? ""
  }, 'bulkhead_hmac_secret')`;
  // A quarter past two the nightly jobs are due: the demo's clock starts shortly before.
  let clock = new Date();
  clock.setUTCHours(2, 0, 0, 0);
  const scheduler = startScheduler(stage.url, { from: clock });
  stage.onEnd(() => scheduler.stop());
  const sender = startHttpSender(stage.server.urlAs("supabase_admin", "openhouse"));
  stage.onEnd(() => sender.stop());
  stage.watch = {
    functionsUrl: host.functionsUrl,
    async pass(minutes) {
      clock = new Date(clock.getTime() + minutes * 60_000);
      const runs = await scheduler.tick(clock);
      const failed = runs.filter((run) => run.status === "failed");
      expect(
        failed.length === 0,
        `every scheduled job succeeds (${
          failed.map((r) => `${r.jobname}: ${r.message}`).join("; ")
        })`,
      );
      await sender.drain();
      return runs.length;
    },
    messages: (count) => webhook.received(count, 20_000),
  };
}

async function deleteMessages(stage: Stage): Promise<{ id: string; name: string }> {
  const [tenant] = await stage.sql<{ id: string; name: string }[]>`
    select t.id, t.name from public.tenants as t join public.messages as m on m.tenant_id = t.id
    group by t.id, t.name order by count(*), t.id limit 1`;
  expect(tenant !== undefined, "there is a tenant with messages");
  const gone = await stage.sql.begin(async (tx) => {
    await tx`select set_config('role', 'service_role', true), set_config('request.headers', ${
      JSON.stringify({ "x-tenant-id": tenant.id, "x-actor": "import-script" })
    }, true)`;
    return await tx`
      delete from public.messages where id in (
        select id from public.messages where tenant_id = ${tenant.id} order by created_at, id limit ${LOST})`;
  });
  expect(gone.count === LOST, `${LOST} messages were deleted`);
  return tenant;
}

/** To a real Slack channel too, where the user named one. */
async function forward(body: string): Promise<void> {
  const url = process.env["SLACK_WEBHOOK_URL"];
  if (!url) return;
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  expect(answer.ok, `SLACK_WEBHOOK_URL takes the message (it answered ${answer.status})`);
}
