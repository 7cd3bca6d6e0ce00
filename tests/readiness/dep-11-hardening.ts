import type { Cases } from "../support/readiness-cases.ts";

const of = (more: string) => `services:\n  a:\n    image: a:1\n${more}`;

export const cases: Cases = {
  rule: "DEP-11",
  cases: {
    "none of the three warns, once for all": {
      files: { "compose.yaml": of("  b:\n    image: b:1\n") },
      status: "warn",
      severity: "p2",
      at: ["compose.yaml:2"],
    },
    "any of them passes": {
      files: { "compose.yaml": of("    security_opt: ['no-new-privileges:true']\n") },
      status: "pass",
    },
    "a database is not asked": {
      files: { "compose.yaml": "services:\n  db:\n    image: postgres:18\n" },
      status: "not-applicable",
    },
  },
};
