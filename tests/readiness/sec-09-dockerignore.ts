import type { Cases } from "../support/readiness-cases.ts";

const Dockerfile = "FROM a:1\nWORKDIR /app\nCOPY --chown=a:a . .\n";

export const cases: Cases = {
  rule: "SEC-09",
  cases: {
    "no .dockerignore": {
      files: { Dockerfile },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:3"],
    },
    "one beside the Dockerfile, where the context is another folder": {
      files: {
        "docker/Dockerfile": Dockerfile,
        "docker/.dockerignore": ".env\n",
        "compose.yaml":
          "services: { a: { build: { context: ., dockerfile: docker/Dockerfile } } }\n",
      },
      status: "fail",
      at: ["docker/Dockerfile:3"],
    },
    "one that lets .env in, by taking it back": {
      files: { Dockerfile, ".dockerignore": "**/.env*\n!.env\n" },
      status: "fail",
    },
    "all of them left out": {
      files: { Dockerfile, ".dockerignore": "node_modules\n**/.env*\n!.env.example\n" },
      status: "pass",
    },
    "everything left out but what is named": {
      files: { Dockerfile, ".dockerignore": "*\n!src\n!package.json\n" },
      status: "pass",
    },
    "some of them left out warns": {
      files: { Dockerfile, ".dockerignore": ".env\n" },
      status: "warn",
      severity: "p2",
    },
    "a stage that production doesn't build on weighs less": {
      files: { Dockerfile: "FROM a:1 AS b\nCOPY . .\nFROM a:1\nCOPY --from=b /d /d\n" },
      status: "fail",
      severity: "p2",
    },
    "what is copied is named": {
      files: { Dockerfile: "FROM a:1\nCOPY app ./app\nCOPY --from=x . .\n" },
      status: "pass",
    },
    "no Dockerfile": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
