import type { Cases } from "../support/readiness-cases.ts";

const head =
  "from fastapi import Depends, FastAPI, Header, HTTPException, Request\napp = FastAPI()\n";

export const cases: Cases = {
  rule: "DB-06",
  cases: {
    "a header that becomes the filter": {
      files: {
        "app/main.py": `${head}
@app.get("/orders")
def orders(x_organization_id: str = Header(...), db=Depends(get_db)):
    return db.query(Order).filter(Order.organization_id == x_organization_id).all()
`,
      },
      status: "fail",
      severity: "p0",
      at: ["app/main.py:5"],
    },
    "a header that a dependency compares with the memberships of the user": {
      files: {
        "app/main.py": `${head}
def current_org(x_organization_id: str = Header(...), user=Depends(current_user), db=Depends(get_db)):
    membership = db.query(Membership).filter_by(user_id=user.id, org_id=x_organization_id).first()
    if membership is None:
        raise HTTPException(403)
    return membership.org
`,
      },
      status: "pass",
      says: /X-?organization|x-organization-id/i,
    },
    "a check in another file": {
      files: {
        "app/main.py": `${head}from app.access import guard
def current_org(request: Request, user=Depends(current_user)):
    org = request.headers.get("X-Org-Id")
    guard(org, user)
    return org
`,
        "app/access.py":
          "def guard(org, user):\n    if org not in user.organizations:\n        raise HTTPException(403)\n",
      },
      status: "pass",
    },
    "a header that nobody uses": {
      files: {
        "app/main.py": `${head}
@app.get("/a")
def a(x_tenant_id: str | None = Header(None)):
    return {}
`,
      },
      status: "warn",
      severity: "p2",
      at: ["app/main.py:5"],
    },
    "Express that believes the header, and one that asks": {
      files: {
        "server.js": `const express = require("express");
const app = express();
app.get("/a", async (req, res) => {
  const tenant = req.headers["x-tenant-id"];
  res.json(await db.orders.findMany({ where: { tenant } }));
});
app.get("/b", async (req, res) => {
  const tenant = req.get("x-request-id");
  res.json(tenant);
});
`,
      },
      status: "fail",
      at: ["server.js:4"],
    },
    "the user's own tenant as the fallback is no check": {
      files: {
        "app/main.py": `${head}
def tenant(request: Request, db=Depends(get_db), user=Depends(current_user)):
    tenant_id = request.headers.get("X-Tenant-ID") or user.tenant_id
    return db.query(Tenant).filter(Tenant.id == tenant_id).first()
`,
      },
      status: "fail",
      at: ["app/main.py:5"],
    },
    "the key of a counter opens nothing": {
      files: {
        "app/main.py": `${head}
async def limit(request: Request, call_next):
    hint = request.headers.get("x-tenant-id") or "default"
    key = f"rl:{hint}"
    await redis.incr(key)
    return await call_next(request)
`,
      },
      status: "not-applicable",
    },
    "who goes along to a service that is not here": {
      files: {
        "app/main.py": `${head}
async def context(x_organization_id: str = Header(...), current_user=Depends(user)):
    return await service.load(x_organization_id, current_user.id)
`,
      },
      status: "unknown",
    },
    "other headers": {
      files: {
        "app/main.py": `${head}
@app.get("/a")
def a(x_request_id: str = Header(...), x_account_name_hint: str = "a"):
    return x_request_id
`,
      },
      status: "not-applicable",
    },
    "SQL put together with the header": {
      files: {
        "main.py": `from fastapi import FastAPI, Header
app = FastAPI()
@app.get("/orders")
def orders(x_org_id: str = Header()):
    return connection.execute(text(f"select * from orders where org_id = '{x_org_id}'"))
`,
      },
      status: "fail",
      severity: "p0",
    },
  },
};
