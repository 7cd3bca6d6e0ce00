import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "OBS-06",
  cases: {
    "an address in a line": {
      files: { "app/users.py": 'logger.info(f"invited {user.email}")\n' },
      status: "fail",
      severity: "p1",
      at: ["app/users.py:1"],
    },
    "ids and hashes": {
      files: {
        "app/users.py":
          'logger.info("invited %s", user.id)\nlogger.info(f"mail {hash_email(user.email)}")\nlogger.info("sent", email_count=3)\n',
      },
      status: "pass",
    },
    "a whole body": {
      files: { "src/app.ts": "app.post('/x', (req) => { console.log(req.body); });\n" },
      status: "fail",
      at: ["src/app.ts:1"],
    },
    "a whole user": {
      files: { "src/app.ts": 'logger.info({ user }, "in");\n' },
      status: "warn",
      severity: "p2",
    },
    "pino with a redactor": {
      files: {
        "src/log.ts":
          'import pino from "pino";\nexport const logger = pino({ redact: ["*.email"] });\n',
        "src/app.ts":
          'import { logger } from "./log.ts";\nlogger.info({ email: user.email }, "in");\n',
      },
      status: "pass",
    },
    "a redactor does not reach the console": {
      files: {
        "src/log.ts":
          'import pino from "pino";\nexport const logger = pino({ redact: ["*.email"] });\n',
        "src/app.ts": "console.log(user.email);\n",
      },
      status: "fail",
      at: ["src/app.ts:1"],
    },
    "structlog with a processor that redacts": {
      files: {
        "app/log.py":
          "import structlog\nstructlog.configure(processors=[redact_personal_data, structlog.processors.JSONRenderer()])\n",
        "app/users.py": 'logger.info("invited", email=user.email)\n',
      },
      status: "pass",
    },
    "a redactor that is defined and not wired": {
      files: {
        "app/log.py": "def redact_personal_data(logger, name, event):\n    return event\n",
        "app/users.py": 'logger.info("invited", email=user.email)\n',
      },
      status: "fail",
      at: ["app/users.py:1"],
    },
    "the tracker is told who": {
      files: {
        "src/app.ts":
          'import * as Sentry from "@sentry/node";\nSentry.setUser({ id: user.id, email: user.email });\n',
      },
      status: "warn",
      at: ["src/app.ts:2"],
    },
    "the sender's address is a setting": {
      files: { "app/mail.py": 'logger.info("from %s", settings.email)\n' },
      status: "pass",
    },
    "nothing is logged": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
