// needs: postgres-15, deno-edge
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { EdgeBackupOptions } from "../functions/_core/backup/edge-backup.ts";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import { objectsByTenant } from "../functions/_core/backup/parts.ts";
import { verifyBackup } from "../functions/_core/backup/restore-backup.ts";
import { openKeyring } from "../functions/_core/keys/keyring.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import { depth, seeded } from "./support/depth.ts";
import {
  assertEqual,
  edgeCall,
  edgeLimits,
  edgeRun,
  emptyOpenhouse,
  leaseEnds,
  newest,
  PART,
  runs,
} from "./support/edge-run.ts";
import { type FunctionsHost, startFunctions } from "./support/functions-host.ts";
import { startHttpSender } from "./support/http-sender.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

/** Everything a call works with, dead from the n-th call on: before it happened, or after. */
function dying(n: number, seen?: { calls: number }) {
  let calls = 0;
  let isDead = false;
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(of, key, receiver) {
        const value = Reflect.get(of, key, receiver);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          calls++;
          if (seen) seen.calls = calls;
          if (isDead || (calls >= n && n % 2 === 0)) {
            isDead = true;
            throw new Error("killed");
          }
          const result = await Reflect.apply(value, of, args);
          if (calls >= n) {
            isDead = true;
            throw new Error("killed");
          }
          return result;
        };
      },
    });
  return (options: EdgeBackupOptions): EdgeBackupOptions => ({
    ...options,
    ledger: wrap(options.ledger),
    source: wrap(options.source),
    store: new Proxy(options.store, {
      get(of, key, receiver) {
        const value = Reflect.get(of, key, receiver);
        const isListing = key === "listVersions" || key === "describe";
        return typeof value === "function" && !isListing
          ? Reflect.get(wrap({ call: value.bind(of) }), "call")
          : value;
      },
    }),
    callAgain: Reflect.get(wrap({ call: options.callAgain }), "call"),
  });
}

describe("a call that ends anywhere", () => {
  test("at every step: the next one goes on, and the backup is whole and equal", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART });
    const random = seeded(20_261_121);
    let kills = 0;
    for (let round = 0; round < depth({ quick: 2, full: 12 }); round++) {
      // Only changed tenants are copied again.
      await withSql(db.url, (sql) => sql`update public.messages set body = body || '.'`);
      for (let call = 0; call < 8; call++) {
        const change = dying(1 + Math.floor(random() * 20));
        const ended = await edgeCall({ url: db.url, world, change }).catch((error) => {
          assert.match(String(error), /killed/);
          return null;
        });
        if (ended?.state === "complete") break;
        if (!ended) kills++;
        await leaseEnds(db.url);
      }
      if ((await runs(db.url)).at(-1)?.["state"] !== "complete") {
        await edgeRun({ url: db.url, world });
      }
      const manifest = await newest(world);
      assert.equal(manifest.id, (await runs(db.url)).at(-1)?.["id"]);
      await assertEqual(db.url, manifest);
      await verifyBackup({ ...world, keyring: await openKeyring(world), manifest });
    }
    assert.ok(kills > 5, `${kills} calls were ended`);
    assert.ok((await runs(db.url)).every((run) => run["state"] === "complete"));
  });

  test("a crash of the database empties what was laid out: the tenant begins anew, at one moment", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART });
    await edgeCall({ url: db.url, world });
    await edgeCall({ url: db.url, world });
    await withSql(db.superUrl, (sql) =>
      sql.unsafe(
        "truncate bulkhead.backup_staged cascade; update public.messages set body = 'after' where left(id::text, 1) < '8'",
      ));
    await edgeRun({ url: db.url, world });
    await assertEqual(db.url, await newest(world));
  });

  test("what ends its worker every time is left out after five, and the others are not held up", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    let victim = "";
    const deadly = (options: EdgeBackupOptions): EdgeBackupOptions => ({
      ...options,
      ledger: {
        ...options.ledger,
        stage: (tenant) => {
          victim ||= tenant;
          return tenant === victim
            ? Promise.reject(new Error("killed"))
            : options.ledger.stage(tenant);
        },
        fail: () => Promise.resolve(),
      },
    });
    let ended = 0;
    for (let calls = 0; calls < 30; calls++) {
      const outcome = await edgeCall({ url: db.url, world, change: deadly }).catch(() => null);
      if (outcome?.state === "complete") break;
      if (!outcome) ended++;
      await leaseEnds(db.url);
    }
    assert.equal(ended, 5);
    assert.deepEqual((await runs(db.url))[0]?.["left_out"], [victim]);
    assert.equal(objectsByTenant(await newest(world)).size, 3);
  });

  test("who lost the lease while laying out, uploading or finishing keeps nothing", async () => {
    for (const step of ["stage", "put", "renew"] as const) {
      await using db = await openhouseDatabase(server, { rows: 300 });
      using world = await backupWorld({ DATABASE_URL: db.url });
      const steal = () =>
        withSql(
          db.url,
          (sql) =>
            sql`update bulkhead.backup_runs set lease_token = gen_random_uuid() where state = 'running'`,
        );
      const robbed = (options: EdgeBackupOptions): EdgeBackupOptions => ({
        ...options,
        ledger: {
          ...options.ledger,
          stage: async (tenant) => {
            if (step === "stage") await steal();
            return await options.ledger.stage(tenant);
          },
          renew: async () => {
            if (step === "renew") await steal();
            await options.ledger.renew();
          },
        },
        store: new Proxy(options.store, {
          get: (of, key) =>
            key === "put" && step === "put"
              ? async (...args: Parameters<typeof of.put>) => {
                const stored = await of.put(...args);
                if (args[0].startsWith("objects/")) await steal();
                return stored;
              }
              : Reflect.get(of, key),
        }),
      });
      const call = edgeCall({ url: db.url, world, change: robbed });
      await assert.rejects(call, { code: "BH603" }, step);
      const [run] = await runs(db.url);
      assert.equal(run?.["state"], "running", "it is the other one's run");
      const left = await withSql(db.url, (sql) =>
        sql`
          select (select count(*)::int from bulkhead.backup_objects) as objects,
            (select count(*)::int from bulkhead.backup_staged) as staged
        `);
      const expected = { objects: step === "renew" ? 4 : 0, staged: step === "put" ? 1 : 0 };
      assert.deepEqual({ ...left[0] }, expected, step);
      assert.deepEqual((await listBackups(world)).valid, []);
      await leaseEnds(db.url);
      await edgeRun({ url: db.url, world });
      await assertEqual(db.url, await newest(world));
    }
  });

  test("a call that comes late begins nothing; two at once are one", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    const late = (options: EdgeBackupOptions) => ({ ...options, resumeOnly: true });
    const one = { url: db.url, world };
    assert.deepEqual(await edgeCall({ ...one, change: late }), { state: "idle" });
    const both = await Promise.all([edgeCall(one), edgeCall(one)]);
    assert.deepEqual(both.map(({ state }) => state).sort(), ["busy", "complete"]);
    assert.deepEqual(await edgeCall({ ...one, change: late }), { state: "idle" });
    assert.equal((await runs(db.url)).length, 1);
    assert.equal((await listBackups(world)).valid.length, 1);
  });

  test("a worker that has done its share leaves the run to another one", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART });
    const worker = { spent: 0 };
    let asked = 0;
    const change = (options: EdgeBackupOptions) => ({
      ...options,
      worker,
      callAgain: () => Promise.resolve(void asked++),
    });
    for (let calls = 0; calls < 6; calls++) await edgeCall({ url: db.url, world, change });
    assert.ok(worker.spent < 4 * PART, `${worker.spent} bytes`);
    const parts = await withSql(db.url, (sql) => sql`select from bulkhead.backup_objects`);
    assert.ok(parts.length <= 3, `${parts.length} parts`);
    assert.ok(asked <= 2, "the same worker is not asked again");
    const [run] = await runs(db.url);
    assert.deepEqual([run?.["state"], run?.["leased_until"]], ["running", null]);
    await edgeRun({ url: db.url, world });
  });
});

describe("the function under Deno, killed", () => {
  test("at seeded moments: started anew and called again, it completes a backup that restores", async () => {
    await using db = await openhouseDatabase(server, { rows: 1_200 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    await edgeLimits(db.url, { part: PART });
    const secret = randomBytes(32).toString("hex");
    const host = () =>
      startFunctions({
        deno: "edge",
        names: ["backup"],
        write: [world.folder],
        env: { ...world.env, SUPABASE_DB_URL: db.url, BULKHEAD_HMAC_SECRET: secret },
      });
    await using sender = startHttpSender(db.url, { poll: 0 });
    await withSql(db.url, (sql) =>
      sql`select vault.create_secret('x', 'bulkhead_functions_url'),
        vault.create_secret(${secret}, 'bulkhead_hmac_secret')`);
    const ask = async (of: FunctionsHost, what: "dispatch_backup" | "resume_backup") => {
      await withSql(
        db.url,
        (sql) =>
          sql`select vault.update_secret((select id from vault.secrets where name = 'bulkhead_functions_url'), ${of.functionsUrl})`,
      );
      await withSql(db.url, (sql) => sql.unsafe(`select bulkhead.${what}()`));
      await sender.drain();
    };
    const random = seeded(4);
    let killed = 0;
    for (let i = 0; i < depth({ quick: 4, full: 15 }); i++) {
      const worker = await host();
      await ask(worker, i === 0 ? "dispatch_backup" : "resume_backup");
      await sleep(random() * 1_200);
      await worker.kill();
      await leaseEnds(db.url);
      if ((await runs(db.url)).at(-1)?.["state"] === "complete") break;
      killed++;
      await withSql(
        db.url,
        (sql) => sql`update public.messages set body = body || '-' where left(id::text, 1) = '7'`,
      );
    }
    assert.ok(killed > 2, `${killed} workers were killed in the middle`);
    await edgeLimits(db.url, { part: 32 * 2 ** 20 });
    await using last = await host();
    for (let waited = 0; waited < 120; waited++) {
      const [run] = await runs(db.url);
      if (run?.["state"] !== "running") break;
      const leasedUntil = run["leased_until"] as Date | null;
      if (leasedUntil === null || leasedUntil < new Date()) await ask(last, "resume_backup");
      await sleep(500);
    }
    const [run, ...more] = await runs(db.url);
    assert.deepEqual([run?.["state"], more], ["complete", []], `${run?.["error"]} ${last.log()}`);
    await using target = await emptyOpenhouse(server);
    const restored = await bulkhead(["restore", "--into-env", "TARGET_URL"], {
      ...world.env,
      TARGET_URL: target.superUrl,
    });
    assert.equal(restored.code, 0, restored.stderr);
  });
});
