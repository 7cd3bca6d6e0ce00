import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { withSql } from "./support/postgres.ts";
import { listBackups } from "../functions/_core/backup/manifest.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { fieldCipher } from "../functions/_core/keys/field-cipher.ts";
import { type Kek, kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, openKeyring } from "../functions/_core/keys/keyring.ts";
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

  test("shredTenant() leaves no version of the keyring with the key in it, and nobody else's gone", async () => {
    const store = await newStore();
    const keyring = await createKeyring({ store, kek: first });
    const alpha = await keyring.ensureTenantKey("alpha");
    const beta = await keyring.ensureTenantKey("beta");
    await keyring.rotateTenant("alpha");
    const { certificate, key } = await shredTenant({ store, kek: first, tenant: "alpha" });
    assert.equal(certificate.keys.length, 2);
    assert.equal(certificate.deletedVersions, 3);
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
    assert.deepEqual([certificate.keys.length, certificate.deletedVersions], [1, 1]);
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
    assert.match(missing.stderr, /BULKHEAD_NEW_KEK/);
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
  });

  test("shred: shown first; then that tenant is gone from every backup, and the others verify", async () => {
    await using db = await openhouseDatabase(server, { rows: 300 });
    using world = await backupWorld({ DATABASE_URL: db.url });
    assert.equal((await bulkhead(["backup"], world.env)).code, 0);
    const [gone = ""] = await tenantsOf(db.url);
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
