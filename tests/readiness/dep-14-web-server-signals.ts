import type { Cases } from "../support/readiness-cases.ts";

const server = (rest: string) => ({
  "server.ts":
    `import next from "next";\nimport { createServer } from "node:http";\nconst app = next({ dev: false });\nconst server = createServer(app.getRequestHandler());\nserver.listen(3000);\n${rest}`,
});

export const cases: Cases = {
  rule: "DEP-14",
  cases: {
    "no signal stops it": {
      files: server(""),
      status: "fail",
      severity: "p1",
      at: ["server.ts:5"],
    },
    "a signal that ends the process at once": {
      files: server(
        'process.on("SIGTERM", () => process.exit(0)); process.on("SIGINT", () => process.exit(0));',
      ),
      status: "fail",
      says: /not closed/,
    },
    "both signals close the listener": {
      files: server(
        'for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.close());',
      ),
      status: "pass",
    },
    "one of the two": {
      files: server('process.once("SIGTERM", () => server.close());'),
      status: "warn",
    },
    "next start listens by itself": {
      files: {
        "package.json": '{ "scripts": { "start": "next start" } }',
        "app/page.tsx": 'import next from "next";',
      },
      status: "not-applicable",
    },
  },
};
