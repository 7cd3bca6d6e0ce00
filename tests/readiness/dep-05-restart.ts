import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DEP-05",
  cases: {
    "no policy, and one that says no": {
      files: {
        "compose.yaml":
          'services:\n  a:\n    image: a:1\n  b:\n    image: b:1\n    restart: "no"\n',
      },
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:2", "compose.yaml:6"],
    },
    "the fragment of production brings it": {
      files: {
        "docker-compose.yml": "services:\n  a:\n    image: a:1\n",
        "docker-compose.prod.yml": "services:\n  a:\n    restart: always\n",
      },
      status: "pass",
    },
    "on-failure alone warns": {
      files: { "compose.yaml": "services:\n  a:\n    image: a:1\n    restart: on-failure\n" },
      status: "warn",
      severity: "p2",
    },
    "a migration ends by itself": {
      files: {
        "compose.yaml":
          "services:\n  a:\n    image: a:1\n    restart: always\n  migrate:\n    image: a:1\n",
      },
      status: "pass",
    },
    "Fly restarts by itself": {
      files: { "fly.toml": "app = 'a'\n", "compose.yaml": "services:\n  a:\n    image: a:1\n" },
      status: "not-applicable",
    },
    "a file that is no YAML is unknown": {
      files: { "compose.yaml": "services: [\n" },
      status: "unknown",
    },
  },
};
