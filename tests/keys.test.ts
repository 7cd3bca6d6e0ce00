import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { canonicalJson, toBase64, toHex, utf8 } from "../functions/_core/bytes.ts";
import { withSql } from "./support/postgres.ts";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { fieldCipher } from "../functions/_core/keys/field-cipher.ts";
import { type Kek, kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, openKeyring } from "../functions/_core/keys/keyring.ts";
import { loadKeyring, saveKeyring } from "../functions/_core/keys/keyring-store.ts";
import { connect } from "../functions/_core/adapters/postgres.ts";
import { openSource } from "../functions/_core/adapters/postgres-export.ts";
import { openRunLedger } from "../functions/_core/adapters/postgres-runs.ts";
import { openObject } from "../functions/_core/backup/format.ts";
import { runBackup } from "../functions/_core/backup/run-backup.ts";
import { rotateKek } from "../functions/_core/keys/rotate-kek.ts";
import { shredTenant } from "../functions/_core/keys/shred.ts";
import { type BackupWorld, backupWorld, bulkhead } from "./support/backup-world.ts";
import { depth } from "./support/depth.ts";
import { bytesOf, collect } from "./support/object-store-suite.ts";
import { openhouseDatabase, type Server, startPostgres } from "./support/postgres.ts";

const folders: string[] = [];
async function newStore(): Promise<ObjectStore> {
  const folder = await mkdtemp(join(tmpdir(), "bulkhead-keys-"));
  folders.push(folder);
  return folderStore(folder);
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const newKek = () => kekFromBase64(randomBytes(32).toString("base64"));
const [first, second, third]: [Kek, Kek, Kek] = [await newKek(), await newKek(), await newKek()];

/** A store whose puts can be made to fail, or to let somebody else in just before or just after. */
function withHooks(
  store: ObjectStore,
  hooks: { before?: () => Promise<void>; after?: () => Promise<void> },
): ObjectStore {
  return {
    ...store,
    async put(key, body, options) {
      const { before, after } = hooks;
      delete hooks.before;
      await before?.();
      const stored = await store.put(key, body, options);
      delete hooks.after;
      await after?.();
      return stored;
    },
  };
}

describe("the key-encryption key", () => {
  test("rotateKek() moves every key, keeps each readable, and locks the old one out", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    const alpha = await keyring.ensureTenantKey("alpha");
    const field = await keyring.ensureFieldKey("alpha", "token");
    const { id: manifest } = await keyring.manifestKey();
    const done = await rotateKek({ store, kek: first, newKek: second });
    assert.deepEqual([done.kekId, done.epoch, done.isChanged], [second.id, 2, true]);
    const after = await openKeyring({ store, kek: second });
    assert.deepEqual(await after.tenantKey("alpha", alpha.id), alpha);
    assert.deepEqual(await after.fieldKey("alpha", "token", field.id), field);
    assert.equal((await after.manifestKey(manifest)).id, manifest);
    assert.notEqual((await after.manifestKey()).id, manifest);
    await assert.rejects(openKeyring({ store, kek: first }), { code: "BH_KEK_OTHER", exitCode: 5 });
    await assert.rejects(keyring.ensureTenantKey("beta"), { code: "BH_KEK_OTHER" });
  });

  test("a keyring knows when its epoch began, through every write until the next rotation", async () => {
    const store = await newStore();
    const at = (day: number) => () => new Date(Date.UTC(2026, 0, day));
    const keyring = await createKeyring({ store, kek: first, now: at(1) });
    await keyring.rotateTenant("@global");
    await (await openKeyring({ store, kek: first, now: at(9) })).ensureTenantKey("alpha");
    assert.deepEqual((await openKeyring({ store, kek: first })).kekSince, at(1)());
    await rotateKek({ store, kek: first, newKek: second, now: at(20) });
    assert.deepEqual((await openKeyring({ store, kek: second })).kekSince, at(20)());
    assert.deepEqual(keyring.kekSince, at(1)());
  });

  test("a keyring of before this was recorded does not guess; a rotation records it", async () => {
    const store = await newStore();
    await createKeyring({ store, kek: first });
    const made = await loadKeyring({ store, keks: [first] });
    assert.ok(made);
    const older = await newStore();
    const now = () => new Date();
    const root = { ...made.root, epochAt: null };
    await saveKeyring({ store: older, keks: [first], now }, { ...made, root, heads: [] });
    const text = new TextDecoder().decode(await bytesOf(await older.get("keyring.json")));
    assert.doesNotMatch(text, /epochAt/);
    const keyring = await openKeyring({ store: older, kek: first });
    await keyring.ensureTenantKey("alpha");
    assert.equal((await openKeyring({ store: older, kek: first })).kekSince, null);
    await rotateKek({ store: older, kek: first, newKek: second });
    assert.ok((await openKeyring({ store: older, kek: second })).kekSince);
  });

  test("rotateKek() run again changes nothing; the same key, or a third one, is refused", async () => {
    const store = await newStore();
    await createKeyring({ store, kek: first });
    await rotateKek({ store, kek: first, newKek: second });
    const versions = async () => (await collect(store.listVersions("keyring.json"))).length;
    const had = await versions();
    assert.equal((await rotateKek({ store, kek: first, newKek: second })).isChanged, false);
    assert.equal(await versions(), had);
    await assert.rejects(rotateKek({ store, kek: second, newKek: second }), {
      code: "BH_KEK_SAME",
      exitCode: 2,
    });
    await assert.rejects(rotateKek({ store, kek: first, newKek: third }), { code: "BH_KEK_OTHER" });
  });

  test("a key that a writer adds before, during or after a rotation is never lost nor used in vain", async () => {
    for (const moment of ["before", "after"] as const) {
      const store = await newStore();
      const running = await createKeyring({ store, kek: first });
      let added: unknown;
      const meeting = withHooks(store, {
        [moment]: async () => {
          added = await running.ensureTenantKey("beta").catch((error) => error);
        },
      });
      await rotateKek({ store: meeting, kek: first, newKek: second });
      const keyring = await openKeyring({ store, kek: second });
      if (moment === "before") assert.deepEqual(await keyring.tenantKey("beta"), added);
      else assert.equal((added as { code?: string }).code, "BH_KEK_OTHER");
    }
  });

  test("a rotation that dies before it looked again is an error until it is finished", async () => {
    const store = await newStore();
    const running = await createKeyring({ store, kek: first });
    let key: unknown;
    const dying = withHooks(store, {
      before: async () => void (key = await running.ensureTenantKey("beta")),
      after: () => Promise.reject(new Error("killed")),
    });
    await assert.rejects(rotateKek({ store: dying, kek: first, newKek: second }), /killed/);
    await assert.rejects(openKeyring({ store, kek: second }), {
      code: "BH_KEK_ROTATION",
      exitCode: 5,
    });
    assert.equal((await rotateKek({ store, kek: first, newKek: second })).isChanged, true);
    const healed = await openKeyring({ store, kek: second });
    assert.deepEqual(await healed.tenantKey("beta"), key);
  });

  test("an old keyring put on top again brings nothing back", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    await keyring.ensureTenantKey("alpha");
    const old = await bytesOf(await store.get("keyring.json"));
    await rotateKek({ store, kek: first, newKek: second });
    const beta = await (await openKeyring({ store, kek: second })).ensureTenantKey("beta");
    await store.put("keyring.json", old);
    const after = await openKeyring({ store, kek: second });
    assert.deepEqual(await after.tenantKey("beta"), beta);
  });

  test("a thousand tenants rotate with one use of each key-encryption key", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    await keyring.ensureTenantKeys(Array.from({ length: 1_000 }, (_, i) => `tenant ${i}`));
    let [wraps, unwraps] = [0, 0];
    const counted = (kek: Kek): Kek => ({
      ...kek,
      wrap: (...of) => (wraps++, kek.wrap(...of)),
      unwrap: (...of) => (unwraps++, kek.unwrap(...of)),
    });
    await rotateKek({ store, kek: counted(first), newKek: counted(second) });
    assert.deepEqual([wraps, unwraps], [1, 2]);
  });
});

describe("a tenant's keys", () => {
  test("rotateTenant() gives new keys for every use and keeps the old ones", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    const old = await keyring.ensureTenantKey("alpha");
    await keyring.ensureFieldKey("alpha", "token");
    const beta = await keyring.ensureTenantKey("beta");
    const made = await keyring.rotateTenant("alpha");
    assert.deepEqual(made.map(({ use }) => use), ["backup", "field:token"]);
    assert.notEqual((await keyring.tenantKey("alpha")).id, old.id);
    assert.deepEqual(await keyring.tenantKey("alpha", old.id), old);
    assert.deepEqual(await keyring.tenantKey("beta"), beta);
    await assert.rejects(keyring.rotateTenant("nobody"), { code: "BH_TENANT_KEY_MISSING" });
  });

  test("a process that runs on learns of a rotation by the key that it meets; a key of nobody stays missing", async () => {
    const store = await newStore();
    const running = await createKeyring({ store, kek: first });
    const old = await running.ensureFieldKey("alpha", "token");
    const elsewhere = await openKeyring({ store, kek: first });
    await elsewhere.rotateTenant("alpha");
    const fresh = await elsewhere.fieldKey("alpha", "token");
    assert.equal((await running.fieldKey("alpha", "token")).id, old.id);
    assert.deepEqual(await running.fieldKey("alpha", "token", fresh.id), fresh);
    assert.equal((await running.fieldKey("alpha", "token")).id, fresh.id);
    await assert.rejects(running.fieldKey("beta", "token", fresh.id), {
      code: "BH_TENANT_KEY_MISSING",
    });
    await assert.rejects(running.tenantKey("alpha", "0".repeat(32)), {
      code: "BH_TENANT_KEY_MISSING",
    });
  });

  test("shredding after a rotation leaves a keyring that opens, wherever it is cut off", async () => {
    for (let cut = 0; cut < 6; cut++) {
      const store = await newStore();
      const keyring = await createKeyring({ store, kek: first });
      await keyring.ensureTenantKey("alpha");
      const beta = await keyring.ensureTenantKey("beta");
      await rotateKek({ store, kek: first, newKek: second });
      let deletions = 0;
      const dying: ObjectStore = {
        ...store,
        async deleteVersion(key, version) {
          if (deletions++ === cut) throw new Error("killed");
          await store.deleteVersion(key, version);
        },
      };
      const options = { kek: second, tenant: "alpha" };
      await shredTenant({ store: dying, ...options }).catch((error) => {
        assert.match(String(error), /killed/);
      });
      const after = await openKeyring({ store, kek: second });
      assert.deepEqual(await after.tenantKey("beta"), beta);
      const { certificate } = await shredTenant({ store, ...options });
      assert.equal(certificate.keys.length, 1);
      for (const { version } of await collect(store.listVersions("keyring.json"))) {
        const text = await bytesOf(await store.get("keyring.json", { version }));
        const { keys } = JSON.parse(new TextDecoder().decode(text)).keyring;
        assert.ok(keys.every(({ tenant }: { tenant: string }) => tenant !== "alpha"));
      }
      assert.deepEqual(await (await openKeyring({ store, kek: second })).tenantKey("beta"), beta);
    }
  });

  test("the certificate says what, when and which copies are left until when; a manifest key signs it; it holds no key", async () => {
    const store = await newStore();
    const day = (n: number) => new Date(Date.UTC(2026, 10, n, 9));
    const keyring = await createKeyring({ store, kek: first, now: () => day(1) });
    const backup = await keyring.ensureTenantKey("alpha");
    const field = await keyring.ensureFieldKey("alpha", "token");
    const signer = await keyring.manifestKey();
    const { certificate, key } = await shredTenant({
      store,
      kek: first,
      tenant: "alpha",
      now: () => day(21),
    });
    assert.equal(key, "certificates/alpha/20261121T090000Z.json");
    const at = day(21).toISOString();
    const { remaining, keys, ...facts } = certificate;
    assert.deepEqual(facts, {
      format: 1,
      tenant: "alpha",
      issuedAt: at,
      store: store.describe(),
      kekId: first.id,
      deletedVersions: 3,
    });
    const byId = (a: { id: string }, b: { id: string }) => a.id < b.id ? -1 : 1;
    assert.deepEqual(
      [...keys].sort(byId),
      [{ use: "backup", id: backup.id, at }, { use: "field:token", id: field.id, at }].sort(byId),
    );
    const [live, platform, copies] = remaining;
    assert.match(live?.copy ?? "", /live database/);
    assert.match(platform?.copy ?? "", /point-in-time/);
    assert.match(copies?.copy ?? "", new RegExp(`keyring.json.*${first.id} is rotated`));
    assert.deepEqual(remaining.map(({ until }) => until), [
      null,
      "2026-12-21T09:00:00.000Z",
      null,
    ]);
    const document = JSON.parse(new TextDecoder().decode(await bytesOf(await store.get(key))));
    const mac = await signer.sign(utf8(canonicalJson(document.certificate)), "certificate");
    assert.equal(document.signature.value, toHex(mac));
    assert.equal(document.signature.keyId, signer.id);
    for (const { bytes } of [backup, field]) {
      for (const written of [toHex(bytes), toBase64(bytes)]) {
        assert.ok(!JSON.stringify(document).includes(written));
      }
    }
  });

  test("shredTenant() leaves no version of the keyring with the key in it, and nobody else's gone", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    const alpha = await keyring.ensureTenantKey("alpha");
    const beta = await keyring.ensureTenantKey("beta");
    await keyring.rotateTenant("alpha");
    const { certificate, key } = await shredTenant({ store, kek: first, tenant: "alpha" });
    assert.equal(certificate.keys.length, 2);
    assert.equal(certificate.deletedVersions, 4);
    assert.equal(certificate.remaining.length, 3);
    for (const version of await collect(store.listVersions("keyring.json"))) {
      const text = new TextDecoder().decode(await bytesOf(await store.get(version.key, version)));
      for (const entry of JSON.parse(text).keyring.keys) assert.notEqual(entry.tenant, "alpha");
    }
    const after = await openKeyring({ store, kek: first });
    await assert.rejects(after.tenantKey("alpha", alpha.id), /it was shredded/);
    assert.ok(after.isShredded("alpha", alpha.id) && !after.isShredded("beta", beta.id));
    assert.deepEqual(await after.tenantKey("beta"), beta);
    const written = new TextDecoder().decode(await bytesOf(await store.get(key)));
    assert.deepEqual(JSON.parse(written).certificate, certificate);
  });

  test("shredding that was refused half-way issues no certificate, and ends when it is run again", async () => {
    const store = await newStore();
    await (await createKeyring({ store, kek: first })).ensureTenantKey("alpha");
    const refusing: ObjectStore = {
      ...store,
      deleteVersion: () => Promise.reject(new Error("AccessDenied")),
    };
    await assert.rejects(shredTenant({ store: refusing, kek: first, tenant: "alpha" }), /Denied/);
    assert.equal((await collect(store.listVersions("certificates/"))).length, 0);
    const { certificate } = await shredTenant({ store, kek: first, tenant: "alpha" });
    assert.deepEqual([certificate.keys.length, certificate.deletedVersions], [1, 2]);
    await assert.rejects(shredTenant({ store, kek: first, tenant: "nobody" }), { exitCode: 1 });
  });
});

describe("fieldCipher()", () => {
  const place = { table: "public.integrations", column: "token", row: "7" };

  test("it decrypts what it encrypted, for its tenant, class and place only", async () => {
    const fields = fieldCipher(await createKeyring({ store: await newStore(), kek: first }));
    await fields.encryptForTenant("beta", "token", "other", place);
    await fields.encryptForTenant("alpha", "other-class", "other", place);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme" }), async (plain) => {
        const value = await fields.encryptForTenant("alpha", "token", plain, place);
        assert.match(value, /^bhf1\.[0-9a-f]{32}\.[A-Za-z0-9_-]+$/);
        assert.equal(await fields.decryptForTenant("alpha", "token", value, place), plain);
        const elsewhere: Parameters<typeof fields.decryptForTenant>[] = [
          ["beta", "token", value, place],
          ["alpha", "other-class", value, place],
          ["alpha", "token", value, { ...place, row: "8" }],
          ["alpha", "token", value, { ...place, column: "secret" }],
          ["alpha", "token", value, { ...place, table: "public.other" }],
        ];
        for (const of of elsewhere) {
          await assert.rejects(fields.decryptForTenant(...of), { kind: "integrity" });
        }
      }),
      { numRuns: depth({ quick: 20, full: 200 }) },
    );
  });

  test("every changed character of a value is noticed", async () => {
    const fields = fieldCipher(await createKeyring({ store: await newStore(), kek: first }));
    const value = await fields.encryptForTenant("alpha", "token", "secret", place);
    for (let at = 0; at < value.length - 1; at++) {
      const changed = value.slice(0, at) + (value[at] === "A" ? "B" : "A") + value.slice(at + 1);
      await assert.rejects(fields.decryptForTenant("alpha", "token", changed, place), {
        kind: "integrity",
      }, `at ${at}`);
    }
    await assert.rejects(fields.encryptForTenant("alpha", "No Class", "x", place), {
      code: "BH_SECRET_CLASS",
      exitCode: 2,
    });
  });
});

describe("bulkhead keys", () => {
  let server: Server;
  before(async () => void (server = await startPostgres()));
  after(() => server.stop());

  const tenantsOf = async (url: string) =>
    (await withSql(
      url,
      (sql) => sql<{ id: string }[]>`select id::text from public.tenants order by id`,
    ))
      .map(({ id }) => id);

  /** The stored manifests as a fresh process sees them. */
  async function backups(world: BackupWorld, kek: Kek) {
    const keyring = await openKeyring({ store: world.store, kek });
    return await listBackups({ store: world.store, keyring });
  }

  test("rotate-kek: older backups verify under the new key, and the next one is taken with it", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const fresh = randomBytes(32).toString("base64");
    const missing = await bulkhead(["keys", "rotate-kek"], world.env);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /BULKHEAD_NEW_KEK.*or set BULKHEAD_NEW_KMS/s);
    const ran = await bulkhead(["keys", "rotate-kek"], { ...world.env, BULKHEAD_NEW_KEK: fresh });
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(
      ran.stdout,
      /^\d+ keys now wrapped by key-encryption key [0-9a-f]{16}, epoch 2\n$/,
    );
    assert.doesNotMatch(ran.stdout + ran.stderr, new RegExp(fresh.slice(0, 20)));
    const old = await bulkhead(["backup"], world.env);
    assert.equal(old.code, 5);
    assert.match(old.stderr, /BH_KEK_OTHER/);
    const env = { ...world.env, BULKHEAD_KEK: fresh };
    const verified = await bulkhead(["backups", "verify"], env);
    assert.equal(verified.code, 0, verified.stderr);
    const again = await bulkhead(["backup", "--json"], env);
    assert.equal(again.code, 0, again.stderr);
    assert.equal((await backups(world, await kekFromBase64(fresh))).valid.length, 2);
    const ages = await withSql(db.url, (sql) =>
      sql`
      select status, observed::float as days from bulkhead.checks_backups() where name = 'kek_age'`);
    assert.equal(ages[0]?.["status"], "pass");
    assert.ok(ages[0]?.["days"] < 1);
  });

  test("a rotation of either kind, or a shredding, while a backup runs: it ends well, and everything verifies", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    const { store } = world;
    const [alpha = "", beta = "", gamma = ""] = await tenantsOf(db.url);
    const fresh = await newKek();
    const taken = async (kek: Kek, during: () => Promise<unknown>) => {
      const sql = connect(db.url, { max: 1, applicationName: "keys test" });
      const source = await openSource(db.url, { shared: true });
      let [rotating, begun]: [Promise<unknown>, boolean] = [Promise.resolve(), false];
      try {
        const keyring = await openKeyring({ store, kek });
        // The first put of an object waits until the keys have changed under it.
        const waiting: ObjectStore = {
          ...store,
          async put(key, ...rest) {
            if (key.startsWith("objects/") && !begun) {
              begun = true;
              rotating = during();
            }
            await rotating;
            return await store.put(key, ...rest);
          },
        };
        const ledger = openRunLedger(sql);
        return await runBackup({ source, ledger, store: waiting, keyring, tool: "test" });
      } finally {
        await source.close();
        await sql.end({ timeout: 1 });
      }
    };
    const since = async () => {
      const [row] = await withSql(
        db.url,
        (sql) => sql`select kek_since from bulkhead.backup_runs order by started_at desc limit 1`,
      );
      return row?.["kek_since"] as Date;
    };
    const epochOf = async (kek: Kek) => (await openKeyring({ store, kek })).kekSince;
    const before = await epochOf(world.kek);

    const first = await taken(world.kek, () => rotateKek({ store, kek: world.kek, newKek: fresh }));
    assert.deepEqual(await since(), before, "the run began under the old key");
    assert.deepEqual(await epochOf(fresh) === before, false);
    assert.equal((await backups(world, fresh)).valid[0]?.manifest.id, first.manifest.id);

    const rotatesTenant = async () =>
      await (await openKeyring({ store, kek: fresh })).rotateTenant(alpha);
    await withSql(db.url, (sql) => sql`update public.tenants set name = name || '!'`);
    const second = await taken(fresh, rotatesTenant);
    assert.deepEqual(await since(), await epochOf(fresh), "the next run records the new date");
    const keyOf = (of: typeof second, tenant: string) =>
      of.manifest.objects.find((object) => object.tenant === tenant)?.keyId;
    assert.equal(keyOf(second, alpha), keyOf(first, alpha));
    const third = await taken(
      fresh,
      () => shredTenant({ store, kek: fresh, tenant: gamma || beta }),
    );
    assert.notEqual(keyOf(third, alpha), keyOf(first, alpha), "copied whole under the new key");

    const key = await openKeyring({ store, kek: fresh });
    assert.equal((await backups(world, fresh)).valid.length, 3);
    for (const { manifest } of (await backups(world, fresh)).valid) {
      for (const object of manifest.objects) {
        const read = async () =>
          await bytesOf(openObject({
            stream: await store.get(object.key, { version: object.version }),
            tenantKey: (header) => key.tenantKey(header.tenant, header.keyId),
            expect: object,
          }));
        if (object.tenant !== (gamma || beta)) assert.equal((await read()).length, object.rawBytes);
        else await assert.rejects(read(), /it was shredded/);
      }
    }
  });

  test("shred: shown first; then that tenant is gone from every backup, and the others verify", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const [gone = ""] = await tenantsOf(db.url);
    for (const args of [["shred", "--tenant", "nobody"], ["rotate-tenant", "nobody"]]) {
      const typo = await bulkhead(["keys", ...args], world.env);
      assert.equal(typo.code, 1);
      assert.match(typo.stderr, /tenant "nobody".*BH_TENANT_KEY_MISSING/);
    }
    const shown = await bulkhead(["keys", "shred", "--tenant", gone], world.env);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stderr, /1 key would go; nothing was destroyed/);
    assert.match((await bulkhead(["backups", "verify"], world.env)).stdout, /every byte read\n$/);
    const ran = await bulkhead(["keys", "shred", "--tenant", gone, "--apply"], world.env);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^Destroyed 1 key of tenant .+\n(Remains: .+\n){3}Certificate: cert/);
    const verified = await bulkhead(["backups", "verify"], world.env);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stdout, new RegExp(`Not read: ${gone}, its keys were shredded`));
    const alone = await bulkhead(["restore", "--tenant", gone], world.env);
    assert.equal(alone.code, 5);
    assert.match(alone.stderr, /it was shredded/);
  });

  test("re-encrypt: after rotate-tenant every value is under the current key; killed half-way it goes on", async () => {
    await using db = await openhouseDatabase(server, { rows: 30 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    const fields = fieldCipher(world.keyring);
    const tenants = await tenantsOf(db.url);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(
        `create table public.integrations (id bigint primary key, tenant_id uuid not null, token text);
         select bulkhead.protect('public.integrations')`,
      );
      for (let id = 1; id <= 600; id++) {
        const tenant = tenants[id % 2] ?? "";
        const place = { table: "public.integrations", column: "token", row: String(id) };
        const token = await fields.encryptForTenant(tenant, "token", `secret ${id}`, place);
        await sql`insert into public.integrations values (${id}, ${tenant}, ${token})`;
      }
      await sql`insert into public.integrations values (601, ${tenants[0] ?? ""}, null)`;
    });
    assert.equal((await bulkhead(["keys", "rotate-tenant", tenants[0] ?? ""], world.env)).code, 0);
    const args = ["--table", "public.integrations", "--column", "token", "--class", "token"];
    const ran = await bulkhead(["keys", "re-encrypt", ...args, "--json"], world.env);
    assert.equal(ran.code, 0, ran.stderr);
    const done = JSON.parse(ran.stdout);
    assert.deepEqual([done.seen, done.renewed], [600, 300]);
    const again = await bulkhead(["keys", "re-encrypt", ...args], world.env);
    assert.equal(again.stdout, "Encrypted 0 of 600 values of public.integrations anew\n");
    const now = fieldCipher(await openKeyring(world));
    await withSql(db.url, async (sql) => {
      for (
        const row
          of await sql`select id::text, tenant_id::text, token from public.integrations where token is not null`
      ) {
        const place = { table: "public.integrations", column: "token", row: row["id"] };
        const plain = await now.decryptForTenant(row["tenant_id"], "token", row["token"], place);
        assert.equal(plain, `secret ${row["id"]}`);
      }
    });
    const wrong = await bulkhead(["keys", "re-encrypt", ...args.with(3, "id")], world.env);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /"id" is of type bigint, not text/);
  });
});
