/** Section 2: every key by its id, under a KEK or (`isRoot`) a root; null for a shredded one. */
export function readKeyring(
  folder: string,
  key: Buffer,
  isRoot?: boolean,
): Map<string, Buffer | null>;

/** Section 3 of docs/backup-format.md; `expected` is the object's entry in the manifest, or a part of it. */
export function readObject(
  file: string,
  tenantKey: Uint8Array,
  expected: Record<string, unknown>,
): AsyncGenerator<Buffer>;

/** Section 4. */
export function readFrames(
  pieces: AsyncIterable<Buffer>,
): AsyncGenerator<
  | { type: "rows"; payload: Buffer }
  | { type: "table"; value: { schema: string; name: string; columns: string[] } }
  | { type: "end" | "document" | "done"; value: unknown }
>;
