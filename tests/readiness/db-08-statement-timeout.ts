import type { Cases } from "../support/readiness-cases.ts";

const compose = "services:\n  db:\n    image: postgres:16\n";

export const cases: Cases = {
  rule: "DB-08",
  cases: {
    "a database that ends nothing": {
      files: { "docker-compose.yml": compose, "app/db.py": "engine = create_engine(URL)\n" },
      status: "warn",
      severity: "p2",
    },
    "an engine that sets it": {
      files: {
        "docker-compose.yml": compose,
        "app/db.py":
          'engine = create_engine(\n    URL, connect_args={"options": "-c statement_timeout=15000"}\n)\n',
      },
      status: "pass",
      says: /statement_timeout is set/,
    },
    "a role that has it": {
      files: {
        "docker-compose.yml": compose,
        "migrations/1.sql": "alter role app set statement_timeout = '15s';\n",
      },
      status: "pass",
    },
    "zero and a comment are no limit": {
      files: {
        "docker-compose.yml": compose,
        "dump.sql": "SET statement_timeout = 0;\n-- statement_timeout = 5\n",
      },
      status: "warn",
    },
    "no database": { files: { "app.py": "x = 1\n" }, status: "not-applicable" },
  },
};
