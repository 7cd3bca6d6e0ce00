import { signedCall, type SignedCallDeps } from "../signed-call.ts";

/**
 * The function `backup`: a signed POST makes it begin a backup or go on with one
 * (`resume`: only go on). 202 when it works on.
 *
 * @example
 * export default { fetch: backupHandler(() => ({ hmacSecret, now, accept, work, waitUntil })) };
 */
export const backupHandler = (prepare: () => SignedCallDeps) =>
  signedCall(["backup", "resume"], {
    away: "the database or the store does not answer",
    failed: "the backup could not be made; the log says why",
  }, prepare);
