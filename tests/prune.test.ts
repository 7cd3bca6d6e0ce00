import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, type Keyring } from "../functions/_core/keys/keyring.ts";
import type { Manifest, ManifestObject } from "../functions/_core/backup/manifest-schema.ts";
import {
  listBackups,
  newestBackup,
  verifyObjects,
  writeManifest,
} from "../functions/_core/backup/manifest.ts";
import {
  backupIdTime,
  manifestKey,
  newBackupId,
  objectKey,
} from "../functions/_core/backup/names.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { applyPrune, planPrune } from "../functions/_core/backup/prune.ts";
import { storeError } from "../functions/_core/backup/store-errors.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { depth, seeded } from "./support/depth.ts";
import { bytesOf, collect } from "./support/object-store-suite.ts";

const DAY = 86_400_000;
const HASH = "4711".repeat(16);
const NOW = new Date(Math.floor(Date.now() / 1_000) * 1_000);
const policy = { daily: 5, weekly: 2, monthly: 2, now: NOW };

const folders: string[] = [];
async function newStore(): Promise<ObjectStore> {
  const folder = await mkdtemp(join(tmpdir(), "bulkhead-prune-"));
  folders.push(folder);
  return folderStore(folder);
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

async function newKeyring(): Promise<Keyring> {
  const kek = await kekFromBase64(randomBytes(32).toString("base64"));
  return await createKeyring({ store: await newStore(), kek });
}
const keyring = await newKeyring();

/** A backup of `daysAgo`; `reuse` gives objects of an older backup to reference instead. */
async function backUp(
  store: ObjectStore,
  daysAgo: number,
  options: { tenants?: string[]; reuse?: ManifestObject[] } = {},
): Promise<Manifest> {
  const at = new Date(NOW.getTime() - daysAgo * DAY - 3_600_000);
  const id = newBackupId(at);
  const objects: ManifestObject[] = [...options.reuse ?? []];
  for (const tenant of options.tenants ?? ["alpha"]) {
    const bytes = randomBytes(50);
    const key = objectKey({ tenant, backup: id, part: 1 });
    const { version, size } = await store.put(key, bytes);
    objects.push({
      kind: "tenant",
      tenant,
      backup: id,
      part: 1,
      key,
      version,
      size,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      keyId: "0".repeat(32),
      rawBytes: 10,
      rows: 1,
      tables: [{ schema: "public", name: "units", rows: 1, bytes: 10, contentHash: HASH }],
    });
  }
  const manifest: Manifest = {
    format: 1,
    id,
    tool: "bulkhead 0.1.0",
    source: "runner",
    project: "test",
    startedAt: at.toISOString(),
    finishedAt: new Date(at.getTime() + 60_000).toISOString(),
    schemaFingerprint: "f",
    migrations: ["001_tenancy"],
    auditHead: null,
    previous: null,
    rows: objects.length,
    objects,
  };
  await writeManifest({ store, keyring, manifest });
  return manifest;
}

async function series(store: ObjectStore, days: readonly number[]): Promise<Manifest[]> {
  const made: Manifest[] = [];
  for (const day of days) made.push(await backUp(store, day));
  return made;
}

const ids = (manifests: readonly { id: string }[]) => manifests.map(({ id }) => id);

/** What must hold after anything at all: every manifest that is there is whole. */
async function assertWhole(store: ObjectStore): Promise<string[]> {
  const { valid, invalid } = await listBackups({ store, keyring });
  assert.deepEqual(invalid, []);
  for (const { manifest } of valid) {
    assert.deepEqual(await verifyObjects({ store, manifest }), [], manifest.id);
  }
  return valid.map(({ manifest }) => manifest.id);
}

test("a manifest comes back as it was written, with its content hashes hidden in the store", async () => {
  const store = await newStore();
  const manifest = await backUp(store, 0);
  const found = await newestBackup({ store, keyring });
  assert.deepEqual(found.manifest, manifest);
  const bytes = await bytesOf(await store.get(manifestKey(manifest.id)));
  assert.equal(found.sha256, createHash("sha256").update(bytes).digest("hex"));
  assert.ok(!new TextDecoder().decode(bytes).includes(HASH));
  await assert.rejects(writeManifest({ store, keyring, manifest }), { code: "BH_STORE_EXISTS" });
});

test("newestBackup() names what is wrong with a newer manifest instead of skipping it", async () => {
  const store = await newStore();
  await assert.rejects(newestBackup({ store, keyring }), { code: "BH_NO_BACKUP", exitCode: 1 });
  const [old, young] = await series(store, [1, 0]);
  assert.ok(old && young);
  const key = manifestKey(young.id);
  const text = new TextDecoder().decode(await bytesOf(await store.get(key)));
  const stored = await store.head(key);
  await store.deleteVersion(key, stored!.version);
  for (
    const [from, to] of [['"rows":1', '"rows":2'], ["runner", "rummer"], [/^/, "x"], [
      /"value":"./,
      '"value":"',
    ]] as const
  ) {
    const bad = await store.put(key, new TextEncoder().encode(text.replace(from, to)));
    await assert.rejects(newestBackup({ store, keyring }), {
      code: "BH_MANIFEST_INVALID",
      exitCode: 5,
    });
    assert.equal((await newestBackup({ store, keyring, id: old.id })).manifest.id, old.id);
    const listing = await listBackups({ store, keyring });
    assert.deepEqual([listing.valid.length, listing.invalid.length], [1, 1]);
    await store.deleteVersion(key, bad.version);
  }
  // An old manifest under a newer name is no newer backup.
  const copied = await bytesOf(await store.get(manifestKey(old.id)));
  await store.put(key, copied);
  await assert.rejects(newestBackup({ store, keyring }), /it belongs to backup/);
  await assert.rejects(newestBackup({ store, keyring, id: "20200101T000000Z-00000000" }), {
    code: "BH_NO_BACKUP",
  });
});

test("garbage put over a good manifest hides nothing", async () => {
  const store = await newStore();
  const [, young] = await series(store, [1, 0]);
  await store.put(manifestKey(young!.id), new TextEncoder().encode("garbage"));
  assert.equal((await newestBackup({ store, keyring })).manifest.id, young!.id);
  assert.equal((await listBackups({ store, keyring })).invalid.length, 1);
});

test("under another keyring every manifest is reported, none is skipped", async () => {
  const store = await newStore();
  await series(store, [1, 0]);
  await assert.rejects(newestBackup({ store, keyring: await newKeyring() }), {
    code: "BH_TENANT_KEY_MISSING",
    exitCode: 5,
  });
});

test("verifyObjects() finds a missing version and a changed size", async () => {
  const store = await newStore();
  const manifest = await backUp(store, 0, { tenants: ["a", "b", "c"] });
  const [a, b] = manifest.objects;
  await store.put(a!.key, randomBytes(9)); // a newer version changes nothing: the pinned one is there
  assert.deepEqual(await verifyObjects({ store, manifest }), []);
  await store.deleteVersion(b!.key, b!.version);
  const edited = {
    ...manifest,
    objects: manifest.objects.map((o) => o === a ? { ...o, size: 1 } : o),
  };
  assert.deepEqual(
    (await verifyObjects({ store, manifest: edited })).map(({ key, state }) => [key, state]),
    [
      [a!.key, "size"],
      [b!.key, "missing"],
    ],
  );
});

test("prune removes by version what retention says, and nothing else", async () => {
  const store = await newStore();
  const made = await series(store, Array.from({ length: 12 }, (_, i) => 11 - i));
  await store.put("keyring.json", randomBytes(9));
  await store.put("unrelated/file", randomBytes(9));
  const plan = await planPrune({
    store,
    keyring,
    ...policy,
    weekly: 0,
    monthly: 0,
    isForced: true,
  });
  assert.deepEqual(plan.retention.remove, ids(made.slice(0, 7)));
  assert.equal((await listBackups({ store, keyring })).valid.length, 12); // a plan is only a plan
  const result = await applyPrune(store, plan);
  assert.deepEqual([result.removedBackups.length, result.deletedVersions], [7, 14]);
  assert.deepEqual(await assertWhole(store), ids(made.slice(7)).reverse());
  assert.equal((await collect(store.listVersions("objects/"))).length, 5);
  assert.ok(await store.head("keyring.json") && await store.head("unrelated/file"));
  const again = await planPrune({ store, keyring, ...policy, weekly: 0, monthly: 0 });
  assert.deepEqual([again.retention.remove, again.orphans], [[], []]);
});

test("an object that a kept manifest references stays when the backup that wrote it goes", async () => {
  const store = await newStore();
  const first = await backUp(store, 9, { tenants: ["quiet", "busy"] });
  const quiet = first.objects.filter(({ tenant }) => tenant === "quiet");
  for (let day = 8; day >= 0; day--) await backUp(store, day, { tenants: ["busy"], reuse: quiet });
  const plan = await planPrune({
    store,
    keyring,
    ...policy,
    weekly: 0,
    monthly: 0,
    isForced: true,
  });
  await applyPrune(store, plan);
  assert.ok(!(await assertWhole(store)).includes(first.id));
  assert.ok(await store.head(quiet[0]!.key, { version: quiet[0]!.version }));
});

test("prune stops on an unreadable backup: what it references is not known", async () => {
  const store = await newStore();
  await series(store, [3, 2, 1]);
  await store.put(manifestKey(newBackupId(NOW)), new TextEncoder().encode("{}"));
  await assert.rejects(planPrune({ store, keyring, ...policy }), {
    code: "BH_PRUNE_BLIND",
    exitCode: 5,
  });
});

test("prune does not count a backup whose objects are gone", async () => {
  const store = await newStore();
  const made = await series(store, [4, 3, 2, 1, 0]);
  const [object] = made[4]!.objects;
  await store.deleteVersion(object!.key, object!.version);
  const plan = await planPrune({ store, keyring, ...policy, daily: 2, weekly: 0, monthly: 0 });
  assert.deepEqual(plan.retention.setAside, [{ id: made[4]!.id, reason: "unverified" }]);
  assert.deepEqual(
    ids(plan.retention.keep.map(({ id }) => ({ id }))),
    ids([made[3]!, made[2]!, made[1]!]),
  );
});

test("prune refuses an empty store and a share above 25%, and applies nothing then", async () => {
  const empty = await newStore();
  const nothing = await planPrune({ store: empty, keyring, ...policy });
  await assert.rejects(applyPrune(empty, nothing), { code: "BH_PRUNE_STOPPED", exitCode: 1 });
  const store = await newStore();
  const made = await series(store, Array.from({ length: 12 }, (_, i) => i));
  const plan = await planPrune({ store, keyring, ...policy, weekly: 0, monthly: 0 });
  assert.equal(plan.retention.remove.length, 7);
  await assert.rejects(applyPrune(store, plan), /more than 25%/);
  assert.equal((await assertWhole(store)).length, made.length);
});

test("a backup written between plan and apply stops the apply", async () => {
  const store = await newStore();
  await series(store, Array.from({ length: 12 }, (_, i) => i + 1));
  const plan = await planPrune({ store, keyring, ...policy, isForced: true });
  await backUp(store, 0);
  await assert.rejects(applyPrune(store, plan), /written meanwhile/);
});

test("a held backup stays, and a locked one is left whole and reported", async () => {
  const store = await newStore();
  const made = await series(store, Array.from({ length: 12 }, (_, i) => 11 - i));
  await store.put(`holds/${made[0]!.id}`, new Uint8Array(0));
  const locking: ObjectStore = {
    ...store,
    deleteVersion(key, version) {
      if (key === manifestKey(made[1]!.id)) throw storeError.locked(key, "test");
      return store.deleteVersion(key, version);
    },
  };
  const plan = await planPrune({
    store,
    keyring,
    ...policy,
    weekly: 0,
    monthly: 0,
    isForced: true,
  });
  const result = await applyPrune(locking, plan);
  assert.equal(result.locked.length, 1);
  assert.deepEqual((await assertWhole(store)).slice(-2), [made[1]!.id, made[0]!.id]);
});

test("an object that two backups name stays while a lock keeps one of their manifests", async () => {
  for (const lockedOne of [0, 1]) {
    const store = await newStore();
    const first = await backUp(store, 11, { tenants: ["quiet", "busy"] });
    const quiet = first.objects.filter(({ tenant }) => tenant === "quiet");
    const second = await backUp(store, 10, { tenants: ["busy"], reuse: quiet });
    await series(store, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    const locking: ObjectStore = {
      ...store,
      deleteVersion(key, version) {
        if (key === manifestKey([first, second][lockedOne]!.id)) {
          throw storeError.locked(key, "test");
        }
        return store.deleteVersion(key, version);
      },
    };
    const options = { store, keyring, ...policy, weekly: 0, monthly: 0, isForced: true };
    const { removedBackups } = await applyPrune(locking, await planPrune(options));
    assert.deepEqual(removedBackups.includes(first.id), lockedOne === 1);
    await assertWhole(store);
    assert.ok(await store.head(quiet[0]!.key, { version: quiet[0]!.version }));
    // When the lock has ended, everything goes.
    await applyPrune(store, await planPrune(options));
    await assertWhole(store);
    assert.equal(await store.head(quiet[0]!.key), null);
  }
});

test("a damaged version beside a sound manifest is spared with it, and stops no later prune", async () => {
  const store = await newStore();
  const made = await series(store, Array.from({ length: 12 }, (_, i) => 11 - i));
  await store.put(manifestKey(made[0]!.id), new TextEncoder().encode("garbage"));
  const options = { store, keyring, ...policy, weekly: 0, monthly: 0, isForced: true };
  const plan = await planPrune(options);
  assert.deepEqual(plan.retention.setAside, [{ id: made[0]!.id, reason: "held" }]);
  assert.equal(plan.invalid.length, 1);
  await applyPrune(store, plan);
  assert.deepEqual((await planPrune(options)).retention.remove, []);
});

test("of what lies under objects/, prune deletes only what a dead backup wrote", async () => {
  const store = await newStore();
  const [, , newest] = await series(store, [4, 3, 2]);
  const put = (key: string) => store.put(key, randomBytes(9));
  const ours = (at: Date) => objectKey({ tenant: "alpha", backup: newBackupId(at), part: 1 });
  const dead = await put(ours(new Date(NOW.getTime() - 3.5 * DAY)));
  // A backup that takes longer than two days is no orphan: nobody has completed one since.
  const running = await put(ours(new Date(NOW.getTime() - DAY)));
  const foreign = [await put("objects/notes.txt"), await put("objects/alpha/other.bhb")];
  const shadow = await put(newest!.objects[0]!.key);
  const later = new Date(Date.now() + 3 * DAY);
  const old: ObjectStore = { ...store, clock: () => Promise.resolve(later) };
  const plan = await planPrune({ store: old, keyring, ...policy, now: later });
  assert.deepEqual(
    plan.orphans.map(({ key, version }) => [key, version]).sort(),
    [
      [dead.key, dead.version],
      [shadow.key, shadow.version],
    ].sort(),
  );
  await applyPrune(store, plan);
  await assertWhole(store);
  for (const { key, version } of [running, ...foreign]) {
    assert.ok(await store.head(key, { version }), key);
  }
});

test("orphans go after two days, younger ones may belong to a running backup", async () => {
  const store = await newStore();
  await series(store, [2, 1]);
  const died = newBackupId(new Date(NOW.getTime() - DAY / 2));
  const orphan = objectKey({ tenant: "alpha", backup: died, part: 1 });
  await store.put(orphan, randomBytes(9));
  await series(store, [0]);
  assert.equal((await planPrune({ store, keyring, ...policy })).orphans.length, 0);
  const later = new Date(Date.now() + 3 * DAY);
  const old: ObjectStore = { ...store, clock: () => Promise.resolve(later) };
  const plan = await planPrune({ store: old, keyring, ...policy, now: later });
  assert.equal(plan.orphans.length, 1);
  await applyPrune(store, plan);
  assert.equal((await assertWhole(store)).length, 3);
  assert.equal((await collect(store.listVersions("objects/"))).length, 3);
});

test(`a prune killed at any deletion leaves every manifest whole, the next run finishes`, async () => {
  const random = seeded(7);
  for (let round = 0; round < depth({ quick: 15, full: 100 }); round++) {
    const store = await newStore();
    const base = await backUp(store, 20, { tenants: ["quiet", "busy"] });
    const quiet = base.objects.slice(0, 1);
    for (let day = 10; day >= 0; day--) {
      await backUp(store, day, { tenants: ["busy"], reuse: quiet });
    }
    const killAt = Math.floor(random() * 14);
    let deletions = 0;
    const dying: ObjectStore = {
      ...store,
      async deleteVersion(key, version) {
        if (deletions++ === killAt) {
          // Killed before or after the store did it.
          if (random() < 0.5) await store.deleteVersion(key, version);
          throw new Error("killed");
        }
        await store.deleteVersion(key, version);
      },
    };
    const options = { keyring, ...policy, weekly: 0, monthly: 0, isForced: true };
    const newest = (await newestBackup({ store, keyring })).manifest.id;
    await applyPrune(dying, await planPrune({ store, ...options })).catch((error) => {
      assert.match(String(error), /killed/);
    });
    const left = await assertWhole(store);
    assert.ok(left.length >= 5 && left[0] === newest);

    const later = new Date(Date.now() + 3 * DAY);
    const next: ObjectStore = { ...store, clock: () => Promise.resolve(later) };
    await applyPrune(store, await planPrune({ ...options, store: next, now: later }));
    assert.equal((await assertWhole(store)).length, 5);
    assert.equal((await collect(store.listVersions("objects/"))).length, 6, "orphans stayed");
  }
});

test("names of keys hold any tenant id, and ids hold their time", () => {
  const at = new Date("2026-11-21T02:30:00Z");
  const backup = newBackupId(at);
  assert.match(backup, /^20261121T023000Z-[0-9a-f]{8}$/);
  assert.deepEqual(backupIdTime(backup), at);
  assert.throws(() => backupIdTime("20261341T023000Z-00000000"), BulkheadError);
  const key = (tenant: string) => objectKey({ tenant, backup: "b", part: 7 });
  assert.equal(key("../é 1"), "objects/%2E%2E%2F%C3%A9%201/b-00007.bhb");
  assert.notEqual(key("a/b"), key("a%2Fb"));
  assert.throws(() => key(""), { code: "BH_TENANT_ID" });
  assert.throws(() => key("x".repeat(201)), { code: "BH_TENANT_ID" });
});
