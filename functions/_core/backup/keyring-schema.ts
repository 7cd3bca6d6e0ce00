import * as z from "zod";

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

/** One version of one tenant's key, wrapped. */
export const wrappedKey = z.strictObject({
  tenant: z.string().min(1),
  id: hex(16),
  kekId: hex(8),
  /** base64: nonce, ciphertext, tag. */
  wrapped: z.base64(),
  createdAt: z.iso.datetime(),
});

/** A key that must not come back when older documents are merged. */
export const shreddedKey = z.strictObject({
  tenant: z.string().min(1),
  id: hex(16),
  at: z.iso.datetime(),
});

export const keyringBody = z.strictObject({
  format: z.literal(1),
  /** The store's versions that this document includes. */
  parents: z.array(z.string()),
  writtenAt: z.iso.datetime(),
  keys: z.array(wrappedKey),
  shredded: z.array(shreddedKey),
});

export const signedKeyring = z.strictObject({
  keyring: keyringBody,
  signature: z.strictObject({ algorithm: z.literal("HMAC-SHA256"), kekId: hex(8), value: hex(32) }),
});

export type WrappedKey = z.infer<typeof wrappedKey>;
export type KeyringBody = z.infer<typeof keyringBody>;
