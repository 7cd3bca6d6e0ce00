import { readSmall } from "../keys/signed-document.ts";
import { BulkheadError } from "../errors.ts";
import { type RetryVerdict, withRetry } from "../backup/retry.ts";

/** How a key-management service is reached; everything has a default. */
export interface KmsTransport {
  readonly fetch?: typeof fetch;
  /** Milliseconds for one try. */
  readonly timeout?: number;
  /** Tries in all. */
  readonly attempts?: number;
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly now?: () => Date;
}

/**
 * What a refusal means: `denied` the caller may not, `key` the key cannot (disabled, destroyed, missing), `mismatch`
 * the bytes were not wrapped by this key in this context, `later` it may pass.
 */
export type KmsVerdict = "denied" | "key" | "mismatch" | "later";

/** A service's refusal as its adapter reads it. `code` is the vendor's name for it. */
export type KmsRefusal = { readonly verdict: KmsVerdict; readonly code: string };

/** One request to a service. */
export interface KmsCall {
  /** The key as `BULKHEAD_KMS` names it, for errors. */
  readonly name: string;
  /** For errors: `wrap with`, `unwrap with`, `sign in for`. */
  readonly action: string;
  /** Made anew for every try: a signature has a date. */
  readonly request: () => Request | Promise<Request>;
  /** Reads a refusal; the body is null where it is no JSON. */
  readonly judge: (status: number, body: unknown, headers: Headers) => KmsRefusal;
}

const TIMEOUT = 10_000;
const ANSWER_BYTES = 64 << 10;

/** Kept inside this file: what happened to one try. */
class Refused extends Error {
  readonly verdict: KmsVerdict;
  readonly state: string;
  readonly retryAfter: number;
  constructor(of: { verdict: KmsVerdict; state: string; retryAfter?: number }) {
    super(of.state);
    this.verdict = of.verdict;
    this.state = of.state;
    this.retryAfter = of.retryAfter ?? 0;
  }
}

/**
 * Send a request until it is answered or refused for good; throttling, server errors, resets and timeouts are tried
 * again. Answers the JSON body, or null for a `mismatch`. Nothing of the request, nor a vendor's own words, is in an error.
 *
 * @example
 * const body = await callKms({ name, action: "unwrap with", request, judge }, transport);
 * @throws BulkheadError `BH_KMS_REFUSED`, `BH_KMS_KEY`, `BH_KMS_UNAVAILABLE`, `BH_KMS_ANSWER`.
 */
export async function callKms(call: KmsCall, transport: KmsTransport): Promise<unknown> {
  try {
    return await withRetry(() => once(call, transport), {
      judge: judgeRetry,
      attempts: transport.attempts ?? 5,
      ...(transport.sleep ? { sleep: transport.sleep } : {}),
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.verdict === "mismatch") return null;
    throw failure(call, error.verdict, error.state);
  }
}

async function once(call: KmsCall, transport: KmsTransport): Promise<unknown> {
  const { timeout = TIMEOUT, fetch: send = fetch, now = () => new Date() } = transport;
  const request = await call.request();
  let answer: Response, body: unknown;
  try {
    // Never follow a redirect: it would carry the token elsewhere.
    answer = await send(request, { redirect: "manual", signal: AbortSignal.timeout(timeout) });
    body = await json(answer);
  } catch (error) {
    if (error instanceof BulkheadError) throw kmsAnswer(call.name, "it is over 64 KB");
    throw new Refused({ verdict: "later", state: `no answer (${reason(error, timeout)})` });
  }
  if (answer.ok) {
    if (body === null) throw kmsAnswer(call.name, "it is no JSON");
    return body;
  }
  const { verdict, code } = call.judge(answer.status, body, answer.headers);
  throw new Refused({
    verdict: answer.status === 429 || answer.status >= 500 ? "later" : verdict,
    state: `${safeCode(code)}HTTP ${answer.status}`,
    retryAfter: retryAfter(answer.headers.get("retry-after"), now()),
  });
}

async function json(answer: Response): Promise<unknown> {
  const bytes = answer.body ? await readSmall(answer.body, ANSWER_BYTES) : new Uint8Array();
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

function reason(error: unknown, timeout: number): string {
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError" || name === "AbortError") return `none in ${timeout / 1000} s`;
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : "";
  return typeof code === "string" && code !== "" ? code : name || "unknown";
}

/** A vendor's code goes into messages and logs, so it must look like one. */
const safeCode = (code: string): string => /^[A-Za-z0-9_.-]{1,80}$/.test(code) ? `${code}, ` : "";

function retryAfter(header: string | null, now: Date): number {
  if (header === null) return 0;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isFinite(wait) && wait > 0 ? wait : 0;
}

function judgeRetry(error: unknown): RetryVerdict {
  if (!(error instanceof Refused)) return { isRetryable: false };
  return { isRetryable: error.verdict === "later", retryAfter: error.retryAfter };
}

/** An answer that is not as the vendor documents it: believed, it could cost every backup. */
export function kmsAnswer(name: string, state: string): BulkheadError {
  return new BulkheadError("BH_KMS_ANSWER", `Cannot use the answer of "${name}": ${state}`, {
    kind: "integrity",
    hint:
      "Check BULKHEAD_KMS and BULKHEAD_KMS_ENDPOINT: is this the key-management service itself?",
  });
}

function failure(
  { name, action }: KmsCall,
  verdict: Exclude<KmsVerdict, "mismatch">,
  state: string,
): BulkheadError {
  const message = `Cannot ${action} "${name}": ${state}`;
  if (verdict === "key") {
    return new BulkheadError("BH_KMS_KEY", message, {
      kind: "integrity",
      hint: "The key is disabled, destroyed, missing or no key for encryption: enable it again; " +
        "without it no backup can be read",
    });
  }
  if (verdict === "denied") {
    return new BulkheadError("BH_KMS_REFUSED", message, {
      kind: "refused",
      hint: "Check the service's credentials, and that they may encrypt and decrypt with this key",
    });
  }
  return new BulkheadError("BH_KMS_UNAVAILABLE", message, {
    kind: "unavailable",
    hint: "Run again; see whether the service is reachable from here and within its quotas",
  });
}
