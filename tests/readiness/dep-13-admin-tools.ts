import type { Cases } from "../support/readiness-cases.ts";

const routed = (...more: string[]) =>
  [
    "services:",
    "  adminer:",
    "    image: adminer:5",
    "    labels:",
    "      - traefik.http.routers.db.rule=Host(`db.a.com`)",
    ...more.map((one) => `      - ${one}`),
    "",
  ].join("\n");

export const cases: Cases = {
  rule: "DEP-13",
  cases: {
    "routed without a guard": {
      files: { "compose.yaml": routed() },
      status: "fail",
      severity: "p2",
      at: ["compose.yaml:5"],
    },
    "published on every interface": {
      files: {
        "compose.yaml":
          "services:\n  ui:\n    image: temporalio/ui:2.3\n    ports: ['8080:8080']\n",
      },
      status: "fail",
      at: ["compose.yaml:4"],
    },
    "a router that only sends on to https shows nothing": {
      files: {
        "compose.yaml": routed(
          "traefik.http.routers.db.middlewares=https-redirect",
          "traefik.http.routers.dbs.rule=Host(`db.a.com`)",
        ),
      },
      status: "fail",
      at: ["compose.yaml:7"],
    },
    "behind basic auth": {
      files: {
        "compose.yaml": routed(
          "traefik.http.routers.db.middlewares=door",
          "traefik.http.middlewares.door.basicauth.users=${USERS?set}",
        ),
      },
      status: "pass",
    },
    "a Caddyfile leads to it, with a guard and without": {
      files: {
        "compose.yaml": "services:\n  pgadmin:\n    image: dpage/pgadmin4:9\n",
        Caddyfile:
          "a.com {\n\tbasic_auth {\n\t\tx y\n\t}\n\treverse_proxy pgadmin:80\n}\nb.com {\n\treverse_proxy pgadmin:80\n}\n",
      },
      status: "fail",
      at: ["Caddyfile:8"],
    },
    "on this host alone, or nowhere": {
      files: {
        "compose.yaml":
          "services:\n  adminer:\n    image: adminer:5\n    ports: ['127.0.0.1:8080:8080']\n",
      },
      status: "pass",
    },
    "a middleware that is not here is unknown": {
      files: { "compose.yaml": routed("traefik.http.routers.db.middlewares=door@file") },
      status: "unknown",
    },
    "no such tool": {
      files: { "compose.yaml": "services:\n  a:\n    image: a:1\n" },
      status: "not-applicable",
    },
  },
};
