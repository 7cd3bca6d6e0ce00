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
    "a switch that is on unless it is turned off": {
      files: {
        "src/app.ts": `import express from "express";
import rateLimit from "express-rate-limit";
const app = express();
if ((process.env.LIMITS ?? "true") === "true") app.use(rateLimit({ limit: 100 }));
app.post("/orders", (req, res) => res.end());
`,
      },
      status: "pass",
    },
    "a middleware of its own that refuses": {
      files: {
        "src/app.ts": `import express from "express";
const app = express();
const seen = new Map();
function calm(req, res, next) {
  const count = (seen.get(req.ip) ?? 0) + 1;
  seen.set(req.ip, count);
  if (count > 100) return res.status(429).end();
  next();
}
app.use(calm);
app.post("/orders", (req, res) => res.end());
`,
      },
      status: "pass",
    },
    "an answer of somebody else that says 429 is no limit": {
      files: {
        "src/app.ts": `import express from "express";
const app = express();
app.post("/orders", async (req, res) => {
  const answer = await fetch(url);
  if (answer.status === 429) return res.status(503).end();
  res.end();
});
`,
      },
      status: "fail",
    },
    "a view set of Django, without and with throttles": {
      files: {
        "shop/urls.py":
          'from shop.views import OrderViewSet, PriceViewSet\nrouter.register("orders", OrderViewSet)\nrouter.register("prices", PriceViewSet)\n',
        "shop/views.py":
          "import django\nclass OrderViewSet(ModelViewSet): ...\nclass PriceViewSet(ModelViewSet):\n    throttle_classes = [UserRateThrottle]\n",
      },
      status: "warn",
      at: ["shop/urls.py:2"],
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
