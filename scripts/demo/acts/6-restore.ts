import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { bulkhead } from "../bulkhead.ts";
import { slackLines } from "../slack-lines.ts";
import { type Act, expect, mark, type Stage } from "../stage.ts";

const tenantRestore = z.object({
  tables: z.array(
    z.object({
      missing: z.number(),
      inserted: z.number(),
      updated: z.number(),
      deleted: z.number(),
    }),
  ),
});
const drillReport = z.looseObject({
  ok: z.boolean(),
  rows: z.number(),
  tests: z.number(),
  rtoSeconds: z.number(),
});

/** The drill on a Postgres of its own; then the lost rows back into the live one. */
export const restore: Act = {
  name: "restore",
  title: "Prove the backup on a second Postgres, then put the lost messages back",
  async run(stage) {
    const example = fileURLToPath(new URL("../../../examples/openhouse", import.meta.url));
    const drill = await bulkhead(stage, [
      ...["drill", "--json", "--report-dir", join(stage.folder, "drill")],
      ...["--project-migrations", join(example, "schema.sql"), join(example, "harden.sql")],
      ...["--tests", join(example, "tests", "openhouse.test.sql")],
    ]);
    expect(
      drill.code === 0,
      `the drill passes (${drill.stderr.trim().split("\n").slice(-3).join(" ")})`,
    );
    const report = drillReport.parse(JSON.parse(drill.stdout));
    expect(
      report.ok && report.rows > 0 && report.tests > 0,
      "the drill compared rows and ran tests",
    );
    stage.say(mark.ok(
      `drill: ${report.rows} rows and the ledger restored, hashes equal, ${report.tests} pgTAP tests green, ${
        report.rtoSeconds.toFixed(1)
      } s`,
    ));

    const { tenant, deleted, backup } = z.object({
      tenant: z.string(),
      deleted: z.number(),
      backup: z.string(),
    })
      .parse(stage.facts["alarm"]);
    const ask = [
      "restore",
      "--tenant",
      tenant,
      "--table",
      "public.messages",
      "--backup",
      backup,
      "--json",
    ];
    const planned = sum(await bulkhead(stage, ask));
    expect(
      planned.missing === deleted,
      `the dry run finds ${deleted} messages missing (${planned.missing})`,
    );
    stage.say(mark.ok(`restore --tenant (dry run): ${planned.missing} messages are missing`));
    const done = sum(await bulkhead(stage, [...ask, "--insert-missing"]));
    const [left] = await stage.sql`select count(*)::int as messages from public.messages`;
    expect(
      done.inserted === deleted && done.updated + done.deleted === 0,
      "those and no others are inserted",
    );
    expect(left?.["messages"] === stage.rows, `all ${stage.rows} messages are there again`);
    stage.say(
      mark.ok(`restore --insert-missing: ${done.inserted} messages are back, nothing else changed`),
    );

    const resolved = await waitForResolution(stage);
    stage.say(mark.ok("two clean runs later the incident resolves itself:"));
    for (const text of resolved.slice(0, 3)) stage.say(`    │ ${text}`);
    return { drill: report, restored: done.inserted, message: resolved };
  },
};

function sum({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) {
  expect(code === 0, `bulkhead restore succeeds (${stderr.trim()})`);
  const total = { missing: 0, inserted: 0, updated: 0, deleted: 0 };
  for (const table of tenantRestore.parse(JSON.parse(stdout)).tables) {
    total.missing += table.missing;
    total.inserted += table.inserted;
    total.updated += table.updated;
    total.deleted += table.deleted;
  }
  return total;
}

async function waitForResolution(stage: Stage): Promise<string[]> {
  await stage.watch.pass(11);
  const [open] = await stage
    .sql`select count(*)::int as n from bulkhead.incidents where state = 'open'`;
  expect(open?.["n"] === 0, "no incident is open any more");
  await stage.watch.pass(1);
  const messages = (await stage.watch.messages(2)).map(({ body }) => slackLines(body));
  const resolved = messages.find(([first]) => first?.includes("Resolved"));
  expect(resolved !== undefined, "Slack hears that it is resolved");
  return resolved;
}
