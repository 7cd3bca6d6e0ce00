import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, concat, utf8 } from "../bytes.ts";

/** `BHTAB`, version 1. */
export const CONTAINER_MAGIC: Uint8Array = concat(utf8("BHTAB"), new Uint8Array([1]));
export const FRAME = { table: 1, rows: 2, tableEnd: 3, document: 4, end: 5 } as const;
export const FRAME_HEAD_BYTES = 5;
export const MAX_FRAME_BYTES = 1 << 20;
/** Documents are read whole, so they have a limit of their own. */
export const MAX_DOCUMENT_BYTES = 16 << 20;

const count = z.number().int().nonnegative();

export const tableHead = z.strictObject({
  schema: z.string().min(1),
  name: z.string().min(1),
  columns: z.array(z.string().min(1)),
});
export const tableEnd = z.strictObject({ rows: count, bytes: count, contentHash: z.string() });
export const documentFrame = z.strictObject({ document: z.string().min(1), value: z.unknown() });
export const containerEnd = z.strictObject({ entries: count, rows: count });

/** Type, length, payload. */
export function encodeFrame(type: number, payload: Uint8Array): Uint8Array {
  return concat(frameHead(type, payload.length), payload);
}

/** What comes before so many bytes of payload. */
export function frameHead(type: number, length: number): Uint8Array {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  head[0] = type;
  new DataView(head.buffer).setUint32(1, length);
  return head;
}

export function encodeJsonFrame(type: number, value: unknown): Uint8Array {
  const payload = utf8(canonicalJson(value));
  if (payload.length > (type === FRAME.document ? MAX_DOCUMENT_BYTES : MAX_FRAME_BYTES)) {
    throw containerError(`a frame of ${payload.length} bytes is too large`);
  }
  return encodeFrame(type, payload);
}

export function parseJsonFrame<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)));
  } catch (cause) {
    throw containerError("a frame is malformed", cause);
  }
}

export function containerError(state: string, cause?: unknown): BulkheadError {
  return new BulkheadError("BH_CONTAINER", `Cannot read the tables of the object: ${state}`, {
    kind: "integrity",
    hint: "Restore from another backup, and report how this one was written",
    cause,
  });
}

/** Rows in COPY text: it escapes line breaks inside values, so each newline ends a row. */
export function countNewlines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return lines;
}
