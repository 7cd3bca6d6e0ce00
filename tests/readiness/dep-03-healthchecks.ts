import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DEP-03",
  cases: {
    "a service without one is a gap": {
      files: {
        Dockerfile: "FROM node:22\n",
        "compose.yaml": "services:\n  api:\n    build: .\n  db:\n    image: postgres:18\n",
      },
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:2", "compose.yaml:4"],
    },
    "one in the image, one in a fragment merged over, none for what ends": {
      files: {
        Dockerfile: "FROM node:22 AS base\nHEALTHCHECK CMD curl -f localhost\nFROM base\n",
        "compose.yaml":
          "services:\n  api:\n    build: .\n    depends_on:\n      job: { condition: service_completed_successfully }\n" +
          "  job:\n    build: .\n  db:\n    image: postgres:18\n",
        "compose.prod.yaml": "services:\n  db:\n    healthcheck:\n      test: [CMD, pg_isready]\n",
      },
      status: "pass",
    },
    "one that is turned off is a gap": {
      files: {
        Dockerfile: "FROM node:22\nHEALTHCHECK CMD true\n",
        "compose.yaml": "services:\n  api:\n    build: .\n    healthcheck:\n      disable: true\n",
      },
      status: "fail",
      at: ["compose.yaml:5"],
    },
    "pods with probes answer it, and compose for development isn't asked": {
      files: {
        "k8s/api.yaml":
          "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: api }\nspec:\n  template:\n    spec:\n" +
          "      containers:\n        - name: api\n          readinessProbe: { httpGet: { path: / } }\n",
        "docker-compose.yml": "services:\n  db:\n    image: postgres:18\n",
      },
      status: "pass",
    },
    "a platform that is given a path, another that is not": {
      files: {
        "fly.toml": "app = 'a'\n[[http_service.checks]]\npath = '/'\n",
        "web/fly.toml": "app = 'b'\n",
      },
      status: "fail",
      at: ["web/fly.toml"],
    },
    "what runs the image is not here": {
      files: { Dockerfile: "FROM node:22\n", "app.json": '{"buildpacks": []}' },
      status: "unknown",
    },
    "nothing runs in containers": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
