import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { bulkhead } from "../bulkhead.ts";
import { type Act, expect, mark } from "../stage.ts";
import { readStatus } from "./2-boundary.ts";

/** Everything green, and the folder that shows it. */
export const proof: Act = {
  name: "proof",
  title: "Status, and the evidence in one folder",
  async run(stage) {
    await stage.sql`select bulkhead.seal()`;
    // What pg_cron does every night; the attack probe among it.
    await stage.sql`call bulkhead.run_pass('nightly')`;
    const status = await readStatus(stage);
    const rest = status.checks.filter((check) => check.status !== "pass");
    expect(
      status.verdict === "green",
      `everything is green (not so: ${
        rest.map((c) => `${c.name} ${c.subject}: ${c.detail}`).join("; ")
      })`,
    );
    stage.say(mark.ok(`status: ${status.counts.pass} checks, all green`));

    const reports = join(stage.folder, "reports");
    const written = await bulkhead(stage, ["status", "--report-dir", reports]);
    expect(written.code === 0, "the report is written");
    const html = (await readdir(reports)).find((name) => name.endsWith(".html"));
    expect(html !== undefined, "there is an HTML report");

    const evidence = join(stage.folder, "evidence");
    const gathered = await bulkhead(stage, ["evidence", "--out", evidence]);
    expect(
      gathered.code === 0,
      `the evidence is complete (${(gathered.stdout + gathered.stderr).trim()})`,
    );
    const index = await readFile(join(evidence, "README.md"), "utf8");
    const decision = /NO-SHIP|SHIP/.exec(index)?.[0];
    expect(decision === "SHIP", `the evidence says SHIP (${decision})`);
    stage.say(mark.ok(`evidence: ${decision}, ${(await readdir(evidence)).length} files`));
    return { checks: status.counts.pass, decision, evidence, report: join(reports, html) };
  },
};
