import express from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import jwt from "jsonwebtoken";
import pino from "pino";
import { pool } from "./database.js";
import { settings } from "./settings.js";

const log = pino({ redact: ["req.headers.authorization", "*.password"] });
const app = express();
app.set("trust proxy", "172.16.0.0/12");
app.use(helmet());
app.use(express.json({ limit: "1mb" }));
app.use(rateLimit({ windowMs: 60_000, limit: 300 }));

app.get("/health", (_request, response) => response.json({ status: "alive" }));

app.post("/login", rateLimit({ windowMs: 60_000, limit: 10 }), async (request, response) => {
  const { rows: [user] } = await pool.query(
    "select id, organization_id from users where email = $1 and password = crypt($2, password)",
    [request.body.email, request.body.password],
  );
  if (!user) return response.status(401).json({ message: "the address or the password is wrong" });
  log.info({ userId: user.id }, "signed in");
  response.json({ token: jwt.sign({ sub: user.id, org: user.organization_id }, settings.JWT_SECRET, { expiresIn: "15m" }) });
});

app.get("/items", (request, response, next) => {
  const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  const { org } = jwt.verify(token, settings.JWT_SECRET, { algorithms: ["HS256"] });
  pool.query("select id, name from items where organization_id = $1", [org])
    .then(({ rows }) => response.json(rows), next);
});

app.use((error, _request, response, _next) => {
  log.error({ name: error.name }, "unexpected");
  response.status(500).json({ message: "Something went wrong" });
});

const server = app.listen(settings.PORT);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => server.close(() => pool.end()));
}
