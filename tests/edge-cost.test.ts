// needs: deno-edge
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { backupWorld } from "./support/backup-world.ts";
import { runs } from "./support/edge-run.ts";
import { type FunctionsHost, startFunctions } from "./support/functions-host.ts";
import { startHttpSender } from "./support/http-sender.ts";
import { kitDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

const TENANT = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
/** What Supabase gives a worker: seconds of its thread's processor time over its life, and memory. */
const LIMIT = { seconds: 2, megabytes: 256 };

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

/** Processor time of the isolate's thread so far, and the most memory the process had, as the kernel counts them. */
function costOf({ pid }: FunctionsHost) {
  // After the name, which may hold anything; utime and stime are the 14th and 15th of all, in hundredths of a second.
  const timesOf = (path: string) => {
    const fields = readFileSync(path, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return {
    seconds: timesOf(`/proc/${pid}/task/${pid}/stat`),
    // With the threads that compile, collect garbage and talk to the disk, which nobody counts.
    all: timesOf(`/proc/${pid}/stat`),
    megabytes: Number(kilobytes) / 1000,
  };
}

test("one call of the function, a part of 32 MB, stays within a worker's life", async (t) => {
  await using db = await kitDatabase(server);
  await withSql(db.url, (sql) =>
    sql.unsafe(`
      create table public.tenants (id uuid primary key, name text not null);
      create table public.messages (id bigint primary key, tenant_id uuid not null references public.tenants (id), body text not null);
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants'), bulkhead.protect('public.messages');
      insert into public.tenants values ('${TENANT}', 'acme');
      insert into public.messages
      select n, '${TENANT}', 'It stands still again, ' || md5(n::text) || ' says the board. ' || repeat('Please call back. ', n % 16)
      from generate_series(1, 80000) as n;
      select bulkhead.seal()`));
  using world = await backupWorld({ DATABASE_URL: db.url });
  const secret = randomBytes(32).toString("hex");
  await using host = await startFunctions({
    deno: "edge",
    names: ["backup"],
    write: [world.folder],
    env: { ...world.env, SUPABASE_DB_URL: db.url, BULKHEAD_HMAC_SECRET: secret },
  });
  await using sender = startHttpSender(db.url, { poll: 0 });
  await withSql(
    db.url,
    (sql) =>
      sql`select vault.create_secret(${host.functionsUrl}, 'bulkhead_functions_url'),
      vault.create_secret(${secret}, 'bulkhead_hmac_secret')`,
  );
  const start = costOf(host);
  await withSql(db.url, (sql) => sql`select bulkhead.dispatch_backup()`);
  await sender.drain();
  for (let waited = 0;; waited++) {
    const [run] = await runs(db.url);
    // It has given the lease back: this call is over.
    if (run?.["state"] === "running" && run["leased_until"] === null) break;
    // It answers at once, and begins then.
    const isUnderWay = run === undefined || run["state"] === "running";
    assert.ok(isUnderWay && waited < 600, `${run?.["error"]} ${host.log()}`);
    await sleep(200);
  }
  const end = costOf(host);
  const parts = await withSql(
    db.url,
    (sql) =>
      sql`select part, (entry ->> 'rawBytes')::int as raw from bulkhead.backup_objects order by part`,
  );
  assert.equal(parts.length, 1, "one part in one call");
  const raw = Number(parts[0]?.["raw"]);
  assert.ok(raw > 30 * 2 ** 20, `${raw} bytes`);
  const seconds = end.seconds - start.seconds;
  t.diagnostic(
    `${(raw / 2 ** 20).toFixed(1)} MB: ${seconds.toFixed(2)} s of processor time after ${
      start.seconds.toFixed(2)
    } s to start (all threads: ${end.all.toFixed(2)} s), at most ${
      end.megabytes.toFixed(0)
    } MB of memory`,
  );
  assert.ok(end.seconds < LIMIT.seconds, `${end.seconds} s of processor time`);
  assert.ok(end.megabytes < LIMIT.megabytes, `${end.megabytes} MB`);
});
