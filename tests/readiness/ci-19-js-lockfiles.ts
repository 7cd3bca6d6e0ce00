import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

const PACKAGE = '{ "dependencies": { "next": "^15.0.0" } }';

export const cases: Cases = {
  rule: "CI-19",
  cases: {
    "no lockfile": {
      files: { "web/package.json": PACKAGE },
      status: "fail",
      severity: "p2",
      at: ["web/package.json"],
    },
    "two managers may disagree": {
      files: { "package.json": PACKAGE, "package-lock.json": "{}", "yarn.lock": "" },
      status: "fail",
      severity: "p1",
      at: ["package-lock.json"],
    },
    "installs that may change it": {
      files: {
        "package.json": PACKAGE,
        "package-lock.json": "{}",
        [PATH]: workflow("push", "      - run: npm install"),
        Dockerfile: "FROM node:22\nRUN corepack enable && \\\n    pnpm install\nRUN bun install\n",
      },
      status: "fail",
      at: [`${PATH}:6`, "Dockerfile:3", "Dockerfile:4"],
    },
    "carets are fine with a lockfile that the install asks": {
      files: {
        "package.json": PACKAGE,
        "package-lock.json": "{}",
        "examples/a/package.json": PACKAGE,
        [PATH]: workflow(
          "push",
          "      - run: npm ci && npm install -g corepack && npm install left-pad",
        ),
        Dockerfile: "FROM node:22\nRUN npm ci --omit=dev\n",
      },
      status: "pass",
    },
    "a workspace shares its lockfile, and pnpm is exact in CI": {
      files: {
        "package.json": '{ "packageManager": "pnpm@9.1.0", "devDependencies": { "turbo": "^2" } }',
        "pnpm-lock.yaml": "",
        "apps/web/package.json": PACKAGE,
        [PATH]: workflow("push", "      - run: pnpm install"),
      },
      status: "pass",
    },
    "a manager that nothing pins warns": {
      files: { "package.json": PACKAGE, "pnpm-lock.yaml": "" },
      status: "warn",
      at: ["package.json:1"],
    },
    "without dependencies there is nothing to lock": {
      files: { "package.json": '{ "type": "module" }' },
      status: "not-applicable",
    },
  },
};
