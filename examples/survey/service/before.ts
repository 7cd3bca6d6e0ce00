import { Hono } from "hono";
import type postgres from "postgres";
import type { Row } from "./interviews.ts";
import type { AppOptions } from "./apps.ts";

/**
 * What the platform ran before, kept to show what it does: the context is set for the connection, on whichever one the
 * pool hands out, and a failure is logged and forgotten. The next query may come by another connection, with another
 * organization's context, or with none.
 */
export function honoAppBefore({ pool, verify, log }: AppOptions): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    try {
      const session = await verify(c.req.header("authorization")?.replace(/^Bearer /, "") ?? "");
      // bulkhead-ignore session-context: this is the fault that the example shows
      await pool`select set_config('app.current_org_id', ${session.tenantId}, false)`;
    } catch {
      log({ level: "error", code: "org_context_failed", requestId: "", reason: "continuing" });
    }
    await next();
  });
  app.get("/sessions", async (c) => c.json(await all(pool)));
  return app;
}

async function all(pool: postgres.Sql): Promise<Row[]> {
  return [...await pool<Row[]>`select id, org_id from public.sessions`];
}
