import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { SIGNATURE_HEADER, verifySignature } from "../signature.ts";
import { deliverAlerts, type DeliverOptions, type Delivery } from "./deliver.ts";
import { postToSlack } from "./slack.ts";

/** What the handler needs from outside. */
export type AlertDeps = Omit<DeliverOptions, "post"> & {
  hmacSecret: string;
  webhookUrl: string;
  fetch: typeof fetch;
  /** `EdgeRuntime.waitUntil`: answer at once and deliver after. Without it the answer waits. */
  waitUntil?: ((work: Promise<unknown>) => void) | undefined;
};

/** The database sends some 70 bytes; nothing larger has business here. */
const MAX_BODY = 4096;

/**
 * The function `alert`: a signed POST makes it deliver what is due. 202 when it works on, 200 with counts when it waited.
 *
 * @example
 * export default { fetch: alertHandler(() => ({ outbox, hmacSecret, webhookUrl, fetch, … })) };
 */
export function alertHandler(prepare: () => AlertDeps): (request: Request) => Promise<Response> {
  let prepared: AlertDeps | undefined;
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
      const { signature } = await verifySignature(
        deps.hmacSecret,
        request.headers.get(SIGNATURE_HEADER),
        body,
        { now: deps.now() },
      );
      if (!isCall(body)) {
        return refusal(400, "BH_BODY", 'the body is not {"action": "deliver", "nonce": "…"}');
      }
      if (!await deps.outbox.accept(signature)) {
        return refusal(409, "BH_REPLAY", "this call was accepted before");
      }
      const work = deliver(deps);
      if (!deps.waitUntil) return Response.json(await work);
      deps.waitUntil(work);
      return Response.json({ accepted: true }, { status: 202 });
    } catch (error) {
      if (error instanceof BulkheadError && error.status === 401) {
        return refusal(401, error.code, error.message);
      }
      report(error);
      const isAway = error instanceof BulkheadError && error.kind === "unavailable";
      return isAway
        ? refusal(503, error.code, "the database does not answer")
        : refusal(500, "BH_INTERNAL", "the alerts could not be delivered");
    }
  };
}

async function deliver(deps: AlertDeps): Promise<Delivery> {
  try {
    return await deliverAlerts({
      ...deps,
      post: (message) => postToSlack(deps.webhookUrl, message, { fetch: deps.fetch }),
    });
  } catch (error) {
    // Under waitUntil nobody else hears of it; the lease ends and the message is due again.
    report(error);
    throw error;
  }
}

/** The exact bytes, since they are what was signed; undefined when there are too many. */
async function bodyOf(request: Request): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** What `bulkhead.dispatch_alerts` sends: the action is signed too, so no other function's call is one for this. */
const call = z.object({ action: z.literal("deliver"), nonce: z.uuid() });

function isCall(body: Uint8Array): boolean {
  try {
    return call.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)))
      .success;
  } catch {
    return false;
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
