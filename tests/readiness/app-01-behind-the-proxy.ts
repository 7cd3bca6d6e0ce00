import type { Cases } from "../support/readiness-cases.ts";

const of = (ports: string) =>
  [
    "services:",
    "  caddy:",
    "    image: caddy:2.9",
    "    ports: ['443:443']",
    "  api:",
    "    build: .",
    `    ${ports}`,
    "",
  ].join("\n");
const Caddyfile = "a.com {\n\treverse_proxy api:8000\n}\n";
const Dockerfile = "FROM a:1\n";

export const cases: Cases = {
  rule: "APP-01",
  cases: {
    "published around a proxy that checks who comes": {
      files: {
        Dockerfile,
        Caddyfile: "a.com {\n\tforward_auth auth:9000\n\treverse_proxy api:8000\n}\n",
        "compose.yaml": of("ports: ['8000:8000']"),
      },
      status: "fail",
      severity: "p0",
      at: ["compose.yaml:7"],
      says: /Caddyfile:2/,
    },
    "published around one that only forwards": {
      files: { Dockerfile, Caddyfile, "compose.yaml": of("ports: ['8000:8000']") },
      status: "fail",
      severity: "p1",
    },
    "exposed inside, or on this host alone": {
      files: {
        Dockerfile,
        Caddyfile,
        "compose.yaml": of("ports: ['127.0.0.1:8000:8000']"),
        "compose.override.yaml": "services:\n  api:\n    ports: ['8000:8000']\n",
      },
      status: "pass",
    },
    "an address from outside is unknown": {
      files: { Dockerfile, Caddyfile, "compose.yaml": of("ports: ['${BIND}:8000:8000']") },
      status: "unknown",
    },
    "the proxy that is routed to its own dashboard": {
      files: {
        Dockerfile,
        "compose.yaml":
          "services:\n  traefik:\n    image: traefik:3.1\n    ports: ['443:443']\n    labels: [traefik.enable=true]\n" +
          "  api:\n    build: .\n    labels: [traefik.enable=true]\n",
      },
      status: "pass",
    },
    "no proxy": {
      files: {
        Dockerfile,
        "compose.yaml": "services:\n  api:\n    build: .\n    ports: ['80:80']\n",
      },
      status: "not-applicable",
    },
  },
};
