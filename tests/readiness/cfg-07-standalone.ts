import type { Cases } from "../support/readiness-cases.ts";

const Dockerfile =
  "FROM node:22 AS build\nFROM node:22\nCOPY --from=build /app/.next/standalone ./\n";

export const cases: Cases = {
  rule: "CFG-07",
  cases: {
    "a config without it": {
      files: { Dockerfile, "next.config.js": "module.exports = { reactStrictMode: true };\n" },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:3"],
    },
    "another output": {
      files: { Dockerfile, "next.config.mjs": 'export default {\n  output: "export",\n};\n' },
      status: "fail",
      at: ["next.config.mjs:2"],
    },
    "behind a wrapper": {
      files: {
        Dockerfile,
        "next.config.ts":
          'import { withSentryConfig } from "@sentry/nextjs";\nconst own = {\n  output: "standalone" as const,\n};\n' +
          "export default withSentryConfig(own, {});\n",
      },
      status: "pass",
    },
    "under a condition, or spread from elsewhere": {
      files: {
        Dockerfile,
        "next.config.mjs":
          'export default { output: process.env.DOCKER ? "standalone" : undefined };\n',
      },
      status: "unknown",
    },
    "spread from elsewhere": {
      files: {
        Dockerfile,
        "next.config.mjs": 'import all from "all";\nexport default { ...all };\n',
      },
      status: "unknown",
    },
    "no image copies it": {
      files: { Dockerfile: "FROM node:22\n", "next.config.js": "module.exports = {};\n" },
      status: "not-applicable",
    },
  },
};
