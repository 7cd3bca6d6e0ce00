import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (...steps: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-10",
  cases: {
    "forgiven, continued and by default": {
      files: {
        [PATH]: workflow(
          "      - run: npm audit || true",
          "      - run: pip-audit\n        continue-on-error: true",
          "      - uses: aquasecurity/trivy-action@0.30.0\n        with: { image-ref: app }",
          "      - run: bandit -r app | tee report",
          "      - run: semgrep scan",
          "      - run: gitleaks detect --exit-code 0",
        ),
      },
      status: "fail",
      severity: "p1",
      at: [6, 7, 9, 11, 12, 13].map((line) => `${PATH}:${line}`),
    },
    "in a script that a step calls": {
      files: {
        [PATH]: workflow("      - run: bash scripts/audit.sh"),
        "scripts/audit.sh": "#!/bin/bash\npip-audit || echo 'please look'\n",
      },
      status: "fail",
      at: ["scripts/audit.sh:2"],
    },
    "the call itself is forgiven": {
      files: {
        [PATH]: workflow("      - run: make audit || true"),
        Makefile: "audit:\n\tpip-audit\n",
      },
      status: "fail",
      at: ["Makefile:2"],
    },
    "a report first and a gate behind it is a gate": {
      files: {
        [PATH]: workflow(
          "      - uses: aquasecurity/trivy-action@0.30.0\n        with: { format: sarif }",
          "      - uses: aquasecurity/trivy-action@0.30.0\n        with: { exit-code: '1' }",
          "      - run: pip-audit\n        if: always()",
          "      - run: grep -r x . || true",
          "      - run: npm audit --audit-level=high || exit 1",
        ),
      },
      status: "pass",
    },
    "without a scanner there is nothing to open": {
      files: { [PATH]: workflow("      - run: pytest || true") },
      status: "not-applicable",
    },
  },
};
