import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT } from "../../../functions/_core/errors.ts";
import { bulkhead } from "../bulkhead.ts";
import { type Act, expect, mark, type Stage } from "../stage.ts";

/** The same backup by both ways, and proof that the objects say nothing without the key. */
export const backup: Act = {
  name: "backup",
  title: "Back up: by the runner, and by the scheduler through the edge function",
  async run(stage) {
    const runner = await bulkhead(stage, ["backup", "--full", "--json"]);
    expect(
      runner.code === 0,
      `the runner's backup succeeds (${runner.stderr.trim().split("\n").at(-1)})`,
    );
    const byRunner = await newestRun(stage, "runner");
    stage.say(
      mark.ok(`runner (Node): ${byRunner.id}, ${byRunner.rows} rows, the ledger's among them`),
    );

    await stage.watch.pass(12);
    const byEdge = await edgeRun(stage);
    stage.say(
      mark.ok(`pg_cron → functions/backup (Deno 2.1.4): ${byEdge.id}, ${byEdge.rows} rows`),
    );

    for (const { id } of [byRunner, byEdge]) {
      const verified = await bulkhead(stage, ["backups", "verify", id]);
      expect(
        verified.code === 0,
        `backup ${id} verifies to the last byte (${verified.stderr.trim()})`,
      );
    }
    stage.say(mark.ok("both verified, every byte read and decrypted"));

    const pruned = await bulkhead(stage, ["prune", "--apply", "--record-env", "DATABASE_URL"]);
    expect(pruned.code === 0, `retention is applied (${pruned.stderr.trim()})`);
    stage.say(mark.ok("prune: all are younger than the retention, nothing goes"));

    const locked = await bulkhead(stage, ["backups", "verify", byEdge.id], {
      BULKHEAD_KEK: randomBytes(32).toString("base64"),
    });
    expect(locked.code === EXIT.integrity, `another key opens nothing (exit ${locked.code})`);
    const objects = await searchStore(stage);
    stage.say(
      mark.ok(
        `another key opens nothing; none of ${objects} files shows a tenant's name or a message`,
      ),
    );
    return { runner: byRunner, edge: byEdge, files: objects };
  },
};

type Run = { id: string; rows: number };

async function newestRun(stage: Stage, source: string): Promise<Run & { state: string }> {
  const [run] = await stage.sql<(Run & { state: string })[]>`
    select id, tenant_rows::int as rows, state from bulkhead.backup_runs
    where source = ${source} order by started_at desc limit 1`;
  expect(run !== undefined, `a backup by the ${source} is recorded`);
  return run;
}

/** functions/backup answers 202 and works on; nothing but its record says when it is done. */
async function edgeRun(stage: Stage): Promise<Run> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const run = await newestRun(stage, "edge");
    if (run.state === "complete") return run;
    expect(
      run.state === "running" && Date.now() < deadline,
      `the edge backup completes (it is ${run.state})`,
    );
    await sleep(200);
  }
}

/** Reads every file of the store for what only plaintext would show. Answers how many there are. */
async function searchStore(stage: Stage): Promise<number> {
  const rows = await stage.sql`
    (select name as word from public.tenants) union all (select body from public.messages order by id limit 50)`;
  const words = rows.map((row) => Buffer.from(String(row["word"])));
  const entries = await readdir(join(stage.folder, "store"), {
    recursive: true,
    withFileTypes: true,
  });
  const files = entries.filter((entry) => entry.isFile());
  for (const file of files) {
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(join(file.parentPath, file.name))) {
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const seen = words.find((word) => bytes.includes(word));
    expect(seen === undefined, `"${seen}" is not readable in ${file.name}`);
  }
  return files.length;
}
