import { concat, hkdf, source, utf8 } from "../bytes.ts";

/** What a signature is for; a signature for one purpose is none for another. */
export type Purpose = "manifest" | "keyring" | "certificate";

/** 32 secret bytes as the rest of the kit sees them: they wrap, unwrap and sign, and are never shown. */
export interface WrappingKey {
  /** Answers nonce, ciphertext and tag in one. */
  wrap(secret: Uint8Array, context: string): Promise<Uint8Array>;
  /** Null when the bytes were not wrapped by this key in this context. */
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array | null>;
  /** HMAC-SHA256 under a key of its own for each purpose. */
  sign(message: Uint8Array, purpose: Purpose): Promise<Uint8Array>;
}

/**
 * A key that wraps and signs: AES-256-GCM and HMAC-SHA256 under keys derived from `secret` by HKDF.
 *
 * @example
 * const root = await wrappingKey(crypto.getRandomValues(new Uint8Array(32)));
 * const wrapped = await root.wrap(secret, canonicalJson(["bulkhead/v1/key", tenant, use, id]));
 */
export async function wrappingKey(secret: Uint8Array): Promise<WrappingKey> {
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
    async wrap(plain, context) {
      const nonce = crypto.getRandomValues(new Uint8Array(12));
      const sealed = await crypto.subtle.encrypt(gcm(nonce, context), aes, source(plain));
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
