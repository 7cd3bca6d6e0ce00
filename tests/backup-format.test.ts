import assert from "node:assert/strict";
import { createCipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { nodeSealTools } from "../functions/_core/adapters/node-seal-tools.ts";
import { canonicalJson, fromHex } from "../functions/_core/bytes.ts";
import { decodeTables, encodeTables } from "../functions/_core/backup/container.ts";
import { openObject, peekHeader, sealObject } from "../functions/_core/backup/format.ts";
import { Sha256 } from "../functions/_core/backup/sha256-stream.ts";
import type {
  HeaderInput,
  ObjectExpectation,
  TableInput,
  TableSummary,
  TenantKey,
} from "../functions/_core/backup/types.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { depth, seeded } from "./support/depth.ts";
import { bytesOf, streamOf } from "./support/object-store-suite.ts";
import { loneRead, loneTables } from "./support/lone-reader.ts";

const CHUNK = 1 << 20;
const text = (value: string) => new TextEncoder().encode(value);

function keyOf(tenant: string): TenantKey {
  return { tenant, id: randomBytes(16).toString("hex"), bytes: randomBytes(32) };
}

const alpha = keyOf("alpha");
const header: HeaderInput = {
  kind: "tenant",
  tenant: "alpha",
  backup: "20261121T023000Z-0a1b2c3d",
  part: 1,
  createdAt: new Date("2026-11-21T02:30:00Z"),
};

async function seal(
  raw: Uint8Array,
  options: { header?: Partial<HeaderInput>; key?: TenantKey; piece?: number; isNode?: boolean } =
    {},
) {
  const sealed = sealObject({
    ...(options.isNode ? { tools: nodeSealTools } : {}),
    header: { ...header, ...options.header },
    tenantKey: options.key ?? alpha,
    plaintext: streamOf(raw, options.piece),
  });
  const object = await bytesOf(sealed.stream);
  return { object, ...(await sealed.done) };
}

/** What a reader that knows no checksum lets through, and how it ended. */
async function open(
  object: Uint8Array,
  options: { key?: TenantKey; expect?: Partial<ObjectExpectation>; piece?: number } = {},
): Promise<{ released: Uint8Array; error?: unknown }> {
  const stream = openObject({
    stream: streamOf(object, options.piece),
    tenantKey: options.key ?? alpha,
    expect: { tenant: "alpha", ...options.expect },
  });
  const released: Uint8Array[] = [];
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      released.push(next.value);
    }
    return { released: Buffer.concat(released) };
  } catch (error) {
    return { released: Buffer.concat(released), error };
  }
}

/** Incompressible bytes whose gzip is exactly `compressed` bytes long. */
async function rawOfCompressedSize(compressed: number): Promise<Uint8Array> {
  const noise = randomBytes(compressed);
  for (let length = compressed - 400, tries = 0; tries < 30; tries++) {
    const { object } = await seal(noise.subarray(0, length));
    const preamble = 14 + new DataView(object.buffer).getUint32(10) + 64;
    const body = object.length - preamble;
    const size = body - 16 * Math.ceil(body / (CHUNK + 16));
    if (size === compressed) return noise.subarray(0, length);
    length += compressed - size;
  }
  throw new Error(`no input compresses to ${compressed} bytes`);
}

test("Sha256 agrees with node:crypto however the input is cut", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400)), (bytes, cuts) => {
      const hash = new Sha256();
      const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b)];
      at.forEach((from, i) => hash.update(bytes.subarray(from, at[i + 1] ?? bytes.length)));
      assert.equal(
        Buffer.from(hash.digest()).toString("hex"),
        createHash("sha256").update(bytes).digest("hex"),
      );
    }),
  );
});

test("an object gives back what was sealed, whatever the size and the cuts", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 5_000 }),
        fc.integer({ min: 0, max: 300_000 }).map((size) => new Uint8Array(randomBytes(size))),
      ),
      fc.integer({ min: 1, max: 70_000 }),
      fc.boolean(),
      async (raw, piece, isNode) => {
        const cut = Math.max(piece, Math.ceil(raw.length / 200));
        const sealed = await seal(raw, { piece: cut, isNode });
        assert.equal(sealed.sha256, createHash("sha256").update(sealed.object).digest("hex"));
        assert.equal(sealed.size, sealed.object.length);
        assert.equal(sealed.rawBytes, raw.length);
        const { sha256, size, rawBytes } = sealed;
        const { released, error } = await open(sealed.object, {
          expect: { sha256, size, rawBytes, keyId: alpha.id, backup: header.backup, part: 1 },
          piece: Math.max(piece, Math.ceil(size / 200)),
        });
        assert.equal(error, undefined);
        assert.ok(Buffer.from(released).equals(raw));
      },
    ),
    { numRuns: depth({ quick: 60, full: 400 }) },
  );
});

test("an object whose compressed data ends at a chunk boundary, or a byte beside it, is read whole", async () => {
  for (const compressed of [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1]) {
    const raw = await rawOfCompressedSize(compressed);
    const { object } = await seal(raw);
    const { released, error } = await open(object);
    assert.equal(error, undefined);
    assert.ok(Buffer.from(released).equals(raw), `${compressed} bytes`);
    const lone = await loneRead(object, alpha.bytes);
    assert.ok(lone.equals(raw), `${compressed} bytes, stand-alone`);
  }
});

test("two objects of the same rows share no salt, no commitment and no chunk", async () => {
  const [a, b] = [await seal(text("same")), await seal(text("same"))];
  const from = 14 + new DataView(a.object.buffer).getUint32(10);
  assert.notDeepEqual(a.object.slice(from, from + 32), b.object.slice(from, from + 32));
  assert.notDeepEqual(a.object.slice(from + 32, from + 64), b.object.slice(from + 32, from + 64));
  assert.notDeepEqual(a.object.slice(from + 64), b.object.slice(from + 64));
});

test("the stand-alone reader on node:crypto reads what WebCrypto wrote", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3_000 }), async (raw) => {
      const { object } = await seal(raw);
      const { tenant, backup, part, keyId } = await peekHeader(streamOf(object));
      const lone = await loneRead(object, alpha.bytes, { tenant, backup, part, keyId });
      assert.ok(lone.equals(raw));
    }),
    { numRuns: depth({ quick: 50, full: 500 }) },
  );
});

test("openObject() reads what a writer on node:crypto wrote from the document", async () => {
  for (const size of [0, 1, 5_000, CHUNK + 77]) {
    const raw = randomBytes(size);
    const { released, error } = await open(writeObject(gzipSync(raw)));
    assert.equal(error, undefined);
    assert.ok(raw.equals(released));
  }
});

/** A writer of its own, for objects that the core would never write. */
function writeObject(
  compressed: Buffer,
  edit: { lastIsEmpty?: boolean; header?: Record<string, unknown> } = {},
): Buffer {
  const json = text(canonicalJson({
    ...header,
    createdAt: header.createdAt.toISOString(),
    keyId: alpha.id,
    compression: "gzip",
    chunkBytes: CHUNK,
    ...edit.header,
  }));
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(1, 0);
  fixed.writeUInt32BE(json.length, 2);
  const salt = randomBytes(32);
  const preamble = Buffer.concat([Buffer.from("BHBACK\r\n"), fixed, json, salt]);
  const keys = Buffer.from(hkdfSync("sha256", alpha.bytes, salt, "bulkhead/v1/object", 64));
  const out = [preamble, keys.subarray(32)];
  const pieces: Buffer[] = [];
  for (let at = 0; at < compressed.length; at += CHUNK) {
    pieces.push(compressed.subarray(at, at + CHUNK));
  }
  if (edit.lastIsEmpty) pieces.push(Buffer.alloc(0));
  for (const [i, piece] of pieces.entries()) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(i, 7);
    nonce[11] = i === pieces.length - 1 ? 1 : 0;
    const cipher = createCipheriv("aes-256-gcm", keys.subarray(0, 32), nonce);
    cipher.setAAD(preamble);
    out.push(cipher.update(piece), cipher.final(), cipher.getAuthTag());
  }
  return Buffer.concat(out);
}

test("openObject() refuses what only a holder of the key could write wrongly", async () => {
  const code = async (object: Uint8Array, rawBytes?: number) => {
    const { error } = await open(object, { expect: rawBytes === undefined ? {} : { rawBytes } });
    assert.ok(error instanceof BulkheadError, String(error));
    return error.code;
  };
  assert.equal(await code(writeObject(Buffer.from("no gzip at all"))), "BH_OBJECT_CORRUPT");
  assert.equal(
    await code(writeObject(gzipSync(randomBytes(999)).subarray(0, -9))),
    "BH_OBJECT_CORRUPT",
  );
  const whole = Buffer.from(await rawOfCompressedSize(CHUNK));
  const exact = Buffer.concat([gzipSync(whole)]).subarray(0, CHUNK);
  assert.equal(await code(writeObject(exact, { lastIsEmpty: true })), "BH_OBJECT_CORRUPT");
  const bomb = writeObject(gzipSync(Buffer.alloc(200 << 20)));
  const burst = await open(bomb, { expect: { rawBytes: 1_000 } });
  // With the first byte too many, and not when all of them are there.
  assert.match(String(burst.error), /holds more than the 1000 bytes declared/);
  assert.ok(burst.released.length <= 1_000);
  assert.equal(await code(writeObject(gzipSync("abc")), 4), "BH_OBJECT_CORRUPT");
});

test("openObject() and the stand-alone reader refuse a header that is none of version 1, and what follows the gzip", async () => {
  const wrong: Buffer[] = [
    { note: "x" },
    { compression: "zstd" },
    { chunkBytes: 4096 },
    { kind: "global" },
    { kind: "other" },
    { createdAt: 5 },
    { part: "1" },
    { part: 0 },
    { backup: "yesterday" },
    { note: "x".repeat(65_536) },
  ].map((edit) => writeObject(gzipSync("rows"), { header: edit }));
  for (const more of [Buffer.from("x"), Buffer.alloc(8), gzipSync("more"), gzipSync("")]) {
    wrong.push(writeObject(Buffer.concat([gzipSync("rows"), more])));
  }
  for (const [i, object] of wrong.entries()) {
    const { error } = await open(object);
    assert.ok(error instanceof BulkheadError, `the core refuses ${i}`);
    await assert.rejects(loneRead(object, alpha.bytes), Error, `the other refuses ${i}`);
  }
  assert.equal(String(await loneRead(writeObject(gzipSync("rows")), alpha.bytes)), "rows");
});

test("openObject() holds an object against everything its manifest says", async () => {
  const sealed = await seal(text("rows"));
  const wrong: Partial<ObjectExpectation>[] = [
    { tenant: "beta" },
    { backup: "20261120T023000Z-0a1b2c3d" },
    { part: 2 },
    { keyId: "f".repeat(32) },
    { sha256: "0".repeat(64) },
    { size: sealed.size + 1 },
    { rawBytes: 3 },
    { rawBytes: 5 },
  ];
  for (const expect of wrong) {
    const { error } = await open(sealed.object, { expect });
    assert.ok(error instanceof BulkheadError && error.kind === "integrity", canonicalJson(expect));
  }
});

test("openObject() passes on the error of a store that fails in the middle", async () => {
  const { object } = await seal(randomBytes(3 * CHUNK));
  let sent = 0;
  const failing = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent > 2 * CHUNK) throw new Error("connection reset");
      controller.enqueue(object.subarray(sent, sent += 50_000));
    },
  });
  const stream = openObject({ stream: failing, tenantKey: alpha, expect: { tenant: "alpha" } });
  await assert.rejects(bytesOf(stream), /connection reset/);
});

test("sealObject() passes on the error of an export that fails in the middle, and done rejects", async () => {
  for (const tools of [{}, { tools: nodeSealTools }]) {
    let sent = 0;
    const sealed = sealObject({
      header,
      tenantKey: alpha,
      plaintext: new ReadableStream<Uint8Array>({
        pull(controller) {
          if (sent++ > 30) throw new Error("the COPY was cancelled");
          controller.enqueue(randomBytes(100_000));
        },
      }),
      ...tools,
    });
    await assert.rejects(bytesOf(sealed.stream), /the COPY was cancelled/);
    await assert.rejects(sealed.done, /the COPY was cancelled/);
  }
});

test("sealObject() and openObject() cancel their source when their reader leaves", async () => {
  const reasons: unknown[] = [];
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(randomBytes(100_000)),
      cancel: (reason) => void reasons.push(reason),
    });
  for (const tools of [{}, { tools: nodeSealTools }]) {
    const sealed = sealObject({ header, tenantKey: alpha, plaintext: endless(), ...tools });
    const reader = sealed.stream.getReader();
    await reader.read();
    await reader.read();
    await reader.cancel("enough");
    await assert.rejects(sealed.done);
  }
  const { object } = await seal(randomBytes(4 * CHUNK));
  const source = streamOf(object);
  const opened = openObject({ stream: source, tenantKey: alpha, expect: { tenant: "alpha" } });
  const out = opened.getReader();
  await out.read();
  await out.cancel("enough");
  assert.deepEqual(reasons, ["enough", "enough"]);
});

test("sealObject() refuses another tenant's key", () => {
  const plaintext = streamOf(text("x"));
  assert.throws(() => sealObject({ header, tenantKey: keyOf("beta"), plaintext }), {
    code: "BH_OBJECT_MISMATCH",
  });
});

test(`no fault among ${depth({ quick: 300, full: 2_000 })} is accepted, and none releases a false byte`, async () => {
  const random = seeded(20261121);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const beta = keyOf("beta");
  const rotated = { ...keyOf("alpha"), id: alpha.id };
  // The right bytes under another name.
  const renamed = { ...alpha, id: beta.id }, lent = { ...alpha, tenant: "beta" };
  const raws = [
    text(""),
    text("one row\n"),
    randomBytes(40_000),
    randomBytes(2 * CHUNK + 12_345),
    await rawOfCompressedSize(2 * CHUNK),
  ];
  const objects = await Promise.all(raws.map((raw) => seal(raw)));
  const others = await Promise.all([
    seal(raws[2]!, { key: beta, header: { tenant: "beta" } }),
    seal(raws[2]!, { header: { backup: "20261120T023000Z-0a1b2c3d" } }),
    seal(raws[2]!, { header: { part: 2 } }),
  ]);

  const counts = new Map<string, number>();
  const total = depth({ quick: 300, full: 2_000 });
  for (let n = 0; n < total; n++) {
    // Most faults on small objects: the large ones are there for what lies between chunks.
    const which = random() < 0.75 ? Math.floor(random() * 3) : 3 + Math.floor(random() * 2);
    const raw = raws[which]!, object = Buffer.from(objects[which]!.object);
    const headerEnd = 14 + object.readUInt32BE(10);
    const bodyAt = headerEnd + 64;
    const chunks: Buffer[] = [];
    for (let at = bodyAt; at < object.length; at += CHUNK + 16) {
      chunks.push(object.subarray(at, at + CHUNK + 16));
    }
    const rebuilt = (body: Buffer[]) => Buffer.concat([object.subarray(0, bodyAt), ...body]);
    const regions: Record<string, [number, number]> = {
      magic: [0, 8],
      version: [8, 10],
      length: [10, 14],
      header: [14, headerEnd],
      salt: [headerEnd, headerEnd + 32],
      commitment: [headerEnd + 32, bodyAt],
      body: [bodyAt, object.length],
      tag: [object.length - 16, object.length],
    };
    const faults: Record<string, () => { bytes: Uint8Array; key?: TenantKey }> = {
      flip: () => {
        const [from, to] = regions[pick(Object.keys(regions))]!;
        const bytes = Buffer.from(object);
        bytes[from + Math.floor(random() * (to - from))]! ^= 1 << Math.floor(random() * 8);
        return { bytes };
      },
      truncateAnywhere: () => ({ bytes: object.subarray(0, Math.floor(random() * object.length)) }),
      truncateAtChunk: () => ({
        bytes: rebuilt(chunks.slice(0, Math.floor(random() * chunks.length))),
      }),
      dropChunk: () => {
        const gone = Math.floor(random() * chunks.length);
        return { bytes: rebuilt(chunks.filter((_, i) => i !== gone)) };
      },
      repeatChunk: () => {
        const twice = Math.floor(random() * chunks.length);
        return {
          bytes: rebuilt(chunks.flatMap((chunk, i) => i === twice ? [chunk, chunk] : [chunk])),
        };
      },
      reorderChunks: () => ({
        bytes: chunks.length > 1
          ? rebuilt([...chunks].reverse())
          : rebuilt([chunks[0]!, chunks[0]!]),
      }),
      swapObject: () => ({ bytes: pick(others).object }),
      spliceBody: () => {
        const other = objects[(which + 1) % objects.length]!.object;
        const otherBody = 14 + new DataView(other.buffer).getUint32(10) + 64;
        return { bytes: Buffer.concat([object.subarray(0, bodyAt), other.subarray(otherBody)]) };
      },
      spliceHeader: () => {
        const other = Buffer.from(pick(others).object);
        const end = 14 + other.readUInt32BE(10);
        return { bytes: Buffer.concat([other.subarray(0, end), object.subarray(headerEnd)]) };
      },
      editHeader: () => {
        const fields = JSON.parse(object.subarray(14, headerEnd).toString("utf8"));
        const [field, value] = pick<[string, unknown]>([
          ["createdAt", "2025-01-01T00:00:00.000Z"],
          ["backup", "20261120T023000Z-0a1b2c3d"],
          ["part", 7],
          ["tenant", "beta"],
          ["kind", "global"],
          ["keyId", beta.id],
          ["chunkBytes", 65_536],
          ["compression", "none"],
          ["extra", 1],
        ]);
        const json = Buffer.from(canonicalJson({ ...fields, [field]: value }));
        const fixed = Buffer.from(object.subarray(0, 14));
        fixed.writeUInt32BE(json.length, 10);
        return { bytes: Buffer.concat([fixed, json, object.subarray(headerEnd)]) };
      },
      trailingBytes: () => ({
        bytes: Buffer.concat([
          object,
          pick([Buffer.alloc(1), randomBytes(16), chunks.at(-1)!, object]),
        ]),
      }),
      wrongKeyVersion: () => ({
        bytes: object,
        key: pick([rotated, renamed, lent, keyOf("alpha"), beta]),
      }),
    };
    const kind = pick(Object.keys(faults));
    const { bytes, key } = faults[kind]!();
    assert.ok(key || !Buffer.from(bytes).equals(object), `${kind} changed nothing`);
    const { released, error } = await open(bytes, {
      ...(key ? { key } : {}),
      expect: { backup: header.backup, part: 1 },
      piece: 1 + Math.floor(random() * 300_000),
    });
    assert.ok(error, `fault ${n} (${kind}) was accepted`);
    assert.ok(error instanceof BulkheadError && error.kind === "integrity", `${kind}: ${error}`);
    // The encryption refuses: that gzip stumbled over what came through would be luck.
    assert.doesNotMatch(error.message, /compressed data/, kind);
    assert.ok(Buffer.from(raw).subarray(0, released.length).equals(released), `${kind} released`);
    if (released.length > 0) assert.ok(chunks.length > 1, `${kind} released before the last chunk`);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  assert.equal(counts.size, 12);
});

// --- the tables inside

function copyStream(rows: string, piece = 1_000): ReadableStream<Uint8Array> {
  return streamOf(text(rows), piece);
}

const table = (name: string, rows: string, more: Partial<TableInput> = {}): TableInput => ({
  schema: "public",
  name,
  columns: ["id", "body"],
  rows: copyStream(rows),
  contentHash: `hash of ${name}`,
  ...more,
});

async function decoded(stream: ReadableStream<Uint8Array>) {
  const found: { name: string; rows?: string; summary?: TableSummary; value?: unknown }[] = [];
  for await (const entry of decodeTables(stream)) {
    if (entry.kind === "document") found.push({ name: entry.document, value: entry.value });
    else {
      const rows = new TextDecoder().decode(await bytesOf(entry.rows));
      found.push({ name: entry.name, rows, summary: await entry.summary });
    }
  }
  return found;
}

test("a container gives back its tables and documents in order", async () => {
  const long = Array.from({ length: 60_000 }, (_, i) => `${i}\tbody \\n of ${i} é 漢\n`).join("");
  const { stream, done } = encodeTables([
    { document: "sequences", value: { "public.units_id_seq": "42" } },
    table("empty", ""),
    table("messages", long),
    table("units", "1\t\\N\n", { expectedRows: () => Promise.resolve(1) }),
  ]);
  const found = await decoded(stream);
  assert.deepEqual(found.map(({ name }) => name), ["sequences", "empty", "messages", "units"]);
  assert.deepEqual(found[0]?.value, { "public.units_id_seq": "42" });
  assert.equal(found[2]?.rows, long);
  const summaries = await done;
  assert.deepEqual(summaries.map(({ rows }) => rows), [0, 60_000, 1]);
  assert.deepEqual(found.slice(1).map(({ summary }) => summary), summaries);
});

test("a container's reader counts the rows that its caller skips", async () => {
  const { stream } = encodeTables([table("a", "1\n2\n"), table("b", "3\n")]);
  const names: string[] = [];
  const summaries: Promise<TableSummary>[] = [];
  for await (const entry of decodeTables(stream)) {
    if (entry.kind !== "table") continue;
    names.push(entry.name);
    summaries.push(entry.summary);
  }
  assert.deepEqual(names, ["a", "b"]);
  assert.deepEqual((await Promise.all(summaries)).map(({ rows }) => rows), [2, 1]);
});

test("encodeTables() refuses a COPY that ended early", async () => {
  const cut = [
    table("messages", "1\tone\n2\ttw"),
    table("messages", "1\tone\n", { expectedRows: () => Promise.resolve(2) }),
  ];
  for (const entry of cut) {
    const { stream, done } = encodeTables([entry]);
    await assert.rejects(bytesOf(stream), { code: "BH_EXPORT_CUT", message: /public\.messages/ });
    await assert.rejects(done);
  }
});

test("decodeTables() refuses a container that is cut, lengthened or miscounted", async () => {
  const whole = Buffer.from(
    await bytesOf(encodeTables([table("a", "1\n2\n"), table("b", "3\n")]).stream),
  );
  for (let cut = 0; cut < whole.length; cut++) {
    await assert.rejects(decoded(streamOf(whole.subarray(0, cut))), { code: "BH_CONTAINER" });
  }
  await assert.rejects(decoded(streamOf(Buffer.concat([whole, Buffer.alloc(1)]))), {
    code: "BH_CONTAINER",
  });
  for (
    const [from, to] of [["1\n2\n", "1\t2\n"], ['"rows":1', '"rows":2'], [
      '"entries":2',
      '"entries":1',
    ]]
  ) {
    const edited = Buffer.from(whole.toString("latin1").replace(from!, to!), "latin1");
    await assert.rejects(decoded(streamOf(edited)), { code: "BH_CONTAINER" });
  }
});

test("the stand-alone reader finds the same tables in a sealed object", async () => {
  const rows = "1\tone\n2\ttwo\\ttabs\n";
  const { stream } = encodeTables([table("messages", rows), { document: "d", value: [1] }]);
  const sealed = sealObject({ header, tenantKey: alpha, plaintext: stream });
  assert.deepEqual(await loneTables(await bytesOf(sealed.stream), alpha.bytes), [
    { name: "public.messages", columns: ["id", "body"], copy: rows },
  ]);
});

test("canonicalJson() writes one text for one value", () => {
  const value = { b: [1, null, "é\n"], a: { d: true, c: undefined }, "": -0 };
  assert.equal(canonicalJson(value), '{"":0,"a":{"d":true},"b":[1,null,"é\\n"]}');
  assert.throws(() => canonicalJson(0.5));
  assert.throws(() => canonicalJson(2 ** 53));
  assert.deepEqual(fromHex("00ff10"), new Uint8Array([0, 255, 16]));
});
