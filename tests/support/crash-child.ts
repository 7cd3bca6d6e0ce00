/**
 * A backup or a prune that kills its own process. Reads one job as a JSON line from standard input, so that it can be
 * started ahead of time; prints how many points it passed when nothing killed it.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { openSource } from "../../functions/_core/adapters/postgres-export.ts";
import { openRunLedger } from "../../functions/_core/adapters/postgres-runs.ts";
import { folderStore } from "../../functions/_core/adapters/folder-store.ts";
import { applyPrune, planPrune } from "../../functions/_core/backup/prune.ts";
import { runBackup } from "../../functions/_core/backup/run-backup.ts";
import { kekFromBase64 } from "../../functions/_core/keys/kek.ts";
import { openKeyring } from "../../functions/_core/keys/keyring.ts";
import type { CrashJob } from "./crash.ts";
import { withPoints } from "./kill-points.ts";

for await (const line of createInterface({ input: process.stdin })) {
  const job: CrashJob = JSON.parse(line);
  const now = new Date(job.now);
  let points = 0;
  const point = () => {
    if (points++ === job.killAt) process.kill(process.pid, "SIGKILL");
  };
  if (job.killAfter !== undefined) {
    setTimeout(() => process.kill(process.pid, "SIGKILL"), job.killAfter);
  }
  const started = performance.now();
  // A prune looks long and deletes for a moment, which is what the points are for.
  const watched = job.what === "prune" ? ["deleteVersion", "sweep"] : undefined;
  const store = withPoints(folderStore(job.folder), point, watched);
  const keyring = await openKeyring({ store, kek: await kekFromBase64(job.kek) });
  if (job.what === "backup") {
    const sql = connect(job.databaseUrl, { max: 1 });
    const source = await openSource(job.databaseUrl, { shared: true });
    const ledger = withPoints(openRunLedger(sql), point);
    await runBackup({
      source: withPoints(source, point),
      ledger,
      store,
      keyring,
      tool: "test",
      full: job.isFull,
      now: () => now,
    });
    await source.close();
    await sql.end();
  } else {
    const later = { ...store, clock: () => Promise.resolve(now) };
    const plan = await planPrune({ ...job.policy, store: later, keyring, now, isForced: true });
    await applyPrune(store, plan);
  }
  console.log(JSON.stringify({ points, milliseconds: performance.now() - started }));
  process.exit();
}
