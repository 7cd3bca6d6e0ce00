import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, concat, hkdf, source, utf8 } from "../bytes.ts";
import { BACKUP_ID } from "./names.ts";
import { GLOBAL_TENANT, type ObjectHeader, type TenantKey } from "./types.ts";

/** `BHBACK`, then a line break that a transfer in text mode would destroy. */
export const MAGIC: Uint8Array = concat(utf8("BHBACK"), new Uint8Array([0x0d, 0x0a]));
export const FORMAT_VERSION = 1;
/** Plaintext of every chunk but the last. */
export const CHUNK_BYTES = 1 << 20;
export const TAG_BYTES = 16;
export const SALT_BYTES = 32;
export const COMMITMENT_BYTES = 32;
/** Magic, version, header length. */
export const FIXED_BYTES = 14;
export const MAX_HEADER_BYTES = 65_536;

const header: z.ZodType<ObjectHeader> = z.strictObject({
  kind: z.enum(["tenant", "global"]),
  tenant: z.string().min(1),
  backup: z.string().regex(BACKUP_ID),
  part: z.number().int().positive(),
  keyId: z.string().regex(/^[0-9a-f]{32}$/),
  createdAt: z.iso.datetime(),
  compression: z.literal("gzip"),
  chunkBytes: z.literal(CHUNK_BYTES),
}).refine(({ kind, tenant }) => (kind === "global") === (tenant === GLOBAL_TENANT), {
  message: `only the global object belongs to "${GLOBAL_TENANT}"`,
});

/** Magic to salt: what the commitment follows and, with it, every chunk's associated data. */
export function encodePreamble(of: ObjectHeader, salt: Uint8Array): Uint8Array {
  const json = utf8(canonicalJson(header.parse(of)));
  const fixed = new DataView(new ArrayBuffer(FIXED_BYTES - MAGIC.length));
  fixed.setUint16(0, FORMAT_VERSION);
  fixed.setUint32(2, json.length);
  return concat(MAGIC, new Uint8Array(fixed.buffer), json, salt);
}

/** The header's length from the first 14 bytes. */
export function parseFixed(bytes: Uint8Array): number {
  const isOurs = bytes.length === FIXED_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isOurs) {
    throw new BulkheadError("BH_OBJECT_FORMAT", "Cannot open the object: not a Bulkhead backup", {
      kind: "integrity",
      hint: "Check the key and the version; restore from another backup",
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint16(8);
  const length = view.getUint32(10);
  if (version !== FORMAT_VERSION || length < 2 || length > MAX_HEADER_BYTES) {
    throw new BulkheadError(
      "BH_OBJECT_FORMAT",
      `Cannot open the object: format ${version} with a header of ${length} bytes is not known`,
      { kind: "integrity", hint: "Use the version of Bulkhead that wrote it, or another backup" },
    );
  }
  return length;
}

/** The header itself. Not yet authenticated: only the first chunk's tag does that. */
export function parseHeader(json: Uint8Array): ObjectHeader {
  try {
    return header.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)));
  } catch (cause) {
    throw new BulkheadError("BH_OBJECT_FORMAT", "Cannot open the object: its header is damaged", {
      kind: "integrity",
      hint: "Restore from another backup",
      cause,
    });
  }
}

export interface FileKeys {
  readonly aes: CryptoKey;
  readonly commitment: Uint8Array;
}

/** The file's key and the commitment to it: 64 bytes of HKDF-SHA256 from the tenant's key. */
export async function deriveFileKeys(tenantKey: TenantKey, salt: Uint8Array): Promise<FileKeys> {
  const derived = await hkdf(tenantKey.bytes, { salt, info: "bulkhead/v1/object", bytes: 64 });
  const aes = await crypto.subtle.importKey(
    "raw",
    source(derived.subarray(0, 32)),
    "AES-GCM",
    false,
    ["encrypt", "decrypt"],
  );
  return { aes, commitment: derived.slice(32) };
}

/** Eleven bytes of chunk number, big-endian from 0, then 1 for the last chunk and 0 for the others. */
export function chunkAlgorithm(
  chunk: { number: number; isLast: boolean; associated: Uint8Array },
): AesGcmParams {
  const nonce = new DataView(new ArrayBuffer(12));
  nonce.setBigUint64(3, BigInt(chunk.number));
  nonce.setUint8(11, chunk.isLast ? 1 : 0);
  return {
    name: "AES-GCM",
    iv: nonce.buffer,
    additionalData: source(chunk.associated),
    tagLength: 128,
  };
}
