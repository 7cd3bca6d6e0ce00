import * as z from "zod";

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

/** What a key is for: objects of backups, manifests, or the fields of one secret class. */
export const keyUse = z.string().regex(/^(backup|manifest|field:[a-z][a-z0-9_-]{0,62})$/);

const keyName = { tenant: z.string().min(1), use: keyUse, id: hex(16) };

/** One version of one key, wrapped by the keyring's root. */
export const wrappedKey = z.strictObject({
  ...keyName,
  /** base64: nonce, ciphertext, tag. */
  wrapped: z.base64(),
  createdAt: z.iso.datetime(),
});

/** A key that must not come back when older documents are merged. */
export const shreddedKey = z.strictObject({ ...keyName, at: z.iso.datetime() });

export const keyringBody = z.strictObject({
  format: z.literal(1),
  /** Counts the rotations of the key-encryption key, from 1. */
  epoch: z.number().int().positive(),
  /** When it began. */
  epochAt: z.iso.datetime().optional(),
  kekId: hex(8),
  /** The root of this epoch, wrapped by the KEK; base64. */
  root: z.base64(),
  /** The store's versions that this document includes. */
  parents: z.array(z.string()),
  writtenAt: z.iso.datetime(),
  keys: z.array(wrappedKey),
  shredded: z.array(shreddedKey),
});

export const signedKeyring = z.strictObject({
  keyring: keyringBody,
  signature: z.strictObject({ algorithm: z.literal("HMAC-SHA256"), value: hex(32) }),
});

/** What a document says of itself, read before it can be verified. */
export const keyringClaim = z.object({
  keyring: z.object({
    epoch: z.number().int().positive(),
    epochAt: z.string().optional(),
    kekId: hex(8),
    root: z.base64(),
    writtenAt: z.string(),
  }),
});

export type WrappedKey = z.infer<typeof wrappedKey>;
export type ShreddedKey = z.infer<typeof shreddedKey>;
export type KeyringBody = z.infer<typeof keyringBody>;
