import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";
import {
  type ContextOptions,
  type LogEntry,
  openContext,
  OrgContextError,
  type OrgDatabase,
} from "./org-context.ts";

/** Not res.locals: what any other middleware can overwrite is no boundary. */
const opened = new WeakMap<Response, { database: OrgDatabase; requestId: string }>();

/**
 * Express: {@link databaseOf} is the request's organization and nothing else. Without a valid session the answer is sent
 * here and `next` is never called.
 *
 * @example
 * app.use(orgContext({ pool, session: verifyCookie, log }));
 */
export function orgContext(options: ContextOptions<Request>): RequestHandler {
  return async (req, res, next) => {
    const context = await openContext(options, req);
    if (!context.ok) {
      res.status(context.status).json(context.body);
      return;
    }
    opened.set(res, context);
    next();
  };
}

/**
 * The database of the request's organization; throws where {@link orgContext} did not run.
 *
 * @example
 * app.get("/sessions", async (_req, res) => void res.json(await interviews.sessions(databaseOf(res))));
 */
export function databaseOf(res: Response): OrgDatabase {
  const context = opened.get(res);
  if (!context) throw new OrgContextError("Cannot open a database: orgContext() did not run");
  return context.database;
}

/** The last middleware: an error is logged and answered; its transaction is rolled back by now. */
export function reportErrors(log: (entry: LogEntry) => void): ErrorRequestHandler {
  return (error: unknown, _req, res, _next) => {
    const requestId = opened.get(res)?.requestId ?? "";
    const reason = error instanceof Error ? error.name : "unknown";
    log({ level: "error", event: "request_failed", requestId, reason });
    res.status(500).json({ code: "request_failed", message: "The request failed", requestId });
  };
}
