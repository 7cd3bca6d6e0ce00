import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import postgres from "postgres";
import { depth } from "./support/depth.ts";
import { IncidentModel, type Step } from "./support/incident-model.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

let server: Server;
let db: Database;
let sql: postgres.Sql;
before(async () => {
  server = await startPostgres();
  db = await kitDatabase(server);
  sql = postgres(db.url, { max: 1, onnotice: () => {} });
});
after(async () => {
  await sql?.end({ timeout: 1 });
  await server?.stop();
});

const START = Date.parse("2026-11-21T00:00:00Z");
const subject = fc.constantFrom("a", "b", "c");
const run = fc.record({
  kind: fc.constant("run" as const),
  afterMinutes: fc.constantFrom(1, 5, 5, 5, 30, 120, 239, 240, 361, 1440),
  seen: fc.array(
    fc.record({
      subject,
      status: fc.constantFrom(
        "fail" as const,
        "fail" as const,
        "fail" as const,
        "unknown" as const,
      ),
      observed: fc.constantFrom(0, 1, 2, 3, 4, 8),
      isCritical: fc.boolean(),
    }),
    { maxLength: 4 },
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: run },
  { weight: 4, arbitrary: fc.constant({ kind: "send" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("mute" as const),
      subject,
      minutes: fc.constantFrom(1, 10, 300, 1440),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unmute" as const), subject }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("acknowledge" as const), subject }) },
);

/** The same steps in the database, in a transaction that leaves nothing; what it holds and what was read. */
async function replay(steps: Step[]) {
  let now = START;
  const read: string[] = [];
  let state: Record<string, unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx`truncate bulkhead.alert_outbox, bulkhead.incidents, bulkhead.mutes restart identity`;
    for (const each of steps) {
      if (each.kind === "run") now += each.afterMinutes * 60_000;
      await take(tx, each, new Date(now), read);
    }
    const held = await tx`
      select subject, status, state = 'open' as "isOpen", severity = 'critical' as "isCritical", observed::int, relapses,
        breaches, clean_runs as "cleanRuns", sequence as messages, acknowledged_at is not null as "isAcknowledged"
      from bulkhead.incidents order by id`;
    state = [...held];
    const threads = await tx`
      select count(*)::int as n from bulkhead.alert_outbox where state = 'pending' and kind <> 'notice' group by thread`;
    assert.ok(threads.every((row) => row["n"] === 1), "one message waits in a thread");
    throw new Rollback();
  }).catch((error) => {
    if (!(error instanceof Rollback)) throw error;
  });
  return { read, state: state.map((row) => ({ ...row })) };
}
/** The commands as a person types them, against the database of this file. */
async function bulkhead(...args: string[]) {
  const bin = fileURLToPath(new URL("../scripts/bin.mjs", import.meta.url));
  const child = spawn(process.execPath, [bin, ...args], {
    env: { ...process.env, DATABASE_URL: db.url },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  const code = await new Promise((resolve) => child.once("close", resolve));
  return { code, out, err };
}

test("bulkhead incidents, ack, mute and unmute: what is open, who is on it, what is silent", async () => {
  assert.equal((await bulkhead("incidents")).out, "no incident is open\n");
  await sql`
    select bulkhead.record_results(array[bulkhead.check_row('made_up', e'public.a\u001b[31m', 'Made up', 'warning',
      'canaries', 'fail', 3, 0)])`;
  const [row] = await sql`select fingerprint from bulkhead.incidents`;
  const print = String(row?.["fingerprint"]);
  const reason = ["--reason", "the import is known"];
  assert.equal((await bulkhead("ack", print.slice(0, 12), "--note", "on it")).code, 0);
  const muted = await bulkhead("mute", print.slice(0, 12), "--for", "2h", ...reason, "--json");
  assert.equal(muted.code, 0, muted.err);
  assert.match(JSON.parse(muted.out).until, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const { out } = await bulkhead("incidents");
  assert.match(
    out,
    /^[0-9a-f]{12} {2}warning {3}made_up public\.a .*postgres is on it, muted until/s,
  );
  assert.ok(out.split("\n").every((line) => line.length <= 80 && !line.includes("\u001b")), out);
  const listed = JSON.parse((await bulkhead("incidents", "--json")).out).incidents;
  assert.deepEqual([listed.length, listed[0].mute_reason], [1, "the import is known"]);
  assert.equal((await bulkhead("unmute", print)).code, 0);
  for (
    const [args, word] of [
      [["unmute", print], "is not muted"],
      [["mute", print, "--for", "2h"], "--reason is missing"],
      [["mute", print, "--for", "ever", ...reason], "is no time"],
      [["mute", print, "--for", "8d", ...reason], "for that long"],
      [["mute", "zz", "--for", "2h", ...reason], "32 hexadecimal digits"],
      [["ack", "ffffffffffff"], "none has this fingerprint"],
    ] as const
  ) {
    const refused = await bulkhead(...args);
    assert.deepEqual([refused.code, refused.err.includes(word)], [2, true], refused.err);
  }
});

class Rollback extends Error {}

async function take(tx: postgres.TransactionSql, each: Step, at: Date, read: string[]) {
  if (each.kind === "run") {
    const results = each.seen.map(({ isCritical, ...rest }) => ({
      ...rest,
      severity: isCritical ? "critical" : "warning",
    }));
    await tx`
      select bulkhead.record_results(array(
        select bulkhead.check_row('made_up', r ->> 'subject', 'Made up', r ->> 'severity', 'canaries', r ->> 'status',
          (r ->> 'observed')::numeric, 0)
        from jsonb_array_elements(${tx.json(results)}) with ordinality as each (r, n)
        order by n
      ), ${at}, '{made_up}')`;
  } else if (each.kind === "send") {
    const sent = await tx<{ thread: string; lines: string[] }[]>`
      update bulkhead.alert_outbox as o set state = 'sent', settled_at = now()
      where state = 'pending' and kind <> 'notice'
      returning o.thread, array(
        select i.subject || '#' || (i.id - 1) || ' ' || c.kind
        from unnest(o.incident_ids, o.incident_kinds) as c (id, kind)
        join bulkhead.incidents as i on i.id = c.id) as lines`;
    const of = (isBlind: boolean) => sent.filter((row) => (row.thread === "unknown") === isBlind);
    for (const row of of(false)) read.push(`fail: ${row.lines.sort().join(", ")}`);
    for (const row of of(true)) read.push(`unknown: ${row.lines.sort().join(", ")}`);
  } else {
    const [found] = await tx`
      select fingerprint, state from bulkhead.incidents
      where subject = ${each.subject} and status = 'fail' order by id desc limit 1`;
    if (found === undefined) return;
    const print = found["fingerprint"];
    if (each.kind === "mute") {
      await tx`select bulkhead.mute(${print}, ${`${each.minutes} minutes`}::interval, 'a reason of ten', ${at})`;
    } else if (each.kind === "unmute") await tx`select bulkhead.unmute(${print})`;
    else if (found["state"] === "open") {
      await tx`select bulkhead.acknowledge(${print}, null, ${at})`;
    }
  }
}

test("record_results() does what docs/alerting.md says, whatever happens in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const all = [...steps, { kind: "send" as const }];
      const model = new IncidentModel();
      for (const each of all) model.step(each);
      const { read, state } = await replay(all);
      assert.deepEqual(read, model.read);
      assert.deepEqual(
        state,
        model.all.map(({ told: _, resolvedAt: __, acknowledgedAt, ...incident }) => ({
          ...incident,
          isAcknowledged: acknowledgedAt !== undefined,
        })),
      );
      // Nobody is left out: who opened without being muted was read of.
      for (const [index, incident] of model.all.entries()) {
        if (incident.messages === 0) continue;
        const successors = model.all.filter((o, n) => n >= index && o.subject === incident.subject);
        const isRead = successors.some((o) =>
          model.read.some((line) => line.includes(`${o.subject}#${model.all.indexOf(o)} `))
        );
        assert.ok(isRead, `incident ${index} was told of`);
      }
    }),
    { numRuns: depth({ quick: 60, full: 2_000 }), seed: 20261121, includeErrorInReport: true },
  );
});
