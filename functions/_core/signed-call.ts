import * as z from "zod";
import { BulkheadError } from "./errors.ts";
import { SIGNATURE_HEADER, verifySignature } from "./signature.ts";

/** What a function that the database calls needs from outside. */
export type SignedCallDeps = {
  readonly hmacSecret: string;
  readonly now: () => Date;
  /** True the first time that a signature is seen: `bulkhead.accept_call`. */
  readonly accept: (signature: string) => Promise<boolean>;
  /** What an accepted call sets off; `action` is one of those that the function takes. */
  readonly work: (action: string) => Promise<unknown>;
  /** `EdgeRuntime.waitUntil`: answer at once and work after. Without it the answer waits. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
};

/** What a caller learns when the work can't be done; the cause is for the log. */
export type SignedCallFailures = { readonly away: string; readonly failed: string };

/** The database sends some 70 bytes; nothing larger has business here. */
const MAX_BODY = 4096;

/**
 * A function that `bulkhead.call_function` sets off: a signed POST of `{"action", "nonce"}`, accepted once. 202 when it
 * works on, 200 with the work's result when it waited, else a code: 400, 401, 405, 409, 413, 500 or 503.
 *
 * @example
 * export default { fetch: signedCall("deliver", failures, () => ({ hmacSecret, now, accept, work })) };
 */
export function signedCall(
  actions: string | readonly string[],
  failures: SignedCallFailures,
  prepare: () => SignedCallDeps,
): (request: Request) => Promise<Response> {
  // The action is signed too, so that a call of one function is none of another's.
  const call = z.object({ action: z.enum([actions].flat()), nonce: z.uuid() });
  let prepared: SignedCallDeps | undefined;
  return async (request) => {
    try {
      if (request.method !== "POST") {
        return refusal(405, "BH_METHOD", "only POST is allowed", { allow: "POST" });
      }
      // Inside the try: a missing variable is an answer of 500, not a function that does not start.
      const deps = prepared ??= prepare();
      const body = await bodyOf(request);
      if (body === undefined) {
        return refusal(413, "BH_TOO_LARGE", `the body is over ${MAX_BODY} bytes`);
      }
      const header = request.headers.get(SIGNATURE_HEADER);
      const { signature } = await verifySignature(deps.hmacSecret, header, body, {
        now: deps.now(),
      });
      const asked = call.safeParse(jsonOf(body)).data;
      if (asked === undefined) {
        return refusal(
          400,
          "BH_BODY",
          `the body is not {"action": "${[actions].flat().join(" | ")}", "nonce": "<uuid>"}`,
        );
      }
      if (!await deps.accept(signature)) {
        return refusal(409, "BH_REPLAY", "this call was accepted before");
      }
      if (!deps.waitUntil) return Response.json(await deps.work(asked.action));
      deps.waitUntil(
        deps.work(asked.action).catch((error) => {
          // Nobody else hears of it.
          report(error);
          throw error;
        }),
      );
      return Response.json({ accepted: true }, { status: 202 });
    } catch (error) {
      if (error instanceof BulkheadError && error.status === 401) {
        return refusal(401, error.code, error.message);
      }
      report(error);
      const isAway = error instanceof BulkheadError && error.kind === "unavailable";
      return isAway
        ? refusal(503, error.code, failures.away)
        : refusal(500, "BH_INTERNAL", failures.failed);
    }
  };
}

/** The exact bytes, since they are what was signed; undefined when there are too many. */
async function bodyOf(request: Request): Promise<Uint8Array | undefined> {
  const whole = new Uint8Array(MAX_BODY);
  let size = 0;
  for await (const chunk of request.body ?? []) {
    if (size + chunk.length > MAX_BODY) return undefined;
    whole.set(chunk, size);
    size += chunk.length;
  }
  return whole.slice(0, size);
}

/** Undefined for what is no JSON. */
function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

/** For the function's log: code and message, never a stack, a URL or a row. */
function report(error: unknown): void {
  const code = error instanceof BulkheadError ? error.code : "BH_UNEXPECTED";
  console.error(code, error instanceof Error ? error.message : "");
}

const refusal = (
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response => Response.json({ code, message }, { status, headers });
