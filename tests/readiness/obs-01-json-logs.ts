import type { Cases } from "../support/readiness-cases.ts";

const APP = "from fastapi import FastAPI\napp = FastAPI()\n";
const EXPRESS = 'import express from "express";\nconst app = express();\n';

export const cases: Cases = {
  rule: "OBS-01",
  cases: {
    "plain lines": {
      files: {
        "app/main.py":
          `import logging\n${APP}logging.basicConfig(level="INFO")\nlogging.info("up")\n`,
      },
      status: "fail",
      severity: "p1",
      at: ["app/main.py:4"],
    },
    "structlog renders JSON in production": {
      files: {
        "app/main.py": `import structlog
${APP}
renderer = (
    structlog.dev.ConsoleRenderer() if settings.ENVIRONMENT == "local"
    else structlog.processors.JSONRenderer()
)
structlog.configure(processors=[structlog.processors.add_log_level, renderer])
`,
      },
      status: "pass",
    },
    "structlog renders JSON in development alone": {
      files: {
        "app/main.py": `import structlog
${APP}
if settings.ENVIRONMENT == "local":
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
logger.info("up")
`,
      },
      status: "fail",
    },
    "JSON where a caller asks for it, and none does": {
      files: {
        "app/log.py": `import structlog
def set_up_logs(json_logs: bool = False):
    if json_logs:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(processors=[renderer])
`,
        "app/main.py":
          `import os\nfrom app.log import set_up_logs\n${APP}set_up_logs(json_logs=os.getenv("JSON_LOGS", "false").lower() == "true")\n`,
      },
      status: "fail",
    },
    "JSON where a caller asks for it, by default": {
      files: {
        "app/log.py": `import structlog
def set_up_logs(json_logs: bool = False):
    if json_logs:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(processors=[renderer])
`,
        "app/main.py":
          `import os\nfrom app.log import set_up_logs\n${APP}set_up_logs(json_logs=os.getenv("JSON_LOGS", "true").lower() == "true")\n`,
      },
      status: "pass",
    },
    "a logger whose package says nothing of its format": {
      files: {
        "src/app.ts": `${EXPRESS}import logging from "@acme/logging";\nlogging.info("up");\n`,
      },
      status: "unknown",
    },
    "a formatter class that nothing uses": {
      files: {
        "app/log.py": "class JsonFormatter(logging.Formatter):\n    pass\n",
        "app/main.py": `${APP}logger.info("up")\n`,
      },
      status: "fail",
      at: ["app/log.py:1"],
    },
    "a set-up function that nothing calls": {
      files: {
        "app/log.py": "def set_up_logs():\n    handler.setFormatter(jsonlogger.JsonFormatter())\n",
        "app/main.py": APP,
      },
      status: "fail",
      at: ["app/log.py:2"],
      says: /nothing calls/,
    },
    "the same function, called": {
      files: {
        "app/log.py": "def set_up_logs():\n    handler.setFormatter(jsonlogger.JsonFormatter())\n",
        "app/main.py": `from app.log import set_up_logs\n${APP}set_up_logs()\n`,
      },
      status: "pass",
    },
    "a class of its own that writes JSON": {
      files: {
        "app/log.py": `class Structured(logging.Formatter):
    def format(self, record):
        return json.dumps({"message": record.getMessage()})

handler.setFormatter(Structured())
`,
        "app/main.py": APP,
      },
      status: "pass",
    },
    "Django's LOGGING": {
      files: {
        "shop/settings.py":
          'from django.conf import global_settings\nLOGGING = {"formatters": {"json": {"()": "pythonjsonlogger.jsonlogger.JsonFormatter"}}}\n',
      },
      status: "pass",
    },
    "Django's LOGGING for people": {
      files: {
        "shop/settings.py":
          'import django\nLOGGING = {"formatters": {"verbose": {"format": "%(message)s"}}}\n',
      },
      status: "fail",
      at: ["shop/settings.py:2"],
    },
    "console alone": {
      files: { "src/app.ts": `${EXPRESS}console.log("up");\n` },
      status: "fail",
      at: ["src/app.ts:3"],
    },
    "pino as it is": {
      files: {
        "src/app.ts":
          `${EXPRESS}import pino from "pino";\nexport const logger = pino({ level: "info" });\n`,
      },
      status: "pass",
    },
    "pino, pretty outside production": {
      files: {
        "src/app.ts": `${EXPRESS}import pino from "pino";
export const logger = pino({
  transport: process.env.NODE_ENV !== "production" ? { target: "pino-pretty" } : undefined,
});
`,
      },
      status: "pass",
    },
    "pino, pretty everywhere": {
      files: {
        "src/app.ts": `${EXPRESS}import pino from "pino";
export const logger = pino({ transport: { target: "pino-pretty" } });
logger.info("up");
`,
      },
      status: "fail",
    },
    "winston with json()": {
      files: {
        "src/app.ts": `${EXPRESS}import winston from "winston";
export const logger = winston.createLogger({ format: winston.format.combine(winston.format.timestamp(), winston.format.json()) });
`,
      },
      status: "pass",
    },
    "winston for people": {
      files: {
        "src/app.ts": `${EXPRESS}import winston from "winston";
export const logger = winston.createLogger({ format: winston.format.simple() });
logger.info("up");
`,
      },
      status: "fail",
    },
    "Fastify's own logger": {
      files: {
        "src/app.ts": 'import Fastify from "fastify";\nconst app = Fastify({ logger: true });\n',
      },
      status: "pass",
    },
    "no back end": { files: { "README.md": "x\n" }, status: "not-applicable" },
  },
};
