import type { Cases } from "../support/readiness-cases.ts";

const PYTHON = (options: string) => ({
  "app/main.py": `import sentry_sdk\nsentry_sdk.init(dsn=dsn${options})\n`,
});
const NODE = (options: string) => ({
  "src/app.ts": `import * as Sentry from "@sentry/node";\nSentry.init({ dsn${options} });\n`,
});

export const cases: Cases = {
  rule: "OBS-04",
  cases: {
    "personal data by default": {
      files: PYTHON(", send_default_pii=True"),
      status: "fail",
      severity: "p2",
      at: ["app/main.py:2"],
    },
    "with something that scrubs": {
      files: PYTHON(", send_default_pii=True, before_send=scrub"),
      status: "warn",
    },
    "off, as by default": { files: PYTHON(""), status: "pass" },
    "decided at run time": { files: PYTHON(", send_default_pii=flag()"), status: "unknown" },
    "personal data from Node": { files: NODE(", sendDefaultPii: true"), status: "fail" },
    "off in Node": { files: NODE(", sendDefaultPii: false, beforeSend: scrub"), status: "pass" },
    "replay without masks": {
      files: NODE(", integrations: [Sentry.replayIntegration({ maskAllText: false })]"),
      status: "fail",
    },
    "no Sentry": { files: { "src/app.ts": "export {};\n" }, status: "not-applicable" },
  },
};
