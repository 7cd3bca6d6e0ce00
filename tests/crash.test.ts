import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { connect } from "../functions/_core/adapters/postgres.ts";
import { openSource } from "../functions/_core/adapters/postgres-export.ts";
import { openRunLedger } from "../functions/_core/adapters/postgres-runs.ts";
import { listBackups, newestBackup, verifyObjects } from "../functions/_core/backup/manifest.ts";
import { newBackupId, objectKey } from "../functions/_core/backup/names.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { applyPrune, planPrune } from "../functions/_core/backup/prune.ts";
import { verifyBackup } from "../functions/_core/backup/restore-backup.ts";
import { runBackup } from "../functions/_core/backup/run-backup.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { type Keyring, openKeyring } from "../functions/_core/keys/keyring.ts";
import { backupWorld } from "./support/backup-world.ts";
import { crashRunner } from "./support/crash.ts";
import { depth, seeded } from "./support/depth.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

const DAY = 86_400_000;
const KEK = Buffer.alloc(32, 7).toString("base64");

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

type Stored = { store: ObjectStore; keyring: Keyring };

/** What must hold at any moment whatever was killed: manifests are sound, what they name is there, the newest reads. */
async function assertRestorable({ store, keyring }: Stored): Promise<string> {
  const { valid, invalid } = await listBackups({ store, keyring });
  assert.deepEqual(invalid, []);
  for (const { manifest } of valid) {
    assert.deepEqual(await verifyObjects({ store, manifest }), [], manifest.id);
  }
  const { manifest } = await newestBackup({ store, keyring });
  const { rows } = await verifyBackup({ store, keyring, manifest });
  assert.equal(rows, manifest.rows);
  return manifest.id;
}

/** `key@version` of every object, and of those that a manifest names. */
async function objectsOf({ store, keyring }: Stored) {
  const { valid } = await listBackups({ store, keyring });
  const named = new Set(
    valid.flatMap(({ manifest }) =>
      manifest.objects.map(({ key, version }) => `${key}@${version}`)
    ),
  );
  const present: string[] = [];
  for await (const { key, version } of store.listVersions("objects/")) {
    present.push(`${key}@${version}`);
  }
  return { present, named: [...named].sort() };
}

/** Every version of every object and manifest. */
async function everything({ store }: { store: ObjectStore }): Promise<Set<string>> {
  const found = new Set<string>();
  for (const prefix of ["objects/", "manifests/"]) {
    for await (const { key, version } of store.listVersions(prefix)) found.add(`${key}@${version}`);
  }
  return found;
}

/** Name and SHA-256 of every file outside of objects/, manifests/ and .tmp/: what prune has no business with. */
function others(folder: string): string[] {
  return readdirSync(folder, { recursive: true }).map(String)
    .filter((name) => !/^(objects|manifests|\.tmp)\b/.test(name))
    .filter((name) => statSync(join(folder, name)).isFile())
    .map((name) =>
      `${name} ${createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")}`
    ).sort();
}

async function backUp(db: Database, { store, keyring }: Stored, at: Date): Promise<void> {
  const sql = connect(db.url, { max: 1 });
  const source = await openSource(db.url, { shared: true });
  try {
    for (let tries = 0;; tries++) {
      try {
        const ledger = openRunLedger(sql);
        await runBackup({ source, ledger, store, keyring, tool: "test", now: () => at });
        return;
      } catch (error) {
        // The server notices that a killed client is gone when it next writes to it.
        const isBusy = error instanceof BulkheadError && error.code === "BH602";
        if (!isBusy || tries > 100) throw error;
        await sleep(50);
      }
    }
  } finally {
    await source.close();
    await sql.end({ timeout: 1 });
  }
}

/** One row of one tenant changes, so that this tenant is copied and the others are referenced. */
async function touch(db: Database, random: () => number): Promise<void> {
  await withSql(db.url, async (sql) => {
    const tenants = await sql<{ id: string }[]>`select id from public.tenants order by id`;
    const { id = "" } = tenants[Math.floor(random() * tenants.length)] ?? {};
    await sql`
      update public.messages set is_read = not is_read
      where id = (select id from public.messages where tenant_id = ${id} order by id limit 1)`;
  });
}

/** Prune as if three days had passed, so that nothing is too young to be an orphan. */
async function pruneLater(
  { store, keyring }: Stored,
  policy = { daily: 30, weekly: 12, monthly: 12 },
) {
  const now = new Date(Date.now() + 3 * DAY);
  const later: ObjectStore = { ...store, clock: () => Promise.resolve(now) };
  const plan = await planPrune({ ...policy, store: later, keyring, now, isForced: true });
  return { plan, result: await applyPrune(later, plan) };
}

type Life = { points: number; milliseconds: number };

/**
 * Deaths at a point, in turn with those after a time, spread over the whole life: a point can't lie within a call, and
 * a time seldom hits the moment between two.
 */
function death(at: { round: number; deaths: number; random: () => number }, life: Life) {
  const share = (at.round % at.deaths + at.random()) / at.deaths;
  return at.round % 2 === 0
    ? { killAt: Math.floor(share * life.points) }
    : { killAfter: share * life.milliseconds };
}

/** Who outlived the time of its death shows that lives are shorter than was thought. */
function outlived(life: Life, end: Life): void {
  life.milliseconds = Math.min(life.milliseconds, end.milliseconds);
}

describe("kill -9", () => {
  test("of a backup: the newest complete one reads, the next run works, its prune collects the rest", async (t) => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    using crashes = crashRunner();
    const random = seeded(20261121);
    const { folder } = world;
    await world.store.put("objects/notes.txt", new TextEncoder().encode("not ours"));
    // A backup's id holds whole seconds; here they follow each other faster.
    let clock = Date.now() - DAY;
    const next = () => new Date(clock += 1_000);
    const run = (isFull: boolean, how: { killAt?: number; killAfter?: number } = {}) =>
      crashes.run({
        what: "backup",
        ...{ folder, kek: KEK, databaseUrl: db.url, isFull, now: next().toISOString() },
        ...how,
      });
    const whole = await run(true);
    const part = await run(false);
    assert.ok(!whole.isKilled && !part.isKilled);
    const { store, kek } = world;
    const stored = { store, keyring: await openKeyring({ store, kek }) };
    let killed = 0, completed = 0, orphans = 0;
    const deaths = depth({ quick: 15, full: 200 });
    for (let round = 0; killed < deaths; round++) {
      assert.ok(round < 4 * deaths, `${killed} of ${round} were killed`);
      await touch(db, random);
      const known = (await newestBackup(stored)).manifest.id;
      const isFull = random() < 0.5;
      const life = isFull ? whole : part;
      const end = await run(isFull, death({ round, deaths, random }, life));
      if (end.isKilled) killed++;
      else outlived(life, end);
      const newest = await assertRestorable(stored);
      assert.ok(newest >= known);
      if (newest > known) completed++;

      await touch(db, random);
      await backUp(db, stored, next());
      assert.ok(await assertRestorable(stored) > newest);
      const [runs] = await withSql(
        db.url,
        (sql) => sql`select count(*)::int as n from bulkhead.backup_runs where state = 'running'`,
      );
      assert.equal(runs?.["n"], 0, "a dead run is failed, not running");

      const { named } = await objectsOf(stored);
      const kept = others(folder);
      const { plan } = await pruneLater(stored);
      orphans += plan.orphans.length;
      assert.ok(plan.orphans.every(({ key, version }) => !named.includes(`${key}@${version}`)));
      const left = await objectsOf(stored);
      assert.deepEqual(left.present.filter((at) => !/notes\.txt/.test(at)), left.named);
      assert.deepEqual(others(folder), kept);
      assert.deepEqual(readdirSync(join(folder, ".tmp")), []);
      await assertRestorable(stored);
    }
    assert.ok(await world.store.head("objects/notes.txt"));
    t.diagnostic(`${killed} killed, ${completed} of them after the manifest, ${orphans} orphans`);
    assert.ok(orphans > 0);
  });

  test("of a prune: what the plan keeps reads, only what it names is gone, the next run ends the work", async (t) => {
    await using db = await openhouseDatabase(server);
    using world = await backupWorld({ DATABASE_URL: db.url });
    using crashes = crashRunner();
    const random = seeded(400);
    const days = [90, 60, 40, 20, 13, 12, 11, 8, 5, 4, 3, 2, 1, 0];
    const died = newBackupId(new Date(Date.now() - 9.5 * DAY));
    for (const ago of days) {
      await touch(db, random);
      await backUp(db, world, new Date(Date.now() - ago * DAY - 3_600_000));
    }
    for (const tenant of ["acme", "birch"]) {
      await world.store.put(objectKey({ tenant, backup: died, part: 1 }), new Uint8Array(9));
    }
    await world.store.put("holds/nothing", new Uint8Array(0));
    await world.store.put("objects/notes.txt", new TextEncoder().encode("not ours"));

    const { keyring } = world;
    const policy = { daily: 3, weekly: 2, monthly: 1 };
    const now = new Date(Date.now() + 3 * DAY);
    const copies = mkdtempSync(join(tmpdir(), "bulkhead-crash-"));
    const copyOf = (name: string) => {
      const folder = join(copies, name);
      cpSync(world.folder, folder, { recursive: true, preserveTimestamps: true });
      return { folder, store: folderStore(folder), keyring };
    };
    const run = (folder: string, how: { killAt?: number; killAfter?: number } = {}) =>
      crashes.run({ what: "prune", folder, kek: KEK, policy, now: now.toISOString(), ...how });
    try {
      const goal = copyOf("goal");
      const life = await run(goal.folder);
      assert.ok(!life.isKilled);
      const left = [...await everything(goal)].sort();
      const whole = [...await everything(world)].sort();
      assert.ok(whole.length - left.length > 15);
      const newest = await assertRestorable(world);

      const deaths = depth({ quick: 15, full: 200 });
      let killed = 0, halfway = 0;
      const one = async (round: number) => {
        const copy = copyOf(String(round));
        const end = await run(copy.folder, death({ round, deaths, random }, life));
        if (end.isKilled) killed++;
        else outlived(life, end);
        assert.equal(await assertRestorable(copy), newest);
        const present = await everything(copy);
        if (present.size < whole.length && present.size > left.length) halfway++;
        assert.ok(left.every((at) => present.has(at)), "something is gone that the plan keeps");
        assert.ok([...present].every((at) => whole.includes(at)));
        await pruneLater(copy, policy);
        assert.deepEqual([...await everything(copy)].sort(), left);
        assert.equal(await assertRestorable(copy), newest);
        assert.deepEqual(others(copy.folder), others(world.folder));
        rmSync(copy.folder, { recursive: true });
      };
      for (let round = 0; killed < deaths; round += 2) {
        assert.ok(round < 4 * deaths, `${killed} of ${round} were killed`);
        await Promise.all([one(round), one(round + 1)]);
      }
      t.diagnostic(`${killed} killed, ${halfway} of them half-way through the deletions`);
      assert.ok(halfway > 0);
    } finally {
      rmSync(copies, { recursive: true });
    }
  });
});
