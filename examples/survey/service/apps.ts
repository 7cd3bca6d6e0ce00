import express from "express";
import { Hono } from "hono";
import type postgres from "postgres";
import {
  databaseOf,
  orgContext as expressContext,
  reportErrors as expressErrors,
} from "./express.ts";
import { orgContext as honoContext, type OrgEnv, reportErrors as honoErrors } from "./hono.ts";
import { interviews } from "./interviews.ts";
import type { LogEntry, Session } from "./org-context.ts";

/** What an application of either kind is made of. `verify` turns a bearer token into a session, or null. */
export type AppOptions = {
  pool: postgres.Sql;
  verify: (token: string | undefined) => Session | null;
  log: (entry: LogEntry) => void;
};

const bearer = (header: string | undefined) => header?.replace(/^Bearer /, "");

/** The platform's routes under Express. */
export function expressApp({ pool, verify, log }: AppOptions): express.Express {
  const app = express();
  app.use(
    expressContext({ pool, log, session: (req) => verify(bearer(req.headers.authorization)) }),
  );
  app.use(express.json());
  app.get("/sessions", async (_req, res) => {
    res.json(await interviews.sessions(databaseOf(res)));
  });
  app.get("/sessions/:id", async (req, res) => {
    res.json(await interviews.transcript(databaseOf(res), req.params.id));
  });
  app.post("/sessions/:id", async (req, res) => {
    res.json(await interviews.say(databaseOf(res), req.params.id, String(req.body?.content)));
  });
  app.post("/sessions/:id/fail", async (req, res) => {
    res.json(await interviews.fail(databaseOf(res), req.params.id));
  });
  app.use(expressErrors(log));
  return app;
}

/** The same under Hono. */
export function honoApp({ pool, verify, log }: AppOptions): Hono<OrgEnv> {
  const app = new Hono<OrgEnv>();
  app.use(
    honoContext({ pool, log, session: (c) => verify(bearer(c.req.header("authorization"))) }),
  );
  app.get("/sessions", async (c) => c.json(await interviews.sessions(c.get("database"))));
  app.get(
    "/sessions/:id",
    async (c) => c.json(await interviews.transcript(c.get("database"), c.req.param("id"))),
  );
  app.post("/sessions/:id", async (c) => {
    const { content } = await c.req.json<{ content: unknown }>();
    return c.json(await interviews.say(c.get("database"), c.req.param("id"), String(content)));
  });
  app.post(
    "/sessions/:id/fail",
    async (c) => c.json(await interviews.fail(c.get("database"), c.req.param("id"))),
  );
  app.onError(honoErrors(log));
  return app;
}
