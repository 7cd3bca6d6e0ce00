import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "JOB-01",
  cases: {
    "celery retries nothing by itself": {
      files: {
        "app/tasks.py": "from celery import shared_task\n\n@shared_task\ndef send(id): ...\n",
      },
      status: "fail",
      severity: "p1",
      at: ["app/tasks.py:3"],
    },
    "celery with pauses that grow and a limit": {
      files: {
        "app/tasks.py": `from app.worker import celery_app

@celery_app.task(autoretry_for=(OSError,), retry_backoff=True, retry_jitter=True, max_retries=5, time_limit=60)
def send(id): ...
`,
        "app/worker.py": 'from celery import Celery\ncelery_app = Celery("app")\n',
      },
      status: "pass",
    },
    "celery asks by hand, with no pause that grows": {
      files: {
        "app/tasks.py": `from celery import shared_task

@shared_task(bind=True, max_retries=3)
def send(self, id):
    try:
        post(id)
    except OSError as e:
        raise self.retry(exc=e)
`,
      },
      status: "warn",
      severity: "p2",
    },
    "dramatiq does it by itself": {
      files: {
        "app/tasks.py": "import dramatiq\n\n@dramatiq.actor\ndef send(id): ...\n",
      },
      status: "pass",
    },
    "dramatiq told not to": {
      files: {
        "app/tasks.py": "import dramatiq\n\n@dramatiq.actor(max_retries=0)\ndef send(id): ...\n",
      },
      status: "fail",
    },
    "rq without and with": {
      files: {
        "app/jobs.py":
          "from rq import Queue, Retry\nq = Queue(connection=r)\nq.enqueue(send, 1)\nq.enqueue(send, 2, retry=Retry(max=3, interval=[10, 30, 60]))\n",
      },
      status: "fail",
      at: ["app/jobs.py:3"],
    },
    "arq's job that never asks": {
      files: {
        "app/worker.py":
          "from arq.connections import RedisSettings\nasync def send(ctx, id): ...\n\nclass WorkerSettings:\n    functions = [send]\n    max_tries = 3\n",
      },
      status: "warn",
      at: ["app/worker.py:4"],
    },
    "arq's job that asks": {
      files: {
        "app/worker.py":
          'from arq import Retry\nasync def send(ctx, id):\n    raise Retry(defer=ctx["job_try"] * 5)\n\nclass WorkerSettings:\n    functions = [send]\n    max_tries = 3\n',
      },
      status: "pass",
    },
    "BullMQ tries once": {
      files: {
        "src/queue.ts":
          'import { Queue } from "bullmq";\nexport const mails = new Queue("mails", { connection });\n',
      },
      status: "fail",
      severity: "p1",
      at: ["src/queue.ts:2"],
    },
    "BullMQ with pauses": {
      files: {
        "src/queue.ts": `import { Queue } from "bullmq";
const defaultJobOptions = { attempts: 5, backoff: { type: "exponential", delay: 1000 } };
export const mails = new Queue("mails", { connection, defaultJobOptions });
`,
      },
      status: "pass",
    },
    "BullMQ at once": {
      files: {
        "src/queue.ts":
          'import { Queue } from "bullmq";\nexport const mails = new Queue("mails", { defaultJobOptions: { attempts: 5 } });\n',
      },
      status: "warn",
    },
    "pg-boss told not to": {
      files: {
        "src/jobs.ts":
          'import PgBoss from "pg-boss";\nawait boss.send("mail", data, { retryLimit: 0 });\n',
      },
      status: "fail",
    },
    "Inngest does it by itself": {
      files: {
        "src/jobs.ts":
          'import { inngest } from "./client.ts";\nimport { Inngest } from "inngest";\nexport const mail = inngest.createFunction({ id: "mail" }, { event: "mail" }, async () => {});\n',
      },
      status: "pass",
    },
    "FastAPI's background tasks are lost with the process": {
      files: {
        "app/main.py":
          "from fastapi import BackgroundTasks, FastAPI\n\ndef order(tasks: BackgroundTasks):\n    tasks.add_task(send, 1)\n",
      },
      status: "warn",
      severity: "p2",
    },
    "a queue whose jobs are nowhere": {
      files: { "app/worker.py": "import arq\n" },
      status: "unknown",
    },
    "no jobs": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
