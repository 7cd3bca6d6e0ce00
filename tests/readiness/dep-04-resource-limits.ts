import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DEP-04",
  cases: {
    "no limit, and a zero, which means none": {
      files: {
        "compose.yaml":
          "services:\n  a:\n    image: a:1\n  b:\n    image: b:1\n    mem_limit: 0\n" +
          "  c:\n    image: c:1\n    deploy: { resources: { reservations: { memory: 1G } } }\n",
      },
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:2", "compose.yaml:4", "compose.yaml:7"],
    },
    "limits in both languages, one by an anchor": {
      files: {
        "compose.yaml":
          "x-limits: &limits { resources: { limits: { memory: 1G } } }\nservices:\n  a:\n" +
          "    image: a:1\n    deploy: *limits\n  b:\n    image: b:1\n    mem_limit: ${MEM:-512m}\n",
      },
      status: "pass",
    },
    "a service behind a profile is not production's": {
      files: {
        "compose.yaml":
          "services:\n  a:\n    image: a:1\n    cpus: 0.5\n  b:\n    image: b:1\n    profiles: [debug]\n",
      },
      status: "pass",
    },
    "another platform sizes its machines": {
      files: {
        Dockerfile: "FROM a:1\n",
        "fly.toml": "app = 'a'\n",
        "compose.yaml": "services: { a: { image: b } }\n",
      },
      status: "unknown",
    },
  },
};
