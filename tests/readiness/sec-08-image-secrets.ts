import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "SEC-08",
  cases: {
    "a literal in ENV, a build argument kept in ENV": {
      files: {
        Dockerfile:
          "FROM a:1\nENV SECRET_KEY=correct-horse LOG=1\nARG NPM_TOKEN\nENV NPM_TOKEN=$NPM_TOKEN\n",
      },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:2", "Dockerfile:3", "Dockerfile:4"],
      hides: ["correct-horse"],
    },
    "a build argument of a stage that production doesn't build on warns": {
      files: {
        Dockerfile: "FROM a:1 AS build\nARG SENTRY_AUTH_TOKEN\nFROM a:1\nCOPY --from=build /a /a\n",
      },
      status: "warn",
      severity: "p2",
      at: ["Dockerfile:2"],
    },
    "mounts, public names, versions, empty values": {
      files: {
        Dockerfile: 'FROM a:1\nARG NEXT_PUBLIC_TOKEN=x\nARG KEY_VERSION=1\nENV SECRET_KEY=""\n' +
          "RUN --mount=type=secret,id=npm npm ci\n",
      },
      status: "pass",
    },
    "a placeholder for a build's sake warns": {
      files: { Dockerfile: "FROM a:1\nENV SECRET_KEY=dummy-for-collectstatic\n" },
      status: "warn",
      severity: "p2",
    },
    "no Dockerfile": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
