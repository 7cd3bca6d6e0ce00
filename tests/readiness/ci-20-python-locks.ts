import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

const PROJECT = "[project]\ndependencies = ['fastapi>=0.1']\n";

export const cases: Cases = {
  rule: "CI-20",
  cases: {
    "no lock": {
      files: { "pyproject.toml": PROJECT },
      status: "fail",
      severity: "p2",
      at: ["pyproject.toml"],
    },
    "requirements that may change": {
      files: {
        "requirements.txt": "# web\nfastapi\nuvicorn==0.30.1\npydantic>=2\nrequests==2.*\n",
      },
      status: "fail",
      at: ["requirements.txt:2"],
      says: /3 of 4/,
    },
    "a lock that the install doesn't ask, or can't see": {
      files: {
        "pyproject.toml": PROJECT,
        "uv.lock": "",
        Dockerfile: "FROM python:3.13\nRUN uv sync --no-dev\n",
        ".dockerignore": ".git\nuv.lock\n",
      },
      status: "fail",
      at: ["Dockerfile:2", ".dockerignore:2"],
    },
    "packages of no version warn": {
      files: {
        "pyproject.toml": PROJECT,
        "poetry.lock": "",
        Dockerfile:
          "FROM python:3.13\nRUN pip install --no-cache-dir poetry\nRUN pip install gunicorn\n",
      },
      status: "warn",
      at: ["Dockerfile:3"],
    },
    "locked and frozen passes": {
      files: {
        "pyproject.toml": PROJECT,
        "uv.lock": "",
        Dockerfile: "FROM python:3.13\nENV UV_COMPILE_BYTECODE=1\nRUN uv sync --frozen --no-dev\n",
        [PATH]: workflow("push", "      - run: uv sync --locked && pip install --upgrade pip"),
      },
      status: "pass",
    },
    "pinned with hashes passes": {
      files: {
        "requirements.txt": `fastapi==0.115.0 \\\n    --hash=sha256:${
          "a".repeat(64)
        }\n    # via app\nuvicorn==0.30.1 ; python_version > '3.9' \\\n    --hash=sha256:${
          "b".repeat(64)
        }\n`,
      },
      status: "pass",
    },
    "settings of tools need no lock": {
      files: { "pyproject.toml": "[tool.ruff]\nline-length = 100\n" },
      status: "not-applicable",
    },
  },
};
