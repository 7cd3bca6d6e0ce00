import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/pr.yml";
const CHECKOUT = "      - uses: actions/checkout@v4";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");
const ref = (value: string) => `${CHECKOUT}\n        with:\n          ref: ${value}`;

export const cases: Cases = {
  rule: "CI-06",
  cases: {
    "a checkout of the head with the base's rights": {
      files: {
        [PATH]: workflow(
          "pull_request_target",
          ref("${{ github.event.pull_request.head.sha }}"),
          "      - run: npm ci",
        ),
      },
      status: "fail",
      severity: "p0",
      at: [`${PATH}:6`],
    },
    "through a variable, gh and git too": {
      files: {
        [PATH]: `env:\n  SHA: \${{ github.event.workflow_run.head_sha }}\n${
          workflow("workflow_run", ref("${{ env.SHA }}"))
        }`,
        ".github/workflows/b.yml": workflow("issue_comment", "      - run: gh pr checkout 1"),
        ".github/workflows/c.yml": workflow(
          "[issue_comment]",
          "      - run: git fetch origin pull/${{ github.event.issue.number }}/head",
        ),
      },
      status: "fail",
      at: [`${PATH}:8`, ".github/workflows/b.yml:6", ".github/workflows/c.yml:6"],
    },
    "the trigger alone warns: the base's code runs": {
      files: { [PATH]: workflow("pull_request_target", CHECKOUT) },
      status: "warn",
      severity: "p2",
      at: [`${PATH}:1`],
    },
    "a condition that keeps forks out lowers it": {
      files: {
        [PATH]: workflow(
          "pull_request_target",
          `${
            ref("${{ github.head_ref }}")
          }\n        if: github.event.pull_request.head.repo.full_name == github.repository`,
        ),
      },
      status: "warn",
    },
    "on pull_request the head is what is meant, without rights": {
      files: { [PATH]: workflow("pull_request", ref("${{ github.head_ref }}")) },
      status: "pass",
    },
  },
};
