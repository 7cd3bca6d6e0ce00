import type { Cases } from "../support/readiness-cases.ts";

const LIMITED = (address: string) =>
  `from fastapi import FastAPI, Request
from slowapi import Limiter
app = FastAPI()

def client_address(request: Request) -> str:
${address}

limiter = Limiter(key_func=client_address)
`;

export const cases: Cases = {
  rule: "APP-02",
  cases: {
    "a limiter counts by what the client wrote": {
      files: {
        "app/limits.py": LIMITED(
          '    forwarded = request.headers.get("X-Forwarded-For")\n    return forwarded.split(",")[0] if forwarded else request.client.host',
        ),
      },
      status: "fail",
      severity: "p0",
      at: ["app/limits.py:6"],
    },
    "the peer is checked first": {
      files: {
        "app/limits.py": LIMITED(
          '    if request.client.host not in settings.TRUSTED_PROXIES:\n        return request.client.host\n    return request.headers.get("X-Forwarded-For").split(",")[-1]',
        ),
      },
      status: "pass",
    },
    "read only where a switch that is off is set": {
      files: {
        "app/config.py": "class Settings(BaseSettings):\n    TRUST_PROXY: bool = False\n",
        "app/limits.py": LIMITED(
          '    if settings.TRUST_PROXY:\n        return request.headers["X-Real-IP"]\n    return request.client.host',
        ),
      },
      status: "pass",
    },
    "the check of the proxy is off by default": {
      files: {
        "app/config.py": 'class Settings(BaseSettings):\n    PROXY_SECRET: str = ""\n',
        "app/limits.py": LIMITED(
          '    if settings.PROXY_SECRET:\n        verify(request)\n    return request.headers["X-Real-IP"]',
        ),
      },
      status: "fail",
      says: /off by default/,
    },
    "a middleware lets the proxy in alone": {
      files: {
        "app/main.py": `from fastapi import FastAPI
from app.edge import ProxySecretMiddleware
app = FastAPI()
app.add_middleware(ProxySecretMiddleware)
`,
        "app/edge.py": `class ProxySecretMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        if not hmac.compare_digest(request.headers.get("x-proxy-secret", ""), settings.key):
            return Response(status_code=403)
        return await call_next(request)
`,
        "app/limits.py": LIMITED('    return request.headers["X-Real-IP"]'),
      },
      status: "pass",
    },
    "a name that a header gives": {
      files: {
        "app/auth.py":
          'def current_user(request):\n    return request.headers.get("Remote-User")\n',
      },
      status: "fail",
      severity: "p0",
    },
    "the connection first, the header where there is none": {
      files: {
        "app/limits.py": LIMITED(
          '    if request.client:\n        return request.client.host\n    return request.headers.get("X-Forwarded-For")',
        ),
        "src/limits.ts":
          'export const limitKey = (req) => req.ip ?? req.headers["x-forwarded-for"];\n',
      },
      status: "pass",
    },
    "an audit of a signed-in user is no decision": {
      files: {
        "src/audit.ts": `export async function record(req) {
  const session = await auth();
  await audit.insert({ user: session.id, ip: req.headers["x-forwarded-for"] });
}
`,
      },
      status: "warn",
      severity: "p2",
    },
    "a header as a parameter": {
      files: {
        "app/auth.py":
          'async def login(x_forwarded_for: str = Header(default="")):\n    attempts[x_forwarded_for] += 1\n',
      },
      status: "fail",
      at: ["app/auth.py:1"],
    },
    "Django's META": {
      files: {
        "shop/middleware.py":
          'def allow_office(request):\n    ip = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")[0]\n',
      },
      status: "fail",
      severity: "p0",
    },
    "a line in a journal of visits": {
      files: {
        "src/visits.ts":
          'export function record(req) {\n  const ip = req.headers["x-forwarded-for"];\n  visits.push(ip);\n}\n',
      },
      status: "warn",
      severity: "p2",
    },
    "Express's limiter with its own key": {
      files: {
        "src/limits.ts": `import rateLimit from "express-rate-limit";
export const limiter = rateLimit({ keyGenerator: (req) => req.headers["x-forwarded-for"] ?? req.ip });
`,
      },
      status: "fail",
      severity: "p0",
      at: ["src/limits.ts:2"],
    },
    "Express believes every proxy": {
      files: {
        "src/app.ts":
          'import express from "express";\nconst app = express();\napp.set("trust proxy", true);\n',
      },
      status: "fail",
      severity: "p1",
      at: ["src/app.ts:3"],
    },
    "Express counts its proxies": {
      files: {
        "src/app.ts":
          'import express from "express";\nconst app = express();\napp.set("trust proxy", 1);\n',
      },
      status: "pass",
    },
    "Fastify believes every proxy": {
      files: {
        "src/app.ts":
          'import Fastify from "fastify";\nconst app = Fastify({ trustProxy: true });\n',
      },
      status: "fail",
      severity: "p1",
    },
    "uvicorn believes every peer": {
      files: {
        "app/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        Dockerfile:
          'FROM python:3.12\nCMD ["uvicorn", "app.main:app", "--proxy-headers", "--forwarded-allow-ips", "*"]\n',
      },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:2"],
    },
    "slowapi's own reader of headers": {
      files: {
        "app/limits.py":
          "from slowapi import Limiter\nfrom slowapi.util import get_ipaddr\nlimiter = Limiter(key_func=get_ipaddr)\n",
      },
      status: "fail",
      severity: "p0",
    },
    "the connection's address": {
      files: {
        "app/limits.py":
          "from slowapi import Limiter\nfrom slowapi.util import get_remote_address\nlimiter = Limiter(key_func=get_remote_address)\n",
      },
      status: "pass",
    },
    "headers that are sent, listed and deleted": {
      files: {
        "src/proxy.ts": `export const ALLOWED = ["x-forwarded-for", "x-real-ip"];
export async function pass(request) {
  const headers = new Headers();
  headers.set("x-forwarded-for", address);
  headers.delete("x-real-ip");
  return fetch(url, { headers: { "X-Forwarded-For": address } });
}
`,
      },
      status: "not-applicable",
    },
    "a Worker reads what its platform writes": {
      files: {
        "wrangler.toml": 'name = "api"\n',
        "src/limit.ts":
          'export function limitKey(request) {\n  return request.headers.get("cf-connecting-ip");\n}\n',
      },
      status: "pass",
    },
    "a Next action on a hosting platform": {
      files: {
        "vercel.json": "{}\n",
        "web/lib/limit.ts":
          'import { headers } from "next/headers";\nexport async function limit() {\n  const ip = (await headers()).get("x-forwarded-for");\n  return ratelimit.limit(ip);\n}\n',
      },
      status: "warn",
      severity: "p2",
    },
    "nothing asks": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
