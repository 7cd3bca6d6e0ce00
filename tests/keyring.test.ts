import assert from "node:assert/strict";
import { createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { canonicalJson } from "../functions/_core/bytes.ts";
import { type Kek, kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, openKeyring } from "../functions/_core/keys/keyring.ts";
import { loadKeyring, saveKeyring } from "../functions/_core/keys/keyring-store.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { GLOBAL_TENANT } from "../functions/_core/backup/types.ts";
import { depth } from "./support/depth.ts";
import { bytesOf, collect } from "./support/object-store-suite.ts";

const folders: string[] = [];
async function newStore(): Promise<ObjectStore> {
  const folder = await mkdtemp(join(tmpdir(), "bulkhead-keyring-"));
  folders.push(folder);
  return folderStore(folder);
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const secret = randomBytes(32);
const kek = await kekFromBase64(secret.toString("base64"));
const other = await kekFromBase64(randomBytes(32).toString("base64"));

async function documentOf(store: ObjectStore) {
  const text = new TextDecoder().decode(await bytesOf(await store.get("keyring.json")));
  return { text, json: JSON.parse(text) };
}

/** Section 2 of the format, in Node's own words. */
function unwrap(key: Buffer, wrapped: string, context: unknown): Buffer {
  const bytes = Buffer.from(wrapped, "base64");
  const cipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12));
  cipher.setAAD(Buffer.from(canonicalJson(context)));
  cipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([cipher.update(bytes.subarray(12, -16)), cipher.final()]);
}

/** A store in which every put of the keyring waits until `writers` of them are ready. */
function meeting(store: ObjectStore, writers: number): ObjectStore {
  let waiting: (() => void)[] | null = [];
  return {
    ...store,
    async put(key, body, options) {
      const queue = waiting;
      if (queue) {
        await new Promise<void>((go) => {
          queue.push(go);
          if (queue.length < writers) return;
          waiting = null;
          for (const next of queue) next();
        });
      }
      return await store.put(key, body, options);
    },
  };
}

test("a keyring gives a tenant the same key again, and none to a stranger", async () => {
  const store = await newStore();
  const made = await createKeyring({ store, kek });
  const key = await made.ensureTenantKey("alpha");
  await made.ensureTenantKeys(["alpha", "beta", GLOBAL_TENANT, "beta"]);
  const again = await openKeyring({ store, kek });
  assert.deepEqual(await again.tenantKey("alpha"), key);
  assert.deepEqual(await again.tenantKey("alpha", key.id), key);
  assert.equal(key.bytes.length, 32);
  assert.deepEqual(again.list().map(({ use, tenant }) => `${use} ${tenant}`), [
    `backup ${GLOBAL_TENANT}`,
    "backup alpha",
    "backup beta",
    `manifest ${GLOBAL_TENANT}`,
  ]);
  await assert.rejects(again.tenantKey("gamma"), { code: "BH_TENANT_KEY_MISSING" });
  await assert.rejects(again.tenantKey("beta", key.id), { code: "BH_TENANT_KEY_MISSING" });
});

test("a thousand tenants take one write", async () => {
  const store = await newStore();
  const keyring = await createKeyring({ store, kek });
  await keyring.ensureTenantKeys(Array.from({ length: 1_000 }, (_, i) => `tenant ${i}`));
  assert.equal((await collect(store.listVersions("keyring.json"))).length, 2);
});

test("a store has one keyring: a second is refused, one of two makers at once is first", async () => {
  const store = await newStore();
  const both = meeting(store, 2);
  const made = await Promise.allSettled([1, 2].map(() => createKeyring({ store: both, kek })));
  assert.deepEqual(made.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await assert.rejects(createKeyring({ store, kek }), { code: "BH_KEYRING_EXISTS", exitCode: 1 });
  await assert.rejects(openKeyring({ store: await newStore(), kek }), {
    code: "BH_KEYRING_MISSING",
    exitCode: 2,
  });
});

test("under another KEK nothing unwraps, and the message names both", async () => {
  const store = await newStore();
  await (await createKeyring({ store, kek })).ensureTenantKey("alpha");
  await assert.rejects(openKeyring({ store, kek: other }), {
    kind: "integrity",
    message: new RegExp(`^Cannot unwrap the keyring: .*${kek.id}, BULKHEAD_KEK is ${other.id}$`),
  });
});

test("two writers at once lose no key", async () => {
  for (let round = 0; round < depth({ quick: 5, full: 40 }); round++) {
    const store = await newStore();
    await createKeyring({ store, kek });
    const writers = 2 + round % 3;
    const shared = meeting(store, writers);
    const keys = await Promise.all(Array.from({ length: writers }, async (_, i) => {
      const keyring = await openKeyring({ store: shared, kek });
      return [await keyring.ensureTenantKey("same"), await keyring.ensureTenantKey(`own ${i}`)];
    }));
    const after = await openKeyring({ store, kek });
    for (const key of keys.flat()) {
      assert.deepEqual(await after.tenantKey(key.tenant, key.id), key);
    }
    assert.equal(
      after.list().filter(({ tenant, isCurrent }) => tenant === "same" && isCurrent).length,
      1,
    );
  }
});

test("a writer that dies before it looks again loses nobody's key", async () => {
  const store = await newStore();
  const base = await createKeyring({ store, kek });
  await base.ensureTenantKey("alpha");
  const stale = await loadKeyring({ store, keks: [kek] });
  assert.ok(stale);
  const key = await (await openKeyring({ store, kek })).ensureTenantKey("beta");
  // Writes from what it read before beta was there, and dies before it looks again.
  const dying: ObjectStore = {
    ...store,
    listVersions: () => {
      throw new Error("killed");
    },
  };
  const now = () => new Date();
  await assert.rejects(saveKeyring({ store: dying, keks: [kek], now }, stale), /killed/);
  assert.doesNotMatch((await documentOf(store)).text, /beta/);
  const healed = await openKeyring({ store, kek });
  assert.deepEqual(await healed.tenantKey("beta", key.id), key);
  await healed.ensureTenantKey("gamma"); // the next write unites the two for good
  assert.match((await documentOf(store)).text, /beta.*gamma|gamma.*beta/);
  assert.equal((await loadKeyring({ store, keks: [kek] }))?.heads.length, 1);
});

test("a version that the store sorts below one that did not see it is written again", async () => {
  const store = await newStore();
  await createKeyring({ store, kek });
  // The first look after the first write does not see it, as if it had been sorted down.
  let looks = 0;
  const late: ObjectStore = {
    ...store,
    async *listVersions(prefix) {
      const hidden = ++looks === 3;
      for await (const version of store.listVersions(prefix)) {
        if (!hidden || !version.isLatest) yield version;
      }
    },
  };
  const keyring = await openKeyring({ store: late, kek });
  const key = await keyring.ensureTenantKey("alpha");
  assert.deepEqual(await (await openKeyring({ store, kek })).tenantKey("alpha"), key);
  assert.equal((await collect(store.listVersions("keyring.json"))).length, 3);
});

test("a shredded key does not come back from an older document", async () => {
  const store = await newStore();
  const keyring = await createKeyring({ store, kek });
  const key = await keyring.ensureTenantKey("alpha");
  const stale = await loadKeyring({ store, keks: [kek] });
  assert.ok(stale);
  const now = () => new Date();
  await saveKeyring({ store, keks: [kek], now }, {
    ...stale,
    keys: [],
    shredded: [{ tenant: "alpha", use: "backup", id: key.id, at: now().toISOString() }],
  });
  await saveKeyring({ store, keks: [kek], now }, stale); // a writer that had read it before
  const after = await openKeyring({ store, kek });
  await assert.rejects(after.tenantKey("alpha", key.id), /it was shredded/);
});

test("a wrapped key moved to another tenant does not unwrap, even when signed again", async () => {
  const store = await newStore();
  await (await createKeyring({ store, kek })).ensureTenantKeys(["alpha", "beta"]);
  const loaded = await loadKeyring({ store, keks: [kek] });
  assert.ok(loaded);
  const [first, second] = loaded.keys.filter(({ use }) => use === "backup");
  assert.ok(first && second);
  const thief = await newStore();
  await saveKeyring({ store: thief, keks: [kek], now: () => new Date() }, {
    ...loaded,
    keys: [{ ...second, wrapped: first.wrapped }],
    heads: [],
  });
  await assert.rejects((await openKeyring({ store: thief, kek })).tenantKey(second.tenant), {
    code: "BH_KEY_UNWRAP",
    message: /^Cannot unwrap key /,
  });
});

test("an edited keyring is refused, whatever was edited", async () => {
  const store = await newStore();
  await (await createKeyring({ store, kek })).ensureTenantKey("alpha");
  const { text } = await documentOf(store);
  const edits: [string | RegExp, string][] = [
    ["alpha", "aleph"],
    [/"writtenAt":"20/, '"writtenAt":"19'],
    ['"format":1', '"format":1,"more":1'],
    ['"format":1', '"format":2'],
    [/"value":"./, '"value":"'],
    ["HMAC-SHA256", "none"],
    [/^\{/, "{{"],
  ];
  for (const [from, to] of edits) {
    const edited = text.replace(from, to);
    assert.notEqual(edited, text);
    await store.put("keyring.json", new TextEncoder().encode(edited));
    await assert.rejects(openKeyring({ store, kek }), { kind: "integrity" }, String(from));
    const [newest] = await collect(store.listVersions("keyring.json"));
    await store.deleteVersion("keyring.json", newest!.version);
  }
  await openKeyring({ store, kek });
});

test("the keyring's signature and the KEK's id are what the document says", async () => {
  const store = await newStore();
  await (await createKeyring({ store, kek })).ensureTenantKey("alpha");
  const { json } = await documentOf(store);
  const derive = (info: string, bytes: number) =>
    Buffer.from(hkdfSync("sha256", secret, "", info, bytes));
  assert.equal(kek.id, derive("bulkhead/v1/kek-id", 8).toString("hex"));
  const { keyring } = json;
  const root = unwrap(derive("bulkhead/v1/wrap", 32), keyring.root, [
    "bulkhead/v1/root",
    keyring.epoch,
    kek.id,
  ]);
  const underRoot = (info: string) => Buffer.from(hkdfSync("sha256", root, "", info, 32));
  const hmac = createHmac("sha256", underRoot("bulkhead/v1/sign/keyring"));
  assert.equal(json.signature.value, hmac.update(canonicalJson(keyring)).digest("hex"));
  const alpha = keyring.keys.find((key: { tenant: string }) => key.tenant === "alpha");
  assert.deepEqual(
    new Uint8Array(unwrap(underRoot("bulkhead/v1/wrap"), alpha.wrapped, [
      "bulkhead/v1/key",
      "alpha",
      "backup",
      alpha.id,
    ])),
    (await (await openKeyring({ store, kek })).tenantKey("alpha")).bytes,
  );
  assert.doesNotMatch(JSON.stringify(json), new RegExp(secret.toString("hex")));
});

test("kekFromBase64() refuses what is not 32 bytes", async () => {
  for (const text of ["", "abc", randomBytes(31).toString("base64"), "€".repeat(44)]) {
    await assert.rejects(kekFromBase64(text), { code: "BH_KEK_MALFORMED", exitCode: 2 });
  }
  const same: Kek = await kekFromBase64(`${secret.toString("base64")}\n`);
  assert.equal(same.id, kek.id);
});
