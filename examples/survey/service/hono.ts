import type { Context, ErrorHandler, MiddlewareHandler } from "hono";
import {
  type ContextOptions,
  type LogEntry,
  openContext,
  type OrgDatabase,
} from "./org-context.ts";

/** What handlers find in their context: `c.get("database")`. */
export type OrgEnv = { Variables: { database: OrgDatabase; requestId: string } };

/**
 * Hono: `c.get("database")` is the request's organization and nothing else. Without a valid session the answer is given
 * here and `next` is never called.
 *
 * @example
 * app.use(orgContext({ pool, session: verifyCookie, log }));
 */
export function orgContext(options: ContextOptions<Context<OrgEnv>>): MiddlewareHandler<OrgEnv> {
  return async (c, next) => {
    const opened = await openContext(options, c);
    if (!opened.ok) return c.json(opened.body, opened.status);
    c.set("database", opened.database);
    c.set("requestId", opened.requestId);
    await next();
  };
}

/** For `app.onError`: an error is logged and answered; its transaction is rolled back by now. */
export function reportErrors(log: (entry: LogEntry) => void): ErrorHandler<OrgEnv> {
  return (error, c) => {
    const requestId = c.get("requestId") ?? "";
    log({ level: "error", event: "request_failed", requestId, reason: error.name });
    return c.json({ code: "request_failed", message: "The request failed", requestId }, 500);
  };
}
