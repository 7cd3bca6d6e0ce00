import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { SIGNATURE_HEADER, verifySignature } from "../signature.ts";
import type { EdgeBackupOutcome } from "./edge-backup.ts";

/** What the handler needs from outside. */
export type BackupDeps = {
  readonly hmacSecret: string;
  readonly now: () => Date;
  /** True the first time that a signature is seen. */
  readonly accept: (signature: string) => Promise<boolean>;
  /** One call's share of a backup. */
  readonly work: () => Promise<EdgeBackupOutcome>;
  /** `EdgeRuntime.waitUntil`: answer at once and work after. Without it the answer waits. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
};

/** The database sends some 70 bytes; nothing larger has business here. */
const MAX_BODY = 4096;
const call = z.object({ action: z.literal("backup"), nonce: z.uuid() });

/**
 * The function `backup`: a signed POST makes it begin a backup or go on with one. 202 when it works on.
 *
 * @example
 * export default { fetch: backupHandler(() => ({ hmacSecret, now, accept, work, waitUntil })) };
 */
export function backupHandler(prepare: () => BackupDeps): (request: Request) => Promise<Response> {
  let prepared: BackupDeps | undefined;
  return async (request) => {
    try {
      if (request.method !== "POST") {
        return refusal(405, "BH_METHOD", "only POST is allowed", { allow: "POST" });
      }
      const deps = prepared ??= prepare();
      const body = await bodyOf(request);
      if (body === undefined) {
        return refusal(413, "BH_TOO_LARGE", `the body is over ${MAX_BODY} bytes`);
      }
      const header = request.headers.get(SIGNATURE_HEADER);
      const { signature } = await verifySignature(deps.hmacSecret, header, body, {
        now: deps.now(),
      });
      if (!isCall(body)) {
        return refusal(400, "BH_BODY", 'the body is not {"action": "backup", "nonce": "<uuid>"}');
      }
      if (!await deps.accept(signature)) {
        return refusal(409, "BH_REPLAY", "this call was accepted before");
      }
      const work = deps.work().catch((error) => {
        // Under waitUntil nobody else hears of it; the run itself is recorded as failed.
        report(error);
        throw error;
      });
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
        ? refusal(503, error.code, "the database or the store does not answer")
        : refusal(500, "BH_INTERNAL", "the backup could not be made; the log says why");
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

function isCall(body: Uint8Array): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    return call.safeParse(JSON.parse(text)).success;
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
