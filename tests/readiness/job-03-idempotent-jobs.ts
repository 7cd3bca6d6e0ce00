import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "JOB-03",
  cases: {
    "no key and no look back": {
      files: {
        "app/tasks.py":
          "from celery import shared_task\n\n@shared_task\ndef send(id):\n    mail(id)\n",
      },
      status: "warn",
      severity: "p2",
      at: ["app/tasks.py:3"],
    },
    "the handler looks back": {
      files: {
        "app/tasks.py":
          "from celery import shared_task\n\n@shared_task\ndef send(id):\n    if already_sent(id):\n        return\n    mail(id)\n",
      },
      status: "pass",
    },
    "each job has a key": {
      files: {
        "src/queue.ts":
          'import { Queue } from "bullmq";\nconst mails = new Queue("mails");\nawait mails.add("mail", data, { jobId: data.id });\n',
      },
      status: "pass",
    },
    "BullMQ without": {
      files: {
        "src/queue.ts":
          'import { Queue } from "bullmq";\nconst mails = new Queue("mails");\nawait mails.add("mail", data);\n',
      },
      status: "warn",
    },
    "no queue": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
