import type { Cases } from "../support/readiness-cases.ts";

const Dockerfile = 'FROM a:1\nCOPY start.sh .\nCMD ["./start.sh"]\n';

export const cases: Cases = {
  rule: "DB-13",
  cases: {
    "each start migrates": {
      files: { Dockerfile, "start.sh": "#!/bin/sh\nalembic upgrade head\nexec uvicorn a:app\n" },
      status: "fail",
      severity: "p1",
      at: ["start.sh:2"],
    },
    "a loop hides its failure": {
      files: {
        Dockerfile,
        "start.sh": "until uv run alembic upgrade head; do\n  sleep 1\ndone\nexec uvicorn a:app\n",
      },
      status: "fail",
      says: /loop/,
    },
    "a service that migrates and ends": {
      files: {
        Dockerfile: 'FROM a:1\nCMD ["uvicorn", "a:app"]\n',
        "compose.yaml":
          "services:\n  job:\n    build: .\n    command: npx prisma migrate deploy\n  api:\n    build: .\n" +
          "    depends_on: { job: { condition: service_completed_successfully } }\n",
      },
      status: "pass",
    },
    "a lock makes replicas wait": {
      files: {
        Dockerfile,
        "start.sh": "alembic upgrade head\nexec uvicorn a:app\n",
        "alembic/env.py": "connection.execute(text('select pg_advisory_lock(1)'))\n",
      },
      status: "pass",
    },
    "the platform runs it for a release": {
      files: { "fly.toml": "app = 'a'\n[deploy]\n  release_command = 'alembic upgrade head'\n" },
      status: "pass",
    },
    "nothing says when": { files: { "alembic.ini": "[alembic]\n" }, status: "unknown" },
    "no migrations": { files: { Dockerfile: 'FROM a:1\nCMD ["app"]\n' }, status: "not-applicable" },
  },
};
