import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

const API = { "api/pyproject.toml": "[project]\ndependencies = ['fastapi']\n" };
const WEB = {
  "web/package.json":
    '{ "scripts": { "test": "vitest run", "lint": "eslint ." }, "dependencies": { "next": "15" } }',
};

export const cases: Cases = {
  rule: "CI-16",
  cases: {
    "no workflow runs any": {
      files: { ...API, ...WEB },
      status: "fail",
      severity: "p1",
      at: ["api/pyproject.toml", "web/package.json"],
    },
    "linting and building are no tests": {
      files: {
        ...API,
        ...WEB,
        [PATH]: workflow(
          "pull_request",
          "      - run: uv run pytest\n        working-directory: api",
          "      - run: npm run lint && npm run build\n        working-directory: web",
        ),
      },
      status: "fail",
      at: ["web/package.json"],
    },
    "tests that stop nothing": {
      files: { ...API, [PATH]: workflow("pull_request", "      - run: pytest || true") },
      status: "fail",
      at: [`${PATH}:6`],
    },
    "tests after the merge warn": {
      files: {
        ...API,
        [PATH]: workflow("\n  push:\n    branches: [main]", "      - run: pytest"),
      },
      status: "warn",
      at: [`${PATH}:8`],
    },
    "both run, in a container, by a script and by a package's script": {
      files: {
        ...API,
        ...WEB,
        "api/scripts/tests.sh": "#!/bin/bash\nset -e\ncoverage run -m pytest\n",
        [PATH]: workflow(
          "[pull_request]",
          "      - run: docker compose exec -T api bash scripts/tests.sh",
          "      - run: npm test\n        working-directory: web",
        ),
      },
      status: "pass",
    },
    "a script behind a runner, from the folder it works in": {
      files: {
        ...API,
        "api/scripts/start.sh": "#!/bin/bash\nset -e\nbash scripts/test.sh $@\n",
        "api/scripts/test.sh": "#!/bin/bash\nset -e\ncoverage run --source=app -m pytest\n",
        [PATH]: workflow(
          "pull_request",
          '      - run: uv run bash scripts/start.sh "${{ github.sha }}"\n        working-directory: api',
        ),
      },
      status: "pass",
    },
    "a called workflow runs for its caller": {
      files: {
        ...API,
        [PATH]: "on: pull_request\njobs:\n  a:\n    uses: ./.github/workflows/t.yml\n",
        ".github/workflows/t.yml": workflow("workflow_call", "      - run: tox"),
      },
      status: "pass",
    },
    "GitLab's jobs count, with what they extend": {
      files: {
        ...API,
        ".gitlab-ci.yml":
          ".py:\n  before_script: [pip install .]\ntest:\n  extends: .py\n  script:\n    - pytest\n",
      },
      status: "pass",
    },
    "a leftover of another system hides nothing": {
      files: {
        ...API,
        ...WEB,
        ".travis.yml": "script: npm test\n",
        [PATH]: workflow("pull_request", "      - run: pytest"),
      },
      status: "fail",
      at: ["web/package.json"],
    },
    "another system is unknown": {
      files: { ...API, ".circleci/config.yml": "version: 2.1\n" },
      status: "unknown",
    },
    "a settings file of tools is no application": {
      files: { "pyproject.toml": "[tool.ruff]\nline-length = 100\n" },
      status: "not-applicable",
    },
  },
};
