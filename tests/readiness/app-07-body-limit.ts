import type { Cases } from "../support/readiness-cases.ts";

const api = "from fastapi import FastAPI\n\napp = FastAPI()\n";
const Caddyfile = "a.com {\n\treverse_proxy api:8000\n}\n";

export const cases: Cases = {
  rule: "APP-07",
  cases: {
    "nothing limits": {
      files: { "main.py": api, Caddyfile },
      status: "fail",
      severity: "p1",
      at: ["main.py:1"],
    },
    "a middleware that is defined and not wired": {
      files: { "main.py": api, "limits.py": "class BodySizeLimitMiddleware:\n    pass\n" },
      status: "fail",
    },
    "nginx is told to take everything": {
      files: {
        "main.py": api,
        "nginx.conf": "server {\n  client_max_body_size 0;\n  proxy_pass http://a;\n}\n",
      },
      status: "fail",
      at: ["nginx.conf:2"],
    },
    "Caddy's limit": {
      files: {
        "main.py": api,
        Caddyfile:
          "a.com {\n\trequest_body {\n\t\tmax_size 1MB\n\t}\n\treverse_proxy api:8000\n}\n",
      },
      status: "pass",
    },
    "a middleware that is wired": {
      files: { "main.py": api + "app.add_middleware(BodySizeLimitMiddleware, limit=1)\n" },
      status: "pass",
    },
    "express limits JSON by itself": {
      files: {
        "a.ts":
          'import express from "express";\nconst app = express();\napp.use(express.json());\n',
      },
      status: "pass",
    },
    "a check on one route only warns beside a framework's own limit": {
      files: {
        "main.py":
          `${api}\n\n@app.post("/up")\ndef up(size: int):\n    if size > 9:\n        raise HTTPException(status_code=413)\n    return size\n`,
      },
      status: "fail",
      at: ["main.py:1", "main.py:9"],
    },
    "a CDN in front is unknown": {
      files: { "main.py": api, "vercel.json": "{}" },
      status: "unknown",
    },
    "no back end": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
