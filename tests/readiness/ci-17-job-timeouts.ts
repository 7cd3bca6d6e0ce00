import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-17",
  cases: {
    "no job has an end": {
      files: { [PATH]: workflow("push", "      - run: make") },
      status: "fail",
      severity: "p2",
      at: [`${PATH}:3`],
    },
    "two deploys at once": {
      files: {
        [PATH]: workflow("push", "      - run: flyctl deploy --remote-only").replace(
          "runs-on: x",
          "runs-on: x\n    timeout-minutes: 9",
        ),
      },
      status: "fail",
      at: [`${PATH}:3`],
      says: /at once/,
    },
    "an end for each, and one deploy at once": {
      files: {
        [PATH]: workflow("push", "      - run: kubectl apply -f k8s").replace(
          "runs-on: x",
          "runs-on: x\n    timeout-minutes: 9\n    concurrency: deploy",
        ),
      },
      status: "pass",
    },
    "a job that calls a workflow can't set one": {
      files: { [PATH]: "on: push\njobs:\n  a:\n    uses: acme/ci/.github/workflows/t.yml@v1\n" },
      status: "not-applicable",
    },
  },
};
