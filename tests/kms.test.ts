import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import * as z from "zod";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import type { KmsTransport } from "../functions/_core/adapters/kms-call.ts";
import { openKek } from "../functions/_core/adapters/open-kek.ts";
import { canonicalJson } from "../functions/_core/bytes.ts";
import { readEnv } from "../functions/_core/env.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { type Kek, kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, openKeyring } from "../functions/_core/keys/keyring.ts";
import { kekVariables } from "../functions/_core/keys/kms-variables.ts";
import { rotateKek } from "../functions/_core/keys/rotate-kek.ts";
import { readKeyring } from "../tools/read-backup.mjs";
import { bulkhead } from "./support/backup-world.ts";
import { type KmsFault, type KmsServer, startKms, type VendorName } from "./support/kms-server.ts";
import { AWS, AZURE, GCP } from "./support/kms-vendors.ts";
import { bytesOf, collect } from "./support/object-store-suite.ts";
import { runPeer } from "./support/run-peer.ts";

const VENDORS: readonly VendorName[] = ["aws", "gcp", "azure"];
const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "bulkhead-kms-"));
  folders.push(folder);
  return folder;
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const secret = new Uint8Array(randomBytes(32));
const context = canonicalJson(["bulkhead/v1/root", 1, "0123456789abcdef"]);

/** A key behind the server, the waits between its tries, and nothing that takes time. */
async function keyOf(kms: KmsServer, vendor: VendorName, more: KmsTransport = {}) {
  const waits: number[] = [];
  const sleep = (ms: number) => (waits.push(ms), Promise.resolve());
  return { kek: await openKek(kms.env(vendor), { sleep, timeout: 300, ...more }), waits };
}

const bodies = (kms: KmsServer, part: RegExp) =>
  kms.requests.filter(({ path, headers }) => part.test(path + (headers["x-amz-target"] ?? "")))
    .map(({ body }) => JSON.parse(body));

async function refusal(work: Promise<unknown>): Promise<BulkheadError> {
  const error = await work.then(() => assert.fail("it was accepted"), (thrown) => thrown);
  assert.ok(error instanceof BulkheadError, String(error));
  for (const held of [AWS.secret, AWS.session, AZURE.secret, "PRIVATE KEY", "Bearer", "vendor's"]) {
    assert.ok(!`${error.message} ${error.hint} ${error.cause}`.includes(held), held);
  }
  return error;
}

for (const vendor of VENDORS) {
  describe(`${vendor}: a key of its key-management service`, () => {
    test("what it wraps it unwraps, in its context only, and never in the clear", async () => {
      await using kms = await startKms();
      const { kek } = await keyOf(kms, vendor);
      const wrapped = await kek.wrap(secret, context);
      assert.ok(!Buffer.from(wrapped).includes(Buffer.from(secret)));
      assert.deepEqual(await kek.unwrap(wrapped, context), secret);
      assert.equal(await kek.unwrap(wrapped, context.replace("1", "2")), null);
      for (const at of [0, 1, 2, 20, wrapped.length - 1]) {
        const changed = wrapped.slice();
        changed[at]! ^= 1;
        assert.equal(await kek.unwrap(changed, context), null, `byte ${at}`);
      }
      assert.equal(await kek.unwrap(new Uint8Array(), context), null);
      await using other = await startKms();
      assert.equal(await (await keyOf(other, vendor)).kek.unwrap(wrapped, context), null);
    });

    test("throttling, server errors, resets and silence are tried again; Retry-After is honoured", async () => {
      await using kms = await startKms();
      const throttled: KmsFault = vendor === "aws"
        ? { status: 400, body: { __type: "ThrottlingException" } }
        : { status: 429, body: {}, headers: { "retry-after": "7" } };
      const { kek, waits } = await keyOf(kms, vendor);
      const wrapped = await kek.wrap(secret, context);
      kms.faults.push(throttled, { status: 503 }, "reset", "hang");
      assert.deepEqual(await kek.unwrap(wrapped, context), secret);
      assert.equal(waits.length, 4);
      if (vendor !== "aws") assert.ok((waits[0] ?? 0) >= 7000, `${waits[0]} ms`);
      for (
        const [fault, state] of [
          [{ status: 500, body: {} }, /HTTP 500$/],
          ["hang", /no answer \(none in 0.3 s\)$/],
          ["reset", /no answer \(\w+\)$/],
        ] as const
      ) {
        kms.faults.push(fault, fault, fault, fault, fault);
        const { code, exitCode, message } = await refusal(kek.unwrap(wrapped, context));
        assert.deepEqual([code, exitCode], ["BH_KMS_UNAVAILABLE", 4]);
        assert.match(message, state);
        assert.equal(kms.faults.length, 0);
      }
    });

    test("a disabled or missing key, and credentials that are refused, are errors of their own, tried once", async () => {
      await using kms = await startKms();
      const { kek, waits } = await keyOf(kms, vendor);
      const wrapped = await kek.wrap(secret, context);
      for (const state of ["disabled", "missing"] as const) {
        kms.state[state] = true;
        for (const work of [() => kek.unwrap(wrapped, context), () => kek.wrap(secret, context)]) {
          const { code, exitCode, message } = await refusal(work());
          assert.deepEqual([code, exitCode], ["BH_KMS_KEY", 5]);
          assert.ok(message.includes(kek.name), message);
        }
        kms.state[state] = false;
      }
      const env = { ...kms.env(vendor) };
      for (const name of ["AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET"]) {
        if (env[name]) env[name] += "x";
      }
      if (vendor === "gcp") env["BULKHEAD_KMS_TOKEN"] = "somebody else's";
      const { code, kind } = await refusal((await openKek(env)).unwrap(wrapped, context));
      assert.deepEqual([code, kind], ["BH_KMS_REFUSED", "refused"]);
      assert.deepEqual(waits, []);
    });

    test("an answer that is not as documented is never believed", async () => {
      await using kms = await startKms();
      const { kek } = await keyOf(kms, vendor);
      const wrapped = await kek.wrap(secret, context);
      const odd: KmsFault[] = [
        { text: "<html>" },
        { text: '{"' + "x".repeat(70_000) },
        { body: {} },
        { body: [] },
        { body: { KeyId: AWS.arn, kid: AZURE.key, Plaintext: 1, plaintext: null, value: "ü" } },
        ...(vendor === "gcp" ? [] : [{
          spoil: ({ body, ...reply }: { body: unknown; status: number }) => ({
            ...reply,
            body: { ...body as object, KeyId: `${AWS.arn}0`, kid: `${AZURE.key}0` },
          }),
        }]),
      ];
      for (const fault of odd) {
        kms.faults.push(fault);
        const { code, exitCode } = await refusal(kek.unwrap(wrapped, context));
        assert.deepEqual([code, exitCode], ["BH_KMS_ANSWER", 5], JSON.stringify(fault));
      }
      kms.faults.push({ status: 307, headers: { location: `${kms.url}/elsewhere` } });
      const had = kms.requests.length;
      assert.equal((await refusal(kek.unwrap(wrapped, context))).code, "BH_KMS_REFUSED");
      assert.equal(kms.requests.length, had + 1, "it followed a redirect");
    });

    test("a ciphertext that does not come back is noticed before a keyring is written under it", async () => {
      await using kms = await startKms();
      const { kek } = await keyOf(kms, vendor);
      await kek.wrap(secret, context); // has signed in
      const store = folderStore(await newFolder());
      const replaced = Buffer.alloc(60, 9).toString("base64");
      kms.faults.push({
        spoil: (reply) => ({
          ...reply,
          body: {
            ...reply.body as object,
            CiphertextBlob: replaced,
            ciphertext: replaced,
            value: Buffer.alloc(256, 9).toString("base64url"),
          },
        }),
      });
      const { code } = await refusal(createKeyring({ store, kek }));
      assert.equal(code, "BH_KMS_ANSWER");
      assert.equal((await collect(store.listVersions("keyring.json"))).length, 0);
    });

    test("a keyring goes under it and back to BULKHEAD_KEK, every key readable, each old key locked out", async () => {
      await using kms = await startKms();
      const { kek: service } = await keyOf(kms, vendor);
      const own = await kekFromBase64(randomBytes(32).toString("base64"));
      const later = await kekFromBase64(randomBytes(32).toString("base64"));
      const store = folderStore(await newFolder());
      const keyring = await createKeyring({ store, kek: own });
      const alpha = await keyring.ensureTenantKey("alpha");
      const steps: [Kek, Kek][] = [[own, service], [service, later]];
      for (const [kek, newKek] of steps) {
        await rotateKek({ store, kek, newKek });
        const after = await openKeyring({ store, kek: newKek });
        assert.deepEqual(await after.tenantKey("alpha", alpha.id), alpha);
        const other = await refusal(openKeyring({ store, kek }));
        assert.equal(other.code, "BH_KEK_OTHER");
        assert.ok(other.message.endsWith(`${kek.name} is ${kek.id}`), other.message);
      }
      assert.match(service.id, /^[0-9a-f]{16}$/);
      await assert.rejects(rotateKek({ store, kek: later, newKek: later }), {
        code: "BH_KEK_SAME",
      });
    });
  });
}

describe("each service's contract", () => {
  test("aws: the context is the encryption context, the key is named in both calls, both are signed", async () => {
    await using kms = await startKms();
    const { kek } = await keyOf(kms, "aws");
    await kek.wrap(secret, context);
    const [encrypt, decrypt] = [bodies(kms, /Encrypt$/)[0], bodies(kms, /Decrypt$/)[0]];
    assert.deepEqual(encrypt, {
      KeyId: AWS.arn,
      Plaintext: Buffer.from(secret).toString("base64"),
      EncryptionContext: { bulkhead: context },
    });
    assert.deepEqual([decrypt.KeyId, decrypt.EncryptionContext], [
      AWS.arn,
      encrypt.EncryptionContext,
    ]);
    assert.equal(kms.requests.length, 2);
    for (const { headers } of kms.requests) {
      assert.match(
        headers["authorization"] ?? "",
        /SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target,/,
      );
    }
  });

  test("gcp: one sign-in for many calls, asked for again before it ends", async () => {
    await using kms = await startKms();
    let at = Date.now();
    const { kek } = await keyOf(kms, "gcp", { now: () => new Date(at) });
    await kek.wrap(secret, context);
    await kek.wrap(secret, context);
    const signIns = () => kms.requests.filter(({ path }) => path === "/token").length;
    assert.equal(signIns(), 1);
    at += 3_540_000;
    await (await kek.wrap(secret, context));
    assert.equal(signIns(), 2);
    const [encrypt] = bodies(kms, /:encrypt$/);
    assert.deepEqual(encrypt, {
      plaintext: Buffer.from(secret).toString("base64"),
      additionalAuthenticatedData: Buffer.from(context).toString("base64"),
    });
    assert.ok(kms.requests.some(({ path }) => path === `/v1/${GCP.key}:decrypt`));
  });

  test("azure: the vault never sees the root, only a data key; the version is in the path", async () => {
    await using kms = await startKms();
    const { kek } = await keyOf(kms, "azure");
    await kek.wrap(secret, context);
    const { pathname } = new URL(AZURE.key);
    assert.deepEqual(kms.requests.map(({ path }) => path), [
      `/${AZURE.tenant}/oauth2/v2.0/token`,
      `${pathname}/wrapkey?api-version=7.4`,
      `${pathname}/unwrapkey?api-version=7.4`,
    ]);
    const [wrap] = bodies(kms, /\/wrapkey/);
    assert.equal(wrap.alg, "RSA-OAEP-256");
    assert.equal(Buffer.from(wrap.value, "base64url").length, 32);
    assert.notEqual(wrap.value, Buffer.from(secret).toString("base64url"));
  });
});

describe("BULKHEAD_KEK or BULKHEAD_KMS", () => {
  const own = randomBytes(32).toString("base64");
  const read = (env: Record<string, string>) => () => readEnv(env, z.object(kekVariables(env)));

  test("exactly one, whole, and no alias, no version left out, no plain HTTP", async () => {
    await using kms = await startKms();
    const [aws, gcp, azure] = VENDORS.map((vendor) => kms.env(vendor)) as [
      Record<string, string>,
      Record<string, string>,
      Record<string, string>,
    ];
    for (const good of [{ BULKHEAD_KEK: own }, aws, gcp, azure]) read(good)();
    const { GOOGLE_CREDENTIALS: _, ...bare } = gcp;
    read({ ...bare, BULKHEAD_KMS_TOKEN: "ya29.x" })();
    const bad: [Record<string, string>, RegExp][] = [
      [{}, /BULKHEAD_KEK is not set/],
      [{ BULKHEAD_KEK: own, BULKHEAD_KMS: "", AWS_ACCESS_KEY_ID: "x" }, /^$/],
      [{ ...aws, BULKHEAD_KEK: own }, /BULKHEAD_KEK is malformed/],
      [{ ...aws, BULKHEAD_KMS: "aws:alias/bulkhead" }, /BULKHEAD_KMS is malformed/],
      [{ ...aws, BULKHEAD_KMS: `aws:${AWS.arn.replace("key/", "alias/")}` }, /BULKHEAD_KMS/],
      [{ ...gcp, BULKHEAD_KMS: `gcp:${GCP.key}/cryptoKeyVersions/1` }, /BULKHEAD_KMS/],
      [{ ...azure, BULKHEAD_KMS: "azure:https://acme.vault.azure.net/keys/bulkhead" }, /_KMS/],
      [{ ...azure, BULKHEAD_KMS: `azure:${AZURE.key.replace("https", "http")}` }, /_KMS/],
      [{ BULKHEAD_KMS: "vault:secret/x" }, /BULKHEAD_KMS is malformed/],
      [{ BULKHEAD_KMS: `aws:${AWS.arn}` }, /AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY/],
      [bare, /GOOGLE_CREDENTIALS is not set/],
      [{ ...gcp, GOOGLE_CREDENTIALS: "key.json" }, /GOOGLE_CREDENTIALS is malformed/],
      [{ ...aws, BULKHEAD_KMS_ENDPOINT: "http://kms.internal" }, /BULKHEAD_KMS_ENDPOINT/],
      [{ ...azure, AZURE_AUTHORITY_HOST: "login" }, /AZURE_AUTHORITY_HOST/],
    ];
    for (const [env, message] of bad) {
      if (message.source === "^$") read(env)();
      else assert.throws(read(env), { code: "BH_ENV", exitCode: 2, message }, JSON.stringify(env));
    }
  });

  for (const vendor of VENDORS) {
    test(`${vendor}: commands rotate to it and back; the edge's Deno writes what Node reads; nothing is printed`, async () => {
      await using kms = await startKms();
      const BULKHEAD_STORE = `file://${await newFolder()}`;
      const service = { BULKHEAD_STORE, ...kms.env(vendor) };
      await runPeer("node", ["write", "alpha", "1"], { BULKHEAD_STORE, BULKHEAD_KEK: own });
      const { BULKHEAD_KMS = "", ...credentials } = kms.env(vendor);
      const there = await bulkhead(["keys", "rotate-kek"], {
        BULKHEAD_STORE,
        BULKHEAD_KEK: own,
        BULKHEAD_NEW_KMS: BULKHEAD_KMS,
        ...credentials,
      });
      assert.equal(there.code, 0, there.stderr);
      assert.ok(there.stderr.includes(`Set BULKHEAD_KMS to ${BULKHEAD_KMS}`), there.stderr);
      const second = await runPeer("edge", ["write", "beta", "1"], service);
      assert.equal((await runPeer("node", ["read"], service)).sha256, second.sha256);
      const fresh = randomBytes(32).toString("base64");
      const back = await bulkhead(["keys", "rotate-kek"], { ...service, BULKHEAD_NEW_KEK: fresh });
      assert.equal(back.code, 0, back.stderr);
      const verified = await bulkhead(["backups", "verify"], {
        BULKHEAD_STORE,
        BULKHEAD_KEK: fresh,
      });
      assert.equal(verified.code, 0, verified.stderr);
      const printed = [there, back].map(({ stdout, stderr }) => stdout + stderr).join();
      for (const held of [own, fresh, AWS.secret, AWS.session, AZURE.secret, "PRIVATE KEY"]) {
        assert.ok(!printed.includes(held), held);
      }
    });
  }

  test("a refusal of the service leaves a command with its own exit code and remedy", async () => {
    await using kms = await startKms();
    const env = { BULKHEAD_STORE: `file://${await newFolder()}`, ...kms.env("aws") };
    assert.equal((await bulkhead(["keys", "init"], env)).code, 0);
    kms.state.disabled = true;
    const listed = await bulkhead(["keys", "list"], env);
    assert.equal(listed.code, 5);
    assert.match(
      listed.stderr,
      /Cannot unwrap with "aws:arn:.*": DisabledException, HTTP 400[^]*Try: .*enable it/,
    );
    const both = await bulkhead(["keys", "list"], { ...env, BULKHEAD_KEK: own });
    assert.equal(both.code, 2);
    assert.match(both.stderr, /unset it: BULKHEAD_KMS names the key already/);
  });

  test("the stand-alone reader opens a keyring with the root that the service unwrapped", async () => {
    await using kms = await startKms();
    const folder = mkdtempSync(join(tmpdir(), "bulkhead-kms-root-"));
    try {
      const store = folderStore(folder);
      const kek = await openKek(kms.env("azure"));
      const own1 = await kekFromBase64(own);
      const keyring = await createKeyring({ store, kek: own1 });
      const alpha = await keyring.ensureTenantKey("alpha");
      await rotateKek({ store, kek: own1, newKek: kek });
      const text = new TextDecoder().decode(await bytesOf(await store.get("keyring.json")));
      const { keyring: { root, epoch, kekId } } = JSON.parse(text);
      const bytes = await kek.unwrap(
        Buffer.from(root, "base64"),
        canonicalJson(["bulkhead/v1/root", epoch, kekId]),
      );
      const keys = readKeyring(folder, Buffer.from(bytes ?? []), true);
      assert.deepEqual(new Uint8Array(keys.get(alpha.id) ?? []), alpha.bytes);
      assert.throws(() => readKeyring(folder, randomBytes(32), true), /is under this root/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
