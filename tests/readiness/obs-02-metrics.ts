import type { Cases } from "../support/readiness-cases.ts";

const APP = "from fastapi import FastAPI\napp = FastAPI()\n";

export const cases: Cases = {
  rule: "OBS-02",
  cases: {
    "nothing leaves the process": {
      files: { "app/main.py": APP },
      status: "fail",
      severity: "p2",
      at: ["app/main.py"],
    },
    "Sentry where its address is set": {
      files: {
        "app/main.py":
          `import sentry_sdk\n${APP}if settings.SENTRY_DSN and settings.ENVIRONMENT != "local":\n    sentry_sdk.init(dsn=str(settings.SENTRY_DSN))\n`,
      },
      status: "pass",
      says: /error tracking/,
    },
    "Prometheus instruments the application": {
      files: {
        "app/main.py":
          `from prometheus_fastapi_instrumentator import Instrumentator\n${APP}Instrumentator().instrument(app).expose(app)\n`,
      },
      status: "pass",
      says: /metrics/,
    },
    "imported and never started": {
      files: { "app/main.py": `import sentry_sdk\n${APP}` },
      status: "fail",
    },
    "started by a function that nothing calls": {
      files: {
        "app/main.py": APP,
        "app/tracing.py":
          "from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor\ndef trace(app):\n    FastAPIInstrumentor.instrument_app(app)\n",
      },
      status: "warn",
      at: ["app/tracing.py:3"],
    },
    "prom-client's metrics": {
      files: {
        "src/app.ts":
          'import express from "express";\nimport client from "prom-client";\nconst app = express();\nclient.collectDefaultMetrics();\n',
      },
      status: "pass",
    },
    "OpenTelemetry for Node": {
      files: {
        "src/app.ts":
          'import express from "express";\nimport { NodeSDK } from "@opentelemetry/sdk-node";\nconst app = express();\nnew NodeSDK({}).start();\n',
      },
      status: "pass",
      says: /tracing/,
    },
    "an Express application without any": {
      files: { "src/app.ts": 'import express from "express";\nconst app = express();\n' },
      status: "fail",
    },
    "no back end": { files: { "README.md": "x\n" }, status: "not-applicable" },
  },
};
