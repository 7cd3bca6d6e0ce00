import process from "node:process";
import type { AttackReport } from "../../../examples/openhouse/attacks.ts";
import { connect } from "../../../functions/_core/adapters/postgres.ts";
import { cloneOf } from "../../local/clones.ts";
import { type Act, expect, mark, type Stage } from "../stage.ts";

/** Every attempt for real, then tampering with the trail in a copy of the database. */
export const attack: Act = {
  name: "attack",
  title: "Attack it: across tenants, through every door",
  async run(stage) {
    // Loaded here: on Node 20 supabase-js greets whoever loads it with a notice, which --help need not show.
    const { KNOWN_OPEN, runAttacks } = await import("../../../examples/openhouse/attacks.ts");
    const reports = await runAttacks(stage.url, { onResult: (report) => stage.say(line(report)) });
    const open = reports.filter((report) => report.outcome === "open");
    const holes = open.filter((report) => report.threat !== KNOWN_OPEN);
    expect(reports.length >= 40, `at least 40 attempts are made (they were ${reports.length})`);
    expect(
      holes.length === 0,
      `nothing but a raw service_role read is open (${holes.map((h) => h.id).join(", ")})`,
    );
    stage.say("");
    stage.say(mark.ok(`${reports.length - open.length} of ${reports.length} attempts stopped`));
    stage.say(mark.open(
      `${open.length} open: service_role reads past every policy; TenantScopedClient holds it, close_service_role() ends it`,
    ));
    const tampering = await tamper(stage);
    return {
      attempts: reports.length,
      stopped: reports.length - open.length,
      open: open.map((o) => o.id),
      tampering,
    };
  },
};

const WIDTH = 64;

function line({ outcome, by, layer, title }: AttackReport): string {
  const text = `${layer.padEnd(13)} ${title}`;
  const isCut = process.stdout.isTTY === true && text.length > WIDTH;
  const fitted = isCut ? `${text.slice(0, WIDTH - 1)}…` : text.padEnd(WIDTH);
  return outcome === "stopped" ? mark.ok(`${fitted} ${by}`) : mark.open(`${fitted} open`);
}

/** The owner of the tables switches the triggers off and rewrites history, in a copy. */
async function tamper(stage: Stage): Promise<{ sealed: number; problem: string }> {
  const [sealed] = await stage.sql`select bulkhead.seal()::int as events`;
  const [before] = await stage.sql`select bulkhead.audit_head() as anchor`;
  await stage.sql.end({ timeout: 5 });
  const copy = await cloneOf(stage.server, "openhouse");
  const sql = connect(copy.url, { max: 1 });
  try {
    const [intact] = await sql`select count(*)::int as problems from bulkhead.verify_audit(${
      before?.["anchor"]
    })`;
    expect(intact?.["problems"] === 0, "the sealed ledger verifies before it is touched");
    const [target] =
      await sql`select id, tableoid::regclass::text as part from bulkhead.audit_events order by id limit 1`;
    const part = String(target?.["part"]);
    await sql.unsafe(`alter table ${part} disable trigger bulkhead_append_only`);
    await sql.unsafe(`alter table bulkhead.audit_events disable trigger bulkhead_append_only`);
    await sql`update bulkhead.audit_events set actor = 'nobody' where id = ${
      String(target?.["id"])
    }`;
    const found = await sql`select seq, event_id, problem from bulkhead.verify_audit(${
      before?.["anchor"]
    })`;
    expect(
      found.length === 1 && found[0]?.["event_id"] === target?.["id"],
      "verify_audit() names the one event that was tampered with",
    );
    const problem = `seal ${found[0]?.["seq"]}, event ${found[0]?.["event_id"]}: ${
      found[0]?.["problem"]
    }`;
    stage.say(mark.ok(`in a copy, the owner rewrote one event; verify_audit() says`));
    stage.say(`    ${problem}`);
    return { sealed: Number(sealed?.["events"]), problem };
  } finally {
    await sql.end({ timeout: 5 });
    await copy.drop();
    stage.sql = connect(stage.url, { applicationName: "bulkhead demo" });
  }
}
