import type { Cases } from "../support/readiness-cases.ts";

const FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n";

export const cases: Cases = {
  rule: "APP-09",
  cases: {
    "none": {
      files: { "app/main.py": FASTAPI },
      status: "fail",
      severity: "p2",
      at: ["app/main.py"],
    },
    "a middleware that sets them": {
      files: {
        "app/main.py": `${FASTAPI}
@app.middleware("http")
async def headers(request, call_next):
    response = await call_next(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
`,
      },
      status: "pass",
    },
    "a middleware class that nobody adds": {
      files: {
        "app/main.py": FASTAPI,
        "app/headers.py": `class SecurityHeaders:
    async def dispatch(self, request, call_next):
        response.headers["X-Content-Type-Options"] = "nosniff"
`,
      },
      status: "fail",
    },
    "the same class, added": {
      files: {
        "app/main.py":
          `from app.headers import SecurityHeaders\n${FASTAPI}app.add_middleware(SecurityHeaders)\n`,
        "app/headers.py": `class SecurityHeaders:
    async def dispatch(self, request, call_next):
        response.headers["X-Content-Type-Options"] = "nosniff"
`,
      },
      status: "pass",
    },
    "helmet": {
      files: {
        "src/app.ts":
          'import express from "express";\nimport helmet from "helmet";\nconst app = express();\napp.use(helmet());\n',
      },
      status: "pass",
    },
    "helmet, imported and not used": {
      files: {
        "src/app.ts":
          'import express from "express";\nimport helmet from "helmet";\nconst app = express();\n',
      },
      status: "fail",
      at: ["src/app.ts"],
    },
    "Fastify's helmet": {
      files: {
        "src/app.ts":
          'import Fastify from "fastify";\nimport helmet from "@fastify/helmet";\nconst app = Fastify();\nawait app.register(helmet);\n',
      },
      status: "pass",
    },
    "Django's middleware without HSTS": {
      files: {
        "shop/settings.py":
          'import django\nMIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]\n',
      },
      status: "warn",
    },
    "the proxy": {
      files: {
        "app/main.py": FASTAPI,
        "nginx.conf": 'add_header X-Content-Type-Options "nosniff" always;\n',
      },
      status: "pass",
    },
    "a CDN may": {
      files: { "app/main.py": FASTAPI, "wrangler.toml": 'name = "edge"\n' },
      status: "unknown",
    },
    "a web alone is another rule's matter": {
      files: { "web/app/api/x/route.ts": "export function GET() { return Response.json(1); }\n" },
      status: "not-applicable",
    },
  },
};
