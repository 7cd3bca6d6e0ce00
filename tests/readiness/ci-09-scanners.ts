import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (...steps: string[]) =>
  ["on: [push, pull_request]", "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join(
    "\n",
  );
const ALL = workflow(
  "      - uses: gitleaks/gitleaks-action@v2",
  "      - run: uv run pip-audit",
  "      - uses: github/codeql-action/analyze@v3",
  "      - run: docker run --rm aquasec/trivy:0.60 image --exit-code 1 app",
  "      - run: uvx zizmor .github/workflows",
);
const APP = { "pyproject.toml": "[project]\nname = 'a'\n", Dockerfile: "FROM a\n" };

export const cases: Cases = {
  rule: "CI-09",
  cases: {
    "no CI at all looks for nothing": {
      files: APP,
      status: "fail",
      severity: "p1",
      says: /gitleaks/,
    },
    "tests alone are no scanner": {
      files: { ...APP, [PATH]: workflow("      - run: pytest", "      # trivy, gitleaks, bandit") },
      status: "fail",
      at: [PATH, PATH, PATH, PATH, PATH],
    },
    "the word in a name or an echoed text is none": {
      files: {
        [PATH]: workflow("      - name: trivy and gitleaks\n        run: echo trivy gitleaks"),
        "apps/catalogue.yml": "trivy: a scanner\n",
      },
      status: "fail",
      at: [PATH, PATH, PATH],
    },
    "hooks alone are nobody's duty": {
      files: {
        [PATH]: workflow(
          "      - run: pip-audit",
          "      - run: bandit -r a",
          "      - run: zizmor .",
        ),
        ".pre-commit-config.yaml": "repos:\n  - repo: x\n    hooks:\n      - id: gitleaks\n",
      },
      status: "fail",
      at: [".pre-commit-config.yaml:4"],
    },
    "every class in actions and commands passes": {
      files: { ...APP, [PATH]: ALL },
      status: "pass",
    },
    "hooks that CI runs, scripts and make targets that it calls": {
      files: {
        "pyproject.toml": "[tool.ruff.lint]\nselect = ['E', 'S']\n",
        Makefile: "audit: sbom\n\tpip-audit\nsbom:\n\t./scripts/lint.sh\n",
        "scripts/lint.sh": "#!/bin/sh\nset -e\nuv run ruff check .\n",
        ".pre-commit-config.yaml":
          "repos:\n  - repo: x\n    hooks:\n      - id: gitleaks\n      - id: zizmor\n",
        [PATH]: workflow("      - run: pre-commit run --all-files", "      - run: make audit"),
      },
      status: "pass",
    },
    "a workflow that somebody must start warns": {
      files: {
        [PATH]: ALL.replace("[push, pull_request]", "workflow_dispatch"),
      },
      status: "warn",
    },
    "GitLab's templates count, and another system is unknown": {
      files: {
        ".gitlab-ci.yml":
          "include:\n  - template: Jobs/SAST.gitlab-ci.yml\n  - template: Jobs/Secret-Detection.gitlab-ci.yml\n",
      },
      status: "pass",
    },
    "a Jenkinsfile is unknown": {
      files: { Jenkinsfile: "pipeline {}\n" },
      status: "unknown",
    },
  },
};
