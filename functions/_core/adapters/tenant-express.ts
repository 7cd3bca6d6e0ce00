import type { Request, RequestHandler, Response } from "express";
import { BulkheadError } from "../errors.ts";
import { openSession, type SessionOptions, type TenantSession } from "../service/open-session.ts";

/** Not res.locals: what any other middleware can overwrite is no boundary. */
const opened = new WeakMap<object, TenantSession>();

/**
 * Express: {@link sessionOf} is who asks, from the verified token and from nothing else. Without one the answer is sent
 * here and `next` is never called.
 *
 * @example
 * app.use(tenantSession({ verify: jwtVerifier({ jwksUrl }) }));
 * app.get("/messages", async (req, res) => void res.json(await inbox(sessionOf(req))));
 */
export function tenantSession(options: SessionOptions): RequestHandler {
  return async (req, res, next) => {
    const result = await openSession(options, req.headers.authorization);
    if (!result.ok) {
      res.status(result.status).json(result.body);
      return;
    }
    opened.set(req, result.session);
    opened.set(res, result.session);
    next();
  };
}

/**
 * Who asks.
 *
 * @example
 * const { tenantId, actor } = sessionOf(req);
 * @throws BulkheadError `BH_TOKEN`, kind `refused`, where {@link tenantSession} did not run.
 */
export function sessionOf(from: Request | Response): TenantSession {
  const session = opened.get(from);
  if (session !== undefined) return session;
  throw new BulkheadError("BH_TOKEN", "Cannot tell who asks: tenantSession() did not run", {
    kind: "refused",
    hint: "app.use(tenantSession(…)) before the route.",
  });
}
