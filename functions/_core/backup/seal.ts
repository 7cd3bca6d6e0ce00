import { BulkheadError } from "../errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { source, toHex } from "./bytes.ts";
import { deferred } from "./deferred.ts";
import {
  CHUNK_BYTES,
  chunkAlgorithm,
  deriveFileKeys,
  encodePreamble,
  SALT_BYTES,
} from "./header.ts";
import { Sha256 } from "./sha256-stream.ts";
import type {
  HeaderInput,
  ObjectHeader,
  SealedObject,
  SealedSummary,
  TenantKey,
} from "./types.ts";

/**
 * Compress and encrypt one object. Streams: holds about two chunks (2 MiB) whatever the size.
 * The salt is drawn here and nowhere else: two objects never share a file key, a retry is a new object.
 *
 * @example
 * const sealed = sealObject({ header, tenantKey, plaintext: tables.stream });
 * const stored = await store.put(key, sealed.stream);
 * const { sha256, size, rawBytes } = await sealed.done;
 */
export function sealObject(
  options: {
    header: HeaderInput;
    tenantKey: TenantKey;
    plaintext: ReadableStream<Uint8Array>;
  },
): SealedObject {
  const { tenantKey, plaintext } = options;
  const header: ObjectHeader = {
    kind: options.header.kind,
    tenant: options.header.tenant,
    backup: options.header.backup,
    part: options.header.part,
    keyId: tenantKey.id,
    createdAt: options.header.createdAt.toISOString(),
    compression: "gzip",
    chunkBytes: CHUNK_BYTES,
  };
  if (tenantKey.tenant !== header.tenant) {
    throw new BulkheadError(
      "BH_OBJECT_MISMATCH",
      `Cannot seal an object of tenant "${header.tenant}": the key belongs to another tenant`,
      { kind: "integrity", hint: "Ask the keyring for this tenant's own key" },
    );
  }

  const settled = deferred<SealedSummary>();
  const counted = { bytes: 0 };
  const compressed = compress(plaintext, counted);
  const output = encrypt({ header, tenantKey, compressed });
  const hash = new Sha256();
  let size = 0;

  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await output.next();
        if (next.done) {
          settled.resolve({ sha256: toHex(hash.digest()), size, rawBytes: counted.bytes });
          controller.close();
          return;
        }
        hash.update(next.value);
        size += next.value.length;
        controller.enqueue(next.value);
      } catch (error) {
        settled.reject(error);
        controller.error(error);
      }
    },
    async cancel(reason) {
      settled.reject(reason ?? new Error("the object was not read to its end"));
      await compressed.cancel(reason);
    },
  }, { highWaterMark: 0 });
  return { header, stream, done: settled.promise };
}

/** gzip, counting what goes in. The source's own error comes out, not the compressor's. */
function compress(
  plaintext: ReadableStream<Uint8Array>,
  counted: { bytes: number },
): ReadableStream<Uint8Array> {
  const counting = new TransformStream<Uint8Array, BufferSource>({
    transform(chunk, controller) {
      counted.bytes += chunk.length;
      controller.enqueue(source(chunk));
    },
  });
  return plaintext.pipeThrough(counting).pipeThrough(new CompressionStream("gzip"));
}

async function* encrypt(
  of: { header: ObjectHeader; tenantKey: TenantKey; compressed: ReadableStream<Uint8Array> },
): AsyncGenerator<Uint8Array> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const preamble = encodePreamble(of.header, salt);
  const keys = await deriveFileKeys(of.tenantKey, salt);
  const reader = new ByteReader(of.compressed);
  yield preamble;
  yield keys.commitment;
  for (let number = 0, isLast = false; !isLast; number++) {
    const chunk = await reader.read(CHUNK_BYTES);
    isLast = await reader.isAtEnd();
    const algorithm = chunkAlgorithm({ number, isLast, associated: preamble });
    yield new Uint8Array(await crypto.subtle.encrypt(algorithm, keys.aes, source(chunk)));
  }
}
