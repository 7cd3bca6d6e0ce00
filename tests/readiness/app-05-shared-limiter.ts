import type { Cases } from "../support/readiness-cases.ts";

const SLOWAPI = (options: string) => ({
  "app/main.py": `from fastapi import FastAPI
from slowapi import Limiter
app = FastAPI()
limiter = Limiter(key_func=address${options})
`,
});
const EXPRESS = (options: string) => ({
  "src/app.ts": `import express from "express";
import rateLimit from "express-rate-limit";
import { RedisStore } from "rate-limit-redis";
const app = express();
app.use(rateLimit({ limit: 100${options} }));
`,
});

export const cases: Cases = {
  rule: "APP-05",
  cases: {
    "counts in memory behind four workers": {
      files: {
        ...SLOWAPI(""),
        Dockerfile: 'FROM python:3.12\nCMD ["uvicorn", "app.main:app", "--workers", "4"]\n',
      },
      status: "fail",
      severity: "p1",
      at: ["app/main.py:4"],
    },
    "counts in memory in one process, as far as anybody can tell": {
      files: SLOWAPI(""),
      status: "warn",
      severity: "p2",
    },
    "Redis is shared": {
      files: SLOWAPI(', storage_uri="redis://cache:6379"'),
      status: "pass",
    },
    "a setting whose name says Redis": {
      files: SLOWAPI(", storage_uri=settings.REDIS_URL"),
      status: "pass",
    },
    "a setting that says nothing": {
      files: SLOWAPI(", storage_uri=settings.limits_uri"),
      status: "unknown",
    },
    "memory by name": { files: SLOWAPI(', storage_uri="memory://"'), status: "warn" },
    "express-rate-limit without a store and three replicas": {
      files: {
        ...EXPRESS(""),
        "docker-compose.yml": "services:\n  api:\n    build: .\n    deploy:\n      replicas: 3\n",
      },
      status: "fail",
      at: ["src/app.ts:5"],
    },
    "express-rate-limit with a store": {
      files: EXPRESS(", store: new RedisStore({ sendCommand })"),
      status: "pass",
    },
    "a serverless function forgets what it counted": {
      files: { ...EXPRESS(""), "vercel.json": "{}\n" },
      status: "fail",
    },
    "its own middleware with a dictionary": {
      files: {
        "app/limits.py": `class RateLimitMiddleware:
    def __init__(self, app):
        self.hits = defaultdict(list)
`,
        "app/main.py": `from fastapi import FastAPI
from app.limits import RateLimitMiddleware
app = FastAPI()
app.add_middleware(RateLimitMiddleware)
`,
      },
      status: "warn",
    },
    "its own dependency that counts in Redis": {
      files: {
        "app/limits.py": `class RateLimiter:
    async def __call__(self, request):
        if await redis_client.incr("x") > 5:
            raise HTTPException(429)

login_limiter = RateLimiter()
`,
        "app/main.py": `from fastapi import Depends, FastAPI
from app.limits import login_limiter
app = FastAPI()
@app.post("/login", dependencies=[Depends(login_limiter)])
def login(): ...
`,
      },
      status: "pass",
    },
    "no limiter is another rule's matter": {
      files: { "app/main.py": "from fastapi import FastAPI\napp = FastAPI()\n" },
      status: "not-applicable",
    },
  },
};
