import type { Cases } from "../support/readiness-cases.ts";

const nginx = (...lines: string[]) =>
  [
    "server {",
    "  location / {",
    ...lines.map((one) => `    ${one};`),
    "    proxy_pass http://api:8000;",
    "  }",
    "}",
    "",
  ]
    .join("\n");

export const cases: Cases = {
  rule: "APP-03",
  cases: {
    "nginx lets the client's header through": {
      files: { "nginx.conf": nginx("proxy_set_header Host $host") },
      status: "fail",
      severity: "p1",
      at: ["nginx.conf:4"],
    },
    "a level's own headers replace those above": {
      files: {
        "nginx.conf": "server {\n  proxy_set_header X-Forwarded-For $remote_addr;\n" +
          nginx("proxy_set_header Host $host").slice(9),
      },
      status: "fail",
    },
    "every client is trusted": {
      files: {
        Caddyfile:
          "{\n\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0\n\t}\n}\na.com {\n\treverse_proxy api:8000\n}\n",
        "compose.yaml":
          "services:\n  traefik:\n    image: traefik:3.1\n    command: --entrypoints.web.forwardedHeaders.insecure=true\n",
      },
      status: "fail",
      at: ["Caddyfile:3", "compose.yaml:4"],
    },
    "appending warns": {
      files: { "nginx.conf": nginx("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for") },
      status: "warn",
      severity: "p2",
    },
    "overwritten, or Caddy by itself": {
      files: {
        "nginx.conf": nginx("proxy_set_header X-Forwarded-For $remote_addr"),
        Caddyfile: "a.com {\n\treverse_proxy api:8000\n}\n",
      },
      status: "pass",
    },
    "a block that doesn't close is unknown": {
      files: { "nginx.conf": "server {\n  proxy_pass http://a;\n" },
      status: "unknown",
    },
    "no proxy": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
