import { BulkheadError } from "../errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { concat, equalInConstantTime, source, toHex } from "../bytes.ts";
import {
  CHUNK_BYTES,
  chunkAlgorithm,
  COMMITMENT_BYTES,
  deriveFileKeys,
  FIXED_BYTES,
  parseFixed,
  parseHeader,
  SALT_BYTES,
  TAG_BYTES,
} from "./header.ts";
import { Sha256 } from "./sha256-stream.ts";
import { through } from "./through.ts";
import type { ObjectExpectation, ObjectHeader, TenantKey } from "./types.ts";

/** Raw bytes that are accepted where no manifest says how many to expect. */
const RAW_LIMIT = 64 * 2 ** 30;
/** What the decompressor is fed at once: bounds what one step can inflate to (gzip reaches 1:1032). */
const INFLATE_STEP = 32_768;

export interface OpenOptions {
  readonly stream: ReadableStream<Uint8Array>;
  readonly tenantKey: TenantKey | ((header: ObjectHeader) => Promise<TenantKey>);
  readonly expect: ObjectExpectation;
  readonly onHeader?: (header: ObjectHeader) => void;
  /** What errors call the object; people look for it by its key and tenant. */
  readonly name?: { readonly key: string; readonly tenant: string };
}

/**
 * Decrypt and decompress one object as a stream. Every byte that comes out was authenticated; the
 * stream *ends* only after the last chunk, the size and the checksum matched. Until it has ended, what
 * came out is a prefix: do not treat it as restored.
 *
 * @example
 * const rows = openObject({ stream, tenantKey: (h) => keyring.tenantKey(h.tenant, h.keyId), expect: entry });
 * @throws BulkheadError kind `integrity` through the stream: `BH_OBJECT_FORMAT`, `_KEY`, `_CORRUPT`,
 * `_TRUNCATED`, `_MISMATCH`.
 */
export function openObject(options: OpenOptions): ReadableStream<Uint8Array> {
  const reader = new ByteReader(options.stream);
  const inflated = inflate(decrypt(reader, options), options.expect.rawBytes);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await inflated.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        await reader.cancel(error).catch(() => {});
        controller.error(named(error, options.name));
      }
    },
    async cancel(reason) {
      await reader.cancel(reason);
      await inflated.return(undefined).catch(() => {});
    },
  }, { highWaterMark: 0 });
}

/** The same error about this object: `Cannot open the object "objects/…" of tenant "…": <state>`. */
function named(error: unknown, name: OpenOptions["name"]): unknown {
  if (!name || !(error instanceof BulkheadError) || error.kind !== "integrity") return error;
  const { code, kind, hint, message } = error;
  const state = message.startsWith("Cannot open the object")
    ? message.slice(message.indexOf(": ") + 2)
    : message;
  return new BulkheadError(
    code,
    `Cannot open the object "${name.key}" of tenant "${name.tenant}": ${state}`,
    { kind, hint, cause: error },
  );
}

/** The header of an object, without a key and so without proof. Cancels the stream. */
export async function peekHeader(stream: ReadableStream<Uint8Array>): Promise<ObjectHeader> {
  const reader = new ByteReader(stream);
  try {
    return (await readPreamble(reader)).header;
  } finally {
    await reader.cancel("only the header was wanted").catch(() => {});
  }
}

async function readPreamble(reader: ByteReader) {
  const fixed = await reader.read(FIXED_BYTES);
  const length = parseFixed(fixed);
  const json = await reader.read(length);
  const salt = await reader.read(SALT_BYTES);
  const commitment = await reader.read(COMMITMENT_BYTES);
  if (commitment.length < COMMITMENT_BYTES) throw truncated("its header is not complete");
  return { bytes: concat(fixed, json, salt), header: parseHeader(json), salt, commitment };
}

async function* decrypt(reader: ByteReader, options: OpenOptions): AsyncGenerator<Uint8Array> {
  const { expect } = options;
  const preamble = await readPreamble(reader);
  const { header } = preamble;
  checkHeader(header, expect);
  const key = typeof options.tenantKey === "function"
    ? await options.tenantKey(header)
    : options.tenantKey;
  const keys = await deriveFileKeys(key, preamble.salt);
  const isOurKey = key.tenant === header.tenant && key.id === header.keyId;
  if (!equalInConstantTime(keys.commitment, preamble.commitment) || !isOurKey) {
    throw new BulkheadError(
      "BH_OBJECT_KEY",
      `Cannot open the object of tenant "${header.tenant}": the key does not belong to it`,
      { kind: "integrity", hint: `The object names key ${header.keyId}; check the keyring` },
    );
  }
  options.onHeader?.(header);

  const hash = new Sha256().update(preamble.bytes).update(preamble.commitment);
  let size = preamble.bytes.length + COMMITMENT_BYTES;
  for (let number = 0, isLast = false; !isLast; number++) {
    const sealed = await reader.read(CHUNK_BYTES + TAG_BYTES);
    isLast = await reader.isAtEnd();
    hash.update(sealed);
    size += sealed.length;
    const plain = await openChunk(keys.aes, sealed, {
      number,
      isLast,
      associated: preamble.bytes,
    });
    if (isLast && number > 0 && plain.length === 0) throw corrupt("its last chunk is empty");
    if (isLast) checkWhole({ sha256: toHex(hash.digest()), size }, expect);
    yield plain;
  }
}

async function openChunk(
  aes: CryptoKey,
  sealed: Uint8Array,
  chunk: { number: number; isLast: boolean; associated: Uint8Array },
): Promise<Uint8Array> {
  const attempt = async (isLast: boolean) => {
    try {
      const algorithm = chunkAlgorithm({ ...chunk, isLast });
      return new Uint8Array(await crypto.subtle.decrypt(algorithm, aes, source(sealed)));
    } catch {
      return null;
    }
  };
  const plain = sealed.length >= TAG_BYTES ? await attempt(chunk.isLast) : null;
  if (plain) return plain;
  if (sealed.length === 0) throw truncated("its last chunk is missing");
  // Only for the wording: a whole chunk that was not written as the last one says what happened.
  if (chunk.isLast && await attempt(false)) throw truncated("its last chunk is missing");
  throw corrupt(`chunk ${chunk.number} is not authentic`);
}

/** gunzip with a limit; it ends only after the decryptor has. */
async function* inflate(
  chunks: AsyncGenerator<Uint8Array>,
  expectedBytes: number | undefined,
): AsyncGenerator<Uint8Array> {
  const limit = expectedBytes ?? RAW_LIMIT;
  let rawBytes = 0;
  let tail = new Uint8Array();
  async function* noted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      tail = chunk.length < 4 ? concat(tail, chunk).slice(-4) : chunk.slice(-4);
      yield chunk;
    }
  }
  const raw = through(noted(), new DecompressionStream("gzip"), {
    step: INFLATE_STEP,
    onDamage: (cause) => corrupt("its compressed data is damaged", cause),
  });
  for await (const piece of raw) {
    rawBytes += piece.length;
    if (rawBytes > limit) throw corrupt(`it holds more than the ${limit} bytes declared`);
    yield piece;
  }
  // A gzip ends with its length: decompressors pass over zeros that follow it.
  if (new DataView(tail.buffer, tail.byteOffset).getUint32(0, true) !== rawBytes % 2 ** 32) {
    throw corrupt("bytes follow its compressed data");
  }
  if (expectedBytes !== undefined && rawBytes !== expectedBytes) {
    throw corrupt(`it holds ${rawBytes} bytes instead of ${expectedBytes}`);
  }
}

function checkHeader(header: ObjectHeader, expect: ObjectExpectation): void {
  for (const field of ["tenant", "backup", "part", "keyId"] as const) {
    const wanted = expect[field];
    if (wanted === undefined || wanted === header[field]) continue;
    throw new BulkheadError(
      "BH_OBJECT_MISMATCH",
      `Cannot open the object: its ${field} is "${header[field]}" instead of "${wanted}"`,
      { kind: "integrity", hint: "It was swapped for another object; restore from another backup" },
    );
  }
}

function checkWhole(
  found: { sha256: string; size: number },
  expect: ObjectExpectation,
): void {
  for (const field of ["size", "sha256"] as const) {
    const wanted = expect[field];
    if (wanted === undefined || wanted === found[field]) continue;
    throw new BulkheadError(
      "BH_OBJECT_MISMATCH",
      `Cannot open the object: its ${field} is ${found[field]} instead of ${wanted}`,
      { kind: "integrity", hint: "It is not the object that the manifest means" },
    );
  }
}

const RESTORE = "Restore from another backup, and find out who changed this one";

function corrupt(state: string, cause?: unknown): BulkheadError {
  return new BulkheadError("BH_OBJECT_CORRUPT", `Cannot open the object: ${state}`, {
    kind: "integrity",
    hint: RESTORE,
    cause,
  });
}

function truncated(state: string): BulkheadError {
  return new BulkheadError("BH_OBJECT_TRUNCATED", `Cannot open the object: ${state}`, {
    kind: "integrity",
    hint: RESTORE,
  });
}
