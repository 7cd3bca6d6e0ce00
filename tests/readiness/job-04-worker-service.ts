import type { Cases } from "../support/readiness-cases.ts";

const of = (...more: string[]) =>
  ["services:", "  worker:", "    build: .", "    command: celery -A app worker", ...more, ""].join(
    "\n",
  );
const Dockerfile = "FROM a:1\n";

export const cases: Cases = {
  rule: "JOB-04",
  cases: {
    "not started again": {
      files: { Dockerfile, "compose.yaml": of() },
      status: "fail",
      severity: "p2",
      at: ["compose.yaml:2"],
    },
    "beside the server in one container": {
      files: {
        Dockerfile: 'FROM a:1\nCOPY start.sh .\nCMD ["./start.sh"]\n',
        "start.sh": "celery -A app worker &\nexec uvicorn a:app\n",
        "compose.yaml": "services:\n  api:\n    build: .\n    restart: always\n",
      },
      status: "fail",
      at: ["start.sh:1"],
    },
    "without a health check it warns": {
      files: { Dockerfile, "compose.yaml": of("    restart: always") },
      status: "warn",
    },
    "with both it passes": {
      files: {
        Dockerfile,
        "compose.yaml": of("    restart: always", "    healthcheck: { test: celery inspect ping }"),
      },
      status: "pass",
    },
    "gunicorn's workers are no worker": {
      files: {
        Dockerfile,
        "compose.yaml":
          "services:\n  api:\n    build: .\n    command: gunicorn -k uvicorn.workers.UvicornWorker a:app\n",
      },
      status: "not-applicable",
    },
    "a queue whose worker nothing runs here": {
      files: { "app.py": "from celery import Celery\n\ncelery = Celery('a')\n" },
      status: "unknown",
    },
    "no queue": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
