import express, { type Request } from "express";
import { type Context, Hono } from "hono";
import type postgres from "postgres";
import {
  sessionOf,
  tenantSession as expressSession,
} from "../../../functions/_core/adapters/tenant-express.ts";
import {
  type TenantEnv,
  tenantSession as honoSession,
} from "../../../functions/_core/adapters/tenant-hono.ts";
import type { SessionOptions } from "../../../functions/_core/service/open-session.ts";
import { reportErrors as expressErrors } from "./express.ts";
import { reportErrors as honoErrors } from "./hono.ts";
import { interviews } from "./interviews.ts";
import { orgDatabase } from "./org-database.ts";

/** What an application of either kind is made of. */
export type AppOptions = {
  /** Ten connections or a thousand: the context ends with each transaction. */
  pool: postgres.Sql;
  /** Bulkhead's `jwtVerifier`, told in which claim the organization stands. */
  verify: SessionOptions["verify"];
  log: NonNullable<SessionOptions["log"]>;
};

/** The platform's routes under Express. */
export function expressApp({ pool, verify, log }: AppOptions): express.Express {
  const app = express();
  const database = (req: Request) => orgDatabase(pool, sessionOf(req));
  app.use(expressSession({ verify, log, tenantKind: "bigint" }));
  app.use(express.json());
  app.get("/sessions", async (req, res) => {
    res.json(await interviews.sessions(database(req)));
  });
  app.get("/sessions/:id", async (req, res) => {
    res.json(await interviews.transcript(database(req), req.params.id));
  });
  app.post("/sessions/:id", async (req, res) => {
    res.json(await interviews.say(database(req), req.params.id, String(req.body?.content)));
  });
  app.post("/sessions/:id/fail", async (req, res) => {
    res.json(await interviews.fail(database(req), req.params.id));
  });
  app.use(expressErrors(log));
  return app;
}

/** The same under Hono. */
export function honoApp({ pool, verify, log }: AppOptions): Hono<TenantEnv> {
  const app = new Hono<TenantEnv>();
  const database = (c: Context<TenantEnv>) => orgDatabase(pool, c.get("session"));
  app.use(honoSession({ verify, log, tenantKind: "bigint" }));
  app.get("/sessions", async (c) => c.json(await interviews.sessions(database(c))));
  app.get(
    "/sessions/:id",
    async (c) => c.json(await interviews.transcript(database(c), c.req.param("id"))),
  );
  app.post("/sessions/:id", async (c) => {
    const { content } = await c.req.json<{ content: unknown }>();
    return c.json(await interviews.say(database(c), c.req.param("id"), String(content)));
  });
  app.post(
    "/sessions/:id/fail",
    async (c) => c.json(await interviews.fail(database(c), c.req.param("id"))),
  );
  app.onError(honoErrors(log));
  return app;
}
