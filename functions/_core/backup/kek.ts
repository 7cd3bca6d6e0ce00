import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { concat, fromBase64, hkdf, source, toHex, utf8 } from "./bytes.ts";

/**
 * The key-encryption key as the rest of the kit sees it: it wraps, unwraps and signs, and is never shown.
 * A key-management service implements the same four members.
 */
export interface Kek {
  /** 16 lowercase hex digits, derived from the key: says which key, tells nothing about it. */
  readonly id: string;
  /** Answers nonce, ciphertext and tag in one. */
  wrap(secret: Uint8Array, context: string): Promise<Uint8Array>;
  /** Null when the bytes were not wrapped by this key in this context. */
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array | null>;
  /** HMAC-SHA256 under a key of its own for each purpose. */
  sign(message: Uint8Array, purpose: "manifest" | "keyring"): Promise<Uint8Array>;
}

/** `BULKHEAD_KEK` for `readEnv`: 32 bytes in base64. */
export const kekVariable: z.ZodType<string> = z
  .string("set it to 32 random bytes in base64: openssl rand -base64 32")
  .refine((text) => decode(text)?.length === 32, {
    message: "must be 32 bytes in base64: openssl rand -base64 32",
  });

function decode(text: string): Uint8Array | null {
  try {
    return fromBase64(text.trim());
  } catch {
    return null;
  }
}

/**
 * A KEK from the value of `BULKHEAD_KEK`.
 *
 * @example
 * const env = readEnv(process.env, z.object({ BULKHEAD_KEK: kekVariable }));
 * const kek = await kekFromBase64(env.BULKHEAD_KEK);
 */
export async function kekFromBase64(text: string): Promise<Kek> {
  const secret = decode(text);
  if (secret?.length !== 32) {
    throw new BulkheadError(
      "BH_KEK_MALFORMED",
      "Cannot read the key-encryption key: BULKHEAD_KEK is not 32 bytes in base64",
      { kind: "usage", hint: "Make one with: openssl rand -base64 32" },
    );
  }
  const id = toHex(await hkdf(secret, { info: "bulkhead/v1/kek-id", bytes: 8 }));
  const aes = await crypto.subtle.importKey(
    "raw",
    source(await hkdf(secret, { info: "bulkhead/v1/wrap", bytes: 32 })),
    "AES-GCM",
    false,
    ["encrypt", "decrypt"],
  );
  const gcm = (nonce: Uint8Array, context: string) => ({
    name: "AES-GCM",
    iv: source(nonce),
    additionalData: source(utf8(context)),
  });

  return {
    id,
    async wrap(key, context) {
      const nonce = crypto.getRandomValues(new Uint8Array(12));
      const sealed = await crypto.subtle.encrypt(gcm(nonce, context), aes, source(key));
      return concat(nonce, new Uint8Array(sealed));
    },
    async unwrap(wrapped, context) {
      try {
        const [nonce, sealed] = [wrapped.subarray(0, 12), wrapped.subarray(12)];
        return new Uint8Array(
          await crypto.subtle.decrypt(gcm(nonce, context), aes, source(sealed)),
        );
      } catch {
        return null;
      }
    },
    async sign(message, purpose) {
      const key = await crypto.subtle.importKey(
        "raw",
        source(await hkdf(secret, { info: `bulkhead/v1/sign/${purpose}`, bytes: 32 })),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["sign"],
      );
      return new Uint8Array(await crypto.subtle.sign("HMAC", key, source(message)));
    },
  };
}
