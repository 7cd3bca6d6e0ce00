import type { ErrorRequestHandler } from "express";
import { sessionOf } from "../../../functions/_core/adapters/tenant-express.ts";
import type { SessionLogEntry } from "../../../functions/_core/service/open-session.ts";

/** The last middleware: an error is logged and answered; its transaction is rolled back by now. */
export function reportErrors(log: (entry: SessionLogEntry) => void): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    const { requestId } = sessionOf(req);
    const reason = error instanceof Error ? error.name : "unknown";
    log({ level: "error", code: "request_failed", requestId, reason });
    res.status(500).json({ code: "request_failed", message: "The request failed", requestId });
  };
}
