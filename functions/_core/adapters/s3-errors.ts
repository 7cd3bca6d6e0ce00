import { BodyFailure, storeError } from "../backup/store-errors.ts";
import { BulkheadError } from "../errors.ts";
import type { RetryVerdict } from "../backup/retry.ts";

/** What an S3 error says, without the request or the credentials that it carries. */
export interface S3Failure {
  readonly name: string;
  /** Null where no answer came. */
  readonly status: number | null;
  /** Milliseconds. */
  readonly retryAfter: number | null;
}

export function readFailure(error: unknown, now: () => number = Date.now): S3Failure {
  const record = asRecord(error);
  const status = asRecord(record.$metadata).httpStatusCode;
  const headers = asRecord(asRecord(record.$response).headers);
  const code = typeof record.code === "string" ? record.code : undefined;
  const name = typeof record.name === "string" && record.name !== "Error" ? record.name : code;
  return {
    name: name ?? "an unknown error",
    status: typeof status === "number" ? status : null,
    retryAfter: parseRetryAfter(headers["retry-after"], now()),
  };
}

/** Seconds or an HTTP date. */
function parseRetryAfter(header: unknown, now: number): number | null {
  if (typeof header !== "string" || header === "") return null;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(wait) && wait > 0 ? wait : null;
}

const TRANSIENT = new Set(["SlowDown", "RequestTimeout", "TimeoutError", "InternalError"]);

/** No answer at all, 429, or a server error other than "not implemented" may pass. */
export function judgeS3Error(error: unknown): RetryVerdict {
  if (error instanceof BulkheadError || error instanceof BodyFailure) return { isRetryable: false };
  const { name, status, retryAfter } = readFailure(error);
  const isRetryable = TRANSIENT.has(name) || status === null || status === 429 ||
    (status >= 500 && status !== 501);
  return retryAfter === null ? { isRetryable } : { isRetryable, retryAfter };
}

export function mapS3Error(
  error: unknown,
  of: { action: string; what: string; store: string },
): Error {
  if (error instanceof BulkheadError || error instanceof BodyFailure) return error;
  const { action, what, store } = of;
  const { name, status } = readFailure(error);
  const state = status === null ? `no answer (${name})` : `${name}, HTTP ${status}`;
  if (["NoSuchKey", "NoSuchVersion", "NotFound"].includes(name)) {
    return storeError.missing(what, store);
  }
  if (name === "NoSuchBucket") return storeError.unavailable(action, what, store, state);
  if (name === "PreconditionFailed" || status === 412) return storeError.exists(what, store);
  const isOurs = status !== null && status >= 400 && status < 500 && status !== 429;
  return isOurs
    ? storeError.refused(action, what, store, state)
    : storeError.unavailable(action, what, store, state);
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
