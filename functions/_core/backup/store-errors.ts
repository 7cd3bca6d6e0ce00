import { BulkheadError } from "../errors.ts";
import { chunksOf } from "./chunks.ts";
import { OBJECT_KEY } from "./object-store.ts";

/** The errors that every object store speaks, so that callers can tell them apart by code. */
export const storeError = {
  missing: (what: string, store: string) =>
    new BulkheadError("BH_STORE_MISSING", `Cannot read "${what}" in ${store}: it does not exist`, {
      kind: "red",
      hint: "List the store; check BULKHEAD_STORE and the version",
    }),
  exists: (what: string, store: string) =>
    new BulkheadError("BH_STORE_EXISTS", `Cannot write "${what}" in ${store}: it exists already`, {
      kind: "red",
      hint: "Another writer was first; read what it wrote",
    }),
  locked: (what: string, store: string, cause?: unknown) =>
    new BulkheadError("BH_STORE_LOCKED", `Cannot delete "${what}" in ${store}: it is locked`, {
      kind: "refused",
      hint: "Run again when the lock has ended",
      cause,
    }),
  refused: (action: string, what: string, store: string, state: string, more: More = {}) =>
    new BulkheadError("BH_STORE_REFUSED", `Cannot ${action} "${what}" in ${store}: ${state}`, {
      kind: "refused",
      hint: "Check the credentials and what they may do on this prefix",
      ...more,
    }),
  unavailable: (action: string, what: string, store: string, state: string, more: More = {}) =>
    new BulkheadError("BH_STORE_UNAVAILABLE", `Cannot ${action} "${what}" in ${store}: ${state}`, {
      kind: "unavailable",
      hint:
        "Check BULKHEAD_STORE and BULKHEAD_S3_ENDPOINT, and that the store is reachable and has room; then run again",
      ...more,
    }),
} as const;

/** A hint that fits the kind of store, and the cause. */
type More = { readonly hint?: string; readonly cause?: unknown };

/** Whoever lists the versions of one object reads it: `keyring.json` is no folder of anything. */
export function listing(prefix: string): "list" | "read" {
  return prefix === "" || prefix.endsWith("/") ? "list" : "read";
}

/** Refuses keys that could leave the store's folder or that S3 and folders would treat differently. */
export function checkKey(key: string): string {
  if (OBJECT_KEY.test(key)) return key;
  throw new BulkheadError("BH_STORE_KEY", `Cannot use "${key}" as a key: it is malformed`, {
    kind: "usage",
    hint: "Letters, digits and . _ ~ % = + - in segments joined by /; no segment starts with a dot",
  });
}

/** Carries an error of the body through a store, so that it is not taken for one of the store. */
export class BodyFailure extends Error {}

/**
 * Run a write of `body`. An error of the body itself comes out as it was; a body that a failed write
 * leaves unread is cancelled, so that whoever feeds it learns of it.
 */
export async function withBody<T>(
  body: ReadableStream<Uint8Array> | Uint8Array,
  write: (body: ReadableStream<Uint8Array> | Uint8Array) => Promise<T>,
): Promise<T> {
  if (body instanceof Uint8Array) return await write(body);
  const chunks = chunksOf(body);
  const marked = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await chunks.next().catch((cause) => {
        throw new BodyFailure("the body failed", { cause });
      });
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    // An unstarted generator has no `finally` to run.
    cancel: async (reason) => {
      await chunks.return();
      if (!body.locked) await body.cancel(reason).catch(() => {});
    },
  }, { highWaterMark: 0 });
  try {
    return await write(marked);
  } catch (error) {
    if (!marked.locked) await marked.cancel(error).catch(() => {});
    throw error instanceof BodyFailure ? error.cause : error;
  }
}
