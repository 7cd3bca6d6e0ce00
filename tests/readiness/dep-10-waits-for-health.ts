import type { Cases } from "../support/readiness-cases.ts";

const of = (needs: string) =>
  `services:\n  a:\n    image: a:1\n    depends_on: ${needs}\n  db:\n    image: postgres:18\n`;

export const cases: Cases = {
  rule: "DEP-10",
  cases: {
    "waiting for a start is a gap": {
      files: { "compose.yaml": of("[db]") },
      status: "fail",
      severity: "p2",
      at: ["compose.yaml:4"],
    },
    "waiting for health passes": {
      files: { "compose.yaml": of("{ db: { condition: service_healthy } }") },
      status: "pass",
    },
    "a console for people may try again": {
      files: {
        "compose.yaml":
          "services:\n  adminer:\n    image: adminer:5\n    depends_on: [db]\n  db:\n    image: postgres:18\n",
      },
      status: "not-applicable",
    },
    "waiting for another service of the application is not asked for": {
      files: {
        "compose.yaml":
          "services:\n  a:\n    image: a:1\n    depends_on: [b]\n  b:\n    image: b:1\n",
      },
      status: "not-applicable",
    },
  },
};
