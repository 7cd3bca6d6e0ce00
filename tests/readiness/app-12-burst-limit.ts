import type { Cases } from "../support/readiness-cases.ts";

const ORDERS = `from fastapi import APIRouter, FastAPI
router = APIRouter()

@router.post("/orders")
async def order(body: Order): ...

@router.get("/orders")
async def orders(): ...
`;

export const cases: Cases = {
  rule: "APP-12",
  cases: {
    "nothing before what writes": {
      files: { "app/orders.py": ORDERS },
      status: "fail",
      severity: "p1",
      at: ["app/orders.py:4"],
    },
    "slowapi's middleware with default limits": {
      files: {
        "app/orders.py": ORDERS,
        "app/main.py": `from fastapi import FastAPI
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
app = FastAPI()
limiter = Limiter(key_func=address, default_limits=["100/minute"])
app.add_middleware(SlowAPIMiddleware)
`,
      },
      status: "pass",
    },
    "slowapi's middleware without default limits limits nothing": {
      files: {
        "app/orders.py": ORDERS,
        "app/main.py": `from fastapi import FastAPI
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
app = FastAPI()
limiter = Limiter(key_func=address)
app.add_middleware(SlowAPIMiddleware)
`,
      },
      status: "fail",
    },
    "one route of two": {
      files: {
        "src/app.ts": `import express from "express";
import rateLimit from "express-rate-limit";
const app = express();
const limiter = rateLimit({ limit: 5 });
app.post("/orders", limiter, (req, res) => res.end());
app.post("/reports", (req, res) => res.end());
`,
      },
      status: "warn",
      at: ["src/app.ts:6"],
    },
    "a limiter before all of Express's API": {
      files: {
        "src/app.ts": `import express from "express";
import { apiLimiter } from "./limits.ts";
const app = express();
app.use("/api", apiLimiter);
app.post("/api/orders", (req, res) => res.end());
`,
      },
      status: "pass",
    },
    "nginx limits": {
      files: {
        "app/orders.py": ORDERS,
        "nginx/default.conf": "server {\n  limit_req zone=api burst=20;\n}\n",
      },
      status: "pass",
    },
    "nginx would, were it not a comment": {
      files: {
        "app/orders.py": ORDERS,
        "nginx/default.conf": "server {\n  # limit_req zone=api burst=20;\n}\n",
      },
      status: "fail",
    },
    "a CDN may do it where nobody here can see": {
      files: { "app/orders.py": ORDERS, "wrangler.toml": 'name = "edge"\n' },
      status: "unknown",
    },
    "a switch in production alone": {
      files: {
        "src/app.ts": `import express from "express";
import rateLimit from "express-rate-limit";
const app = express();
if (process.env.NODE_ENV === "production") app.use(rateLimit({ limit: 100 }));
app.post("/orders", (req, res) => res.end());
`,
      },
      status: "pass",
    },
    "a switch that must be set": {
      files: {
        "src/app.ts": `import express from "express";
import rateLimit from "express-rate-limit";
const app = express();
if (process.env.LIMITS === "true") app.use(rateLimit({ limit: 100 }));
app.post("/orders", (req, res) => res.end());
`,
      },
      status: "fail",
      at: ["src/app.ts:4", "src/app.ts:5"],
    },
    "nothing writes": {
      files: {
        "app/main.py":
          'from fastapi import FastAPI\napp = FastAPI()\n@app.get("/")\ndef home(): ...\n',
      },
      status: "not-applicable",
    },
  },
};
