import type { Cases } from "../support/readiness-cases.ts";

const APP = "from fastapi import Depends, FastAPI\napp = FastAPI()\n";

export const cases: Cases = {
  rule: "OBS-05",
  cases: {
    "no route tells anything": {
      files: { "app/main.py": `${APP}@app.get("/orders")\ndef orders(): ...\n` },
      status: "fail",
      severity: "p1",
      at: ["app/main.py"],
    },
    "both, apart": {
      files: {
        "app/main.py": `${APP}@app.get("/health/live")
def live():
    return {"status": "ok"}

@app.get("/health/ready")
async def ready(session = Depends(get_session)):
    await session.execute(text("SELECT 1"))
`,
      },
      status: "pass",
    },
    "readiness that returns a constant": {
      files: {
        "app/main.py": `${APP}@app.get("/live")
def live():
    return "ok"

@app.get("/readiness")
def readiness():
    return {"ready": True}
`,
      },
      status: "fail",
      at: ["app/main.py:7"],
    },
    "one route that asks nothing": {
      files: { "app/main.py": `${APP}@app.get("/health")\ndef health():\n    return "ok"\n` },
      status: "warn",
      at: ["app/main.py:3"],
    },
    "one route that asks the database through a function": {
      files: {
        "src/app.ts": `import express from "express";
import { checkDatabase } from "./db.ts";
const app = express();
app.get("/healthz", async (req, res) => res.json(await checkDatabase()));
`,
        "src/db.ts": "export async function checkDatabase() { return pool.query('SELECT 1'); }\n",
      },
      status: "warn",
      severity: "p2",
    },
    "Fastify with both": {
      files: {
        "src/app.ts": `import Fastify from "fastify";
const app = Fastify();
app.get("/livez", async () => ({ ok: true }));
app.get("/readyz", async () => { await prisma.$queryRaw\`SELECT 1\`; return { ok: true }; });
`,
      },
      status: "pass",
    },
    "a Next route that answers from the process alone": {
      files: {
        "web/app/api/health/route.ts":
          "export function GET() { return Response.json({ ok: true }); }\n",
      },
      status: "warn",
    },
    "Next's own routes on a platform are started for each request": {
      files: { "app/api/items/route.ts": "export function GET() { return Response.json([]); }\n" },
      status: "not-applicable",
    },
    "Next's own routes in a container are kept running": {
      files: {
        "app/api/items/route.ts": "export function GET() { return Response.json([]); }\n",
        Dockerfile: 'FROM node:22\nCMD ["node", "server.js"]\n',
      },
      status: "fail",
    },
    "Nest's terminus": {
      files: {
        "src/health.controller.ts": `import { Controller, Get } from "@nestjs/common";
import { HealthCheckService, TypeOrmHealthIndicator } from "@nestjs/terminus";
@Controller("health")
export class HealthController {
  @Get("live")
  live() { return "ok"; }
  @Get("ready")
  ready() { return this.health.check([() => this.db.pingCheck("database")]); }
}
`,
      },
      status: "pass",
    },
    "no back end": { files: { "README.md": "x\n" }, status: "not-applicable" },
  },
};
