import type { Cases } from "../support/readiness-cases.ts";

const QUEUE =
  'import { Queue, Worker } from "bullmq";\nexport const worker = new Worker("mails", send);\n';

export const cases: Cases = {
  rule: "JOB-02",
  cases: {
    "nobody is told": {
      files: { "src/queue.ts": QUEUE },
      status: "fail",
      severity: "p1",
      at: ["src/queue.ts:1"],
    },
    "the log is told": {
      files: {
        "src/queue.ts":
          `${QUEUE}worker.on("failed", (job, error) => console.error(job?.id, error));\n`,
      },
      status: "warn",
      severity: "p2",
    },
    "the tracker is told": {
      files: {
        "src/queue.ts":
          `${QUEUE}worker.on("failed", (job, error) => Sentry.captureException(error));\n`,
      },
      status: "pass",
    },
    "celery's signal": {
      files: {
        "app/worker.py":
          "from celery import Celery\nfrom celery.signals import task_failure\n\n@task_failure.connect\ndef failed(**kwargs):\n    notify(kwargs)\n",
      },
      status: "pass",
    },
    "celery with Sentry, which integrates by itself": {
      files: {
        "app/worker.py": "import sentry_sdk\nfrom celery import Celery\nsentry_sdk.init(dsn=dsn)\n",
      },
      status: "pass",
    },
    "celery alone": {
      files: { "app/worker.py": 'from celery import Celery\napp = Celery("x")\n' },
      status: "fail",
    },
    "Nest's event": {
      files: {
        "src/mail.processor.ts": `import { OnWorkerEvent, Processor } from "@nestjs/bullmq";
@Processor("mails")
export class Mails {
  @OnWorkerEvent("failed")
  failed(job) {}
}
`,
      },
      status: "pass",
    },
    "no queue": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
