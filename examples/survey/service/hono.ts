import type { ErrorHandler } from "hono";
import type { TenantEnv } from "../../../functions/_core/adapters/tenant-hono.ts";
import type { SessionLogEntry } from "../../../functions/_core/service/open-session.ts";

/** For `app.onError`: an error is logged and answered; its transaction is rolled back by now. */
export function reportErrors(log: (entry: SessionLogEntry) => void): ErrorHandler<TenantEnv> {
  return (error, c) => {
    const { requestId } = c.get("session");
    log({ level: "error", code: "request_failed", requestId, reason: error.name });
    return c.json({ code: "request_failed", message: "The request failed", requestId }, 500);
  };
}
