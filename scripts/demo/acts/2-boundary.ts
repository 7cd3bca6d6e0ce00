import { readFile } from "node:fs/promises";
import { type StatusReport, statusReport } from "../../../functions/_core/status/contract.ts";
import { bulkhead } from "../bulkhead.ts";
import { type Act, expect, mark, type Stage } from "../stage.ts";

const HARDEN = new URL("../../../examples/openhouse/harden.sql", import.meta.url);

/** `bulkhead status --json` for a category, or for everything. */
export async function readStatus(
  stage: Stage,
  category?: string,
): Promise<StatusReport & { exit: number }> {
  const { code, stdout, stderr } = await bulkhead(stage, [
    ...["status", "--json", "--no-report"],
    ...(category === undefined ? [] : ["--category", category]),
  ]);
  expect(stdout.startsWith("{"), `bulkhead status answers in JSON (it said: ${stderr.trim()})`);
  return { ...statusReport.parse(JSON.parse(stdout)), exit: code };
}

/** Red, hardened, green. */
export const boundary: Act = {
  name: "boundary",
  title: "Look at the boundary, then switch it on",
  async run(stage) {
    const before = await readStatus(stage, "boundary");
    expect(before.verdict === "red" && before.exit === 1, "the unhardened application is red");
    const worst = before.checks.filter((check) => check.status === "fail").slice(0, 5);
    stage.say(mark.bad(`before: ${before.counts.fail} findings, among them`));
    for (const check of worst) stage.say(`    ${check.subject}: ${check.title}`);

    await stage.sql.unsafe(await readFile(HARDEN, "utf8"));
    const after = await readStatus(stage, "boundary");
    const rest = after.checks.filter((check) => check.status !== "pass");
    expect(
      after.verdict === "green" && after.exit === 0,
      `the hardened application is green (not so: ${
        rest.map((c) => `${c.name} ${c.subject}`).join(", ")
      })`,
    );
    stage.say(mark.ok(`after:  ${after.counts.pass} checks pass, 0 findings`));
    return { before: before.counts, after: after.counts };
  },
};
