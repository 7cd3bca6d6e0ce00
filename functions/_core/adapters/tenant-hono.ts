import type { MiddlewareHandler } from "hono";
import { openSession, type SessionOptions, type TenantSession } from "../service/open-session.ts";

/** What handlers find in their context: `c.get("session")`. */
export type TenantEnv = { Variables: { session: TenantSession } };

/**
 * Hono: `c.get("session")` is who asks, from the verified token and from nothing else. Without one the answer is given
 * here and no handler runs.
 *
 * @example
 * app.use(tenantSession({ verify: jwtVerifier({ jwksUrl }) }));
 * app.get("/messages", (c) => withTenant(sql, c.get("session"), (tx) => tx`select * from messages`));
 */
export function tenantSession(options: SessionOptions): MiddlewareHandler<TenantEnv> {
  return async (c, next) => {
    const opened = await openSession(options, c.req.header("authorization"));
    if (!opened.ok) return c.json(opened.body, opened.status);
    c.set("session", opened.session);
    await next();
  };
}
