import { BulkheadError } from "../errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { source, toHex } from "../bytes.ts";
import { deferred } from "./deferred.ts";
import {
  CHUNK_BYTES,
  chunkAlgorithm,
  deriveFileKeys,
  encodePreamble,
  SALT_BYTES,
} from "./header.ts";
import { Sha256 } from "./sha256-stream.ts";
import { through } from "./through.ts";
import type { HeaderInput, ObjectHeader, SealedObject, SealedSummary, TenantKey } from "./types.ts";

/** Faster gzip and SHA-256 than the Web's, where the platform has them. */
export type SealTools = {
  gzip(input: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  sha256(): { update(bytes: Uint8Array): void; digest(): Uint8Array };
};

const webTools: SealTools = {
  gzip: (input) =>
    through(input, new CompressionStream("gzip"), {
      step: 65_536,
      onDamage: (cause) => new Error("gzip failed", { cause }),
    }),
  sha256: () => new Sha256(),
};

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
    tools?: SealTools;
  },
): SealedObject {
  const { tenantKey, plaintext, tools = webTools } = options;
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
  const compressed = new ByteReader(compress(plaintext, counted, tools));
  const output = encrypt({ header, tenantKey, compressed });
  const hash = tools.sha256();
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

/** gzip, counting what goes in; holds a few pieces of 64 KiB. */
function compress(
  plaintext: ReadableStream<Uint8Array>,
  counted: { bytes: number },
  tools: SealTools,
): ReadableStream<Uint8Array> {
  const input = plaintext.getReader();
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let next = await input.read(); !next.done; next = await input.read()) {
      counted.bytes += next.value.length;
      yield next.value;
    }
  }
  const pieces = tools.gzip(read())[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await pieces.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel(reason) {
      await input.cancel(reason);
      await pieces.return?.().catch(() => {});
    },
  }, { highWaterMark: 0 });
}

async function* encrypt(
  of: { header: ObjectHeader; tenantKey: TenantKey; compressed: ByteReader },
): AsyncGenerator<Uint8Array> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const preamble = encodePreamble(of.header, salt);
  const keys = await deriveFileKeys(of.tenantKey, salt);
  yield preamble;
  yield keys.commitment;
  for (let number = 0, isLast = false; !isLast; number++) {
    const chunk = await of.compressed.read(CHUNK_BYTES);
    isLast = await of.compressed.isAtEnd();
    const algorithm = chunkAlgorithm({ number, isLast, associated: preamble });
    yield new Uint8Array(await crypto.subtle.encrypt(algorithm, keys.aes, source(chunk)));
  }
}
