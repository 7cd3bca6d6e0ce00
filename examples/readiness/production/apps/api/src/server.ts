import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { secureHeaders } from "hono/secure-headers";
import { rateLimiter } from "hono-rate-limiter";
import pino from "pino";
import { z } from "zod";
import { callerOf } from "./caller.js";

const log = pino({ redact: ["email", "phone"] });
const app = new Hono();
app.use(secureHeaders());
app.use(bodyLimit({ maxSize: 1024 * 1024 }));
app.use(rateLimiter({
  windowMs: 60_000,
  limit: 300,
  keyGenerator: (c) => c.req.header("authorization") ?? "anonymous",
}));

app.get("/health/live", (c) => c.json({ status: "alive" }));

const page = z.object({ limit: z.coerce.number().int().min(1).max(100).default(50) });

app.get("/appointments", async (c) => {
  const { client } = await callerOf(c.req.header("authorization"));
  const { limit } = page.parse(c.req.query());
  const { data, error } = await client.from("appointments").select("id, starts_at").limit(limit);
  if (error) throw error;
  return c.json(data);
});

app.onError((error, c) => {
  log.error({ name: error.name }, "unexpected");
  return c.json({ message: "Something went wrong" }, 500);
});

const server = serve({ fetch: app.fetch, port: 8787 });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.close());
