import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { canonicalJson } from "../functions/_core/bytes.ts";
import { openObject } from "../functions/_core/backup/format.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { denoCommand, denoEnv } from "../scripts/local/deno.ts";
import { depth } from "./support/depth.ts";
import type { GcmCase, GcmResult } from "./support/gcm-peer.ts";
import { loneRead } from "./support/lone-reader.ts";
import { bytesOf, streamOf } from "./support/object-store-suite.ts";
import { ROOT } from "./support/sql-files.ts";

const CHUNK = 1 << 20;
const ID = "0".repeat(32);
const fields = {
  backup: "20261121T023000Z-0a1b2c3d",
  chunkBytes: CHUNK,
  compression: "gzip",
  createdAt: "2026-11-21T02:30:00.000Z",
  keyId: ID,
  kind: "tenant",
  part: 1,
  tenant: "alpha",
};
const expect = { tenant: "alpha", backup: fields.backup, part: 1, keyId: ID };

const derive = (key: Uint8Array, info: string, salt: Uint8Array = new Uint8Array(), bytes = 32) =>
  Buffer.from(hkdfSync("sha256", key, salt, info, bytes));

/** Sections 2 and 3 of docs/backup-format.md on node:crypto, sharing no line with the core. */
function wrap(key: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(12);
  const aes = createCipheriv("aes-256-gcm", derive(key, "bulkhead/v1/wrap"), nonce);
  aes.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, aes.update(plain), aes.final(), aes.getAuthTag()]);
}

function unwrap(key: Uint8Array, wrapped: Buffer, context: string): Buffer {
  const aes = createDecipheriv(
    "aes-256-gcm",
    derive(key, "bulkhead/v1/wrap"),
    wrapped.subarray(0, 12),
  );
  aes.setAAD(Buffer.from(context)).setAuthTag(wrapped.subarray(-16));
  return Buffer.concat([aes.update(wrapped.subarray(12, -16)), aes.final()]);
}

function seal(key: Uint8Array, plain: Uint8Array): Buffer {
  const json = Buffer.from(canonicalJson(fields)), fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(1, 0);
  fixed.writeUInt32BE(json.length, 2);
  const salt = randomBytes(32);
  const preamble = Buffer.concat([Buffer.from("BHBACK\r\n"), fixed, json, salt]);
  const keys = derive(key, "bulkhead/v1/object", salt, 64);
  const compressed = gzipSync(plain), out = [preamble, keys.subarray(32)];
  for (let at = 0, number = 0; at < compressed.length; at += CHUNK, number++) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(number, 7);
    nonce[11] = at + CHUNK >= compressed.length ? 1 : 0;
    const aes = createCipheriv("aes-256-gcm", keys.subarray(0, 32), nonce).setAAD(preamble);
    out.push(aes.update(compressed.subarray(at, at + CHUNK)), aes.final(), aes.getAuthTag());
  }
  return Buffer.concat(out);
}

function onDeno(cases: readonly GcmCase[]): GcmResult[] {
  const { program, args } = denoCommand("edge");
  const script = "tests/support/gcm-peer.ts";
  const ran = spawnSync(program, [...args, "run", "--allow-all", "--no-check", script], {
    cwd: ROOT,
    env: denoEnv("edge"),
    input: JSON.stringify(cases),
    encoding: "utf8",
    timeout: 120_000,
    maxBuffer: 1 << 30,
  });
  assert.equal(ran.status, 0, ran.stderr);
  return JSON.parse(ran.stdout);
}

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const from = (text: string) => Buffer.from(text, "base64");

test("WebCrypto on Deno and node:crypto agree: wrapped, signed and sealed by one, read by the other", async () => {
  const count = depth({ quick: 60, full: 400 });
  const samples = fc.sample(
    fc.record({
      key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      context: fc.string({ unit: "binary", maxLength: 200 }).map((text) =>
        Buffer.from(text).toString()
      ),
      plain: fc.uint8Array({ maxLength: 3_000 }),
      at: fc.nat(),
    }),
    { numRuns: count, seed: 20261121 },
  );
  // Two chunks, and exactly at a chunk's end, too.
  for (const size of [CHUNK - 400, CHUNK + 9]) {
    samples.push({ ...samples[0]!, plain: new Uint8Array(randomBytes(size)) });
  }
  const cases = samples.map(({ key, context, plain, at }): GcmCase => {
    const wrapped = wrap(key, plain, context), object = seal(key, plain);
    const spoil = (bytes: Buffer) => {
      const changed = Buffer.from(bytes);
      changed[at % changed.length]! ^= 1 + at % 255;
      return changed;
    };
    return {
      key: b64(key),
      context,
      plain: b64(plain),
      wrapped: [wrapped, spoil(wrapped), wrap(key, plain, `${context}x`)].map(b64),
      objects: [object, spoil(object), object.subarray(0, at % object.length)].map(b64),
    };
  });
  const results = onDeno(cases);
  assert.equal(results.length, cases.length);
  for (const [i, { key, context, plain }] of samples.entries()) {
    const result = results[i]!;
    assert.ok(unwrap(key, from(result.wrapped), context).equals(plain), `case ${i}`);
    assert.deepEqual(result.unwrapped, [b64(plain), null, null], `case ${i}`);
    const hmac = createHmac("sha256", derive(key, "bulkhead/v1/sign/keyring"));
    assert.equal(result.signed, hmac.update(plain).digest("base64"));
    assert.ok((await loneRead(from(result.object), key, expect)).equals(plain), `case ${i}`);
    const [whole, ...faults] = result.opened;
    assert.equal(whole, b64(plain), `case ${i}`);
    for (const code of faults) assert.match(code, /^BH_/, `case ${i}`);
  }
});

test("every byte, every chunk's end, every header field: the core and the stand-alone reader refuse the same", async () => {
  const key = randomBytes(32);
  const small = seal(key, Buffer.from("one row\n"));
  const large = seal(key, randomBytes(2 * CHUNK + 99));
  const headerEnd = 14 + small.readUInt32BE(10);
  const faults: [string, Buffer][] = [];
  for (let at = 0; at < small.length; at++) {
    const bytes = Buffer.from(small);
    bytes[at]! ^= 1 << at % 8;
    faults.push([`byte ${at}`, bytes], [`cut at ${at}`, small.subarray(0, at)]);
  }
  const bodyAt = headerEnd + 64;
  for (let at = bodyAt; at < large.length; at += CHUNK + 16) {
    faults.push([`cut at the chunk's end ${at}`, large.subarray(0, at)]);
    const rest = large.subarray(at + CHUNK + 16);
    faults.push([`without the chunk at ${at}`, Buffer.concat([large.subarray(0, at), rest])]);
    faults.push([
      `the chunk at ${at} twice`,
      Buffer.concat([large.subarray(0, at + CHUNK + 16), large.subarray(at)]),
    ]);
  }
  const others: Record<keyof typeof fields, unknown> = {
    backup: "20261120T023000Z-0a1b2c3d",
    chunkBytes: CHUNK >> 1,
    compression: "none",
    createdAt: "2025-01-01T00:00:00.000Z",
    keyId: "1".repeat(32),
    kind: "global",
    part: 2,
    tenant: "beta",
  };
  for (const [name, value] of Object.entries({ ...others, extra: 1 })) {
    const json = Buffer.from(canonicalJson({ ...fields, [name]: value }));
    const fixed = Buffer.from(small.subarray(0, 14));
    fixed.writeUInt32BE(json.length, 10);
    faults.push([`header ${name}`, Buffer.concat([fixed, json, small.subarray(headerEnd)])]);
  }
  for (const tail of [Buffer.alloc(1), randomBytes(16), small.subarray(bodyAt), small]) {
    faults.push(["bytes that follow", Buffer.concat([small, tail])]);
  }
  assert.ok(faults.length > 600, `${faults.length} faults`);
  for (const [what, object] of faults) {
    const opened = openObject({
      stream: streamOf(object),
      tenantKey: { tenant: "alpha", id: ID, bytes: key },
      expect,
    });
    const error = await bytesOf(opened).then(() => null, (thrown) => thrown);
    assert.ok(error instanceof BulkheadError && error.kind === "integrity", `${what}: ${error}`);
    await assert.rejects(loneRead(object, key, expect), Error, what);
  }
});
