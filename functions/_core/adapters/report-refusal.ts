import { BulkheadError, messageOf } from "../errors.ts";

/** A request that the database may have refused, as it left. */
export type SentRequest = {
  readonly url: string;
  readonly method: string;
  /** With the key and the context: the report carries the same. */
  readonly headers: Headers;
};

const OPERATIONS: Readonly<Record<string, string>> = {
  POST: "insert",
  PATCH: "update",
  DELETE: "delete",
};
/** The refusal waits for its report, so the report may not hang. */
const TIMEOUT = 5_000;

/**
 * Put a write that the guard or a policy refused into the ledger, by a request of its own: what the transaction itself
 * noted was rolled back with it. Anything but a refused write is left alone.
 *
 * @example
 * const response = await send(url, init);
 * await reportRefusal(send, { base, request: { url, method, headers }, response });
 * @throws BulkheadError `BH_UNREPORTED`, kind `unavailable`, where the database did not take the report.
 */
export async function reportRefusal(
  send: typeof fetch,
  of: { readonly base: string; readonly request: SentRequest; readonly response: Response },
): Promise<void> {
  const { base, request, response } = of;
  const operation = OPERATIONS[request.method];
  const path = new URL(request.url).pathname.slice(
    new URL(base).pathname.replace(/\/$/, "").length,
  );
  const [, rpc, name] = /^\/rest\/v1\/(rpc\/)?([^/]+)$/.exec(path) ?? [];
  if (response.status < 400 || !operation || !name) return;
  const { code, message } = await refusalOf(response);
  if (code !== "42501") return;
  const headers = new Headers(request.headers);
  for (const header of ["prefer", "accept", "accept-profile"]) headers.delete(header);
  headers.set("content-type", "application/json");
  headers.set("content-profile", "bulkhead_api");
  const report = { table_name: name, operation: rpc ? "call" : operation, reason: message };
  try {
    const answer = await send(`${base}/rest/v1/rpc/record_refused_write`, {
      method: "POST",
      headers,
      body: JSON.stringify(report),
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (!answer.ok) throw new Error((await refusalOf(answer)).message || `status ${answer.status}`);
  } catch (cause) {
    const state = messageOf(cause);
    throw new BulkheadError("BH_UNREPORTED", `Cannot report a refused write: ${state}`, {
      kind: "unavailable",
      hint: "Expose the schema bulkhead_api; the write itself was refused all the same",
      cause,
    });
  }
}

async function refusalOf(response: Response): Promise<{ code: string; message: string }> {
  const body: unknown = await response.clone().json().catch(() => null);
  const { code, message } = Object(body) as Record<string, unknown>;
  return { code: String(code ?? ""), message: String(message ?? "") };
}
