import * as z from "zod";
import { BACKUP_ID } from "./names.ts";

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const count = z.number().int().nonnegative();
const instant = z.iso.datetime();

/** A table inside an object, as the reader must find it again. */
export const manifestTable = z.strictObject({
  schema: z.string().min(1),
  name: z.string().min(1),
  rows: count,
  bytes: count,
  /** `bulkhead.content_hash`, as text. */
  contentHash: z.string(),
});

/** One stored object. `backup` differs from the manifest's own id where an older object is referenced. */
export const manifestObject = z.strictObject({
  kind: z.enum(["tenant", "global"]),
  tenant: z.string().min(1),
  backup: z.string().regex(BACKUP_ID),
  part: z.number().int().positive(),
  key: z.string().min(1),
  version: z.string().min(1),
  size: count,
  sha256: hex(32),
  keyId: hex(16),
  rawBytes: count,
  rows: count,
  tables: z.array(manifestTable),
});

/** The document that makes a backup: written last, signed. */
export const manifestBody = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(BACKUP_ID),
  tool: z.string().min(1),
  /** Who ran it: `runner`, `edge`. */
  source: z.string().min(1),
  /** `shared`: all objects show one moment; `per-object`: each its own (the edge has no session to share). */
  snapshot: z.enum(["shared", "per-object"]).optional(),
  /** Tells two projects in one bucket apart; shown, never a secret. */
  project: z.string(),
  startedAt: instant,
  finishedAt: instant,
  schemaFingerprint: z.string().min(1),
  migrations: z.array(z.string()),
  /** `bulkhead.audit_head()`; null before the first seal. */
  auditHead: z.string().nullable(),
  previous: z.strictObject({ key: z.string(), sha256: hex(32) }).nullable(),
  rows: count,
  objects: z.array(manifestObject).min(1),
});

/**
 * The body as it lies in the store. Content hashes are wrapped by the manifest key, all in one: in the clear they
 * would let a thief of the store confirm a guess about a table of few rows.
 */
export const storedBody = manifestBody.extend({
  objects: z.array(
    manifestObject.extend({ tables: z.array(manifestTable.omit({ contentHash: true })) }),
  ).min(1),
  /** base64 of the wrapped JSON array of all tables' hashes, in order. */
  contentHashes: z.base64(),
});

export const signedManifest = z.strictObject({
  manifest: storedBody,
  signature: z.strictObject({
    algorithm: z.literal("HMAC-SHA256"),
    keyId: hex(16),
    value: hex(32),
  }),
});

export type ManifestTable = z.infer<typeof manifestTable>;
export type ManifestObject = z.infer<typeof manifestObject>;
export type Manifest = z.infer<typeof manifestBody>;
export type StoredBody = z.infer<typeof storedBody>;
