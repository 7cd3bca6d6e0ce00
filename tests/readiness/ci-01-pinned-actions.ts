import type { Cases } from "../support/readiness-cases.ts";

const SHA = "11bd71901bbe5b1630ceea73d27597364c9af683";
const PATH = ".github/workflows/ci.yml";
const steps = (...lines: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: ubuntu-latest", "    steps:", ...lines, ""].join(
    "\n",
  );

export const cases: Cases = {
  rule: "CI-01",
  cases: {
    "a tag, a branch and a short commit can move": {
      files: {
        [PATH]: steps(
          "      - uses: actions/checkout@v4",
          "      - uses: acme/deploy@main",
          "      - uses: acme/build@11bd719",
          `      - uses: actions/setup-node@${SHA} # v4`,
        ),
      },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:6`, `${PATH}:7`, `${PATH}:8`],
      says: /3 of 4 actions/,
    },
    "a reusable workflow by its branch can move, and an image by its tag": {
      files: {
        [PATH]: "on: push\njobs:\n  a:\n    uses: acme/ci/.github/workflows/test.yml@main\n" +
          "  b:\n    runs-on: x\n    steps:\n      - uses: docker://alpine:3\n",
      },
      status: "fail",
      at: [`${PATH}:4`, `${PATH}:8`],
    },
    "whole commits, digests and files of this repository can't": {
      files: {
        [PATH]: steps(
          `      - uses: "actions/checkout@${SHA}" # v4.2.2`,
          `      - uses: docker://alpine@sha256:${"a".repeat(64)}`,
          "      - uses: ./.github/actions/setup",
        ),
      },
      status: "pass",
    },
    "a local action that is used is looked into, one that is not is inert": {
      files: {
        [PATH]: steps("      - uses: ./.github/actions/setup"),
        ".github/actions/setup/action.yml":
          "runs:\n  using: composite\n  steps:\n    - uses: acme/x@v1\n",
        ".github/actions/old/action.yml":
          "runs:\n  using: composite\n  steps:\n    - uses: acme/y@v1\n",
      },
      status: "fail",
      at: [".github/actions/setup/action.yml:4"],
    },
    "workflows in other folders never run": {
      files: {
        [`platform/${PATH}`]: steps("      - uses: actions/checkout@v4"),
        "templates/ci.yml": steps("      - uses: actions/checkout@v4"),
      },
      status: "not-applicable",
    },
    "this repository's own workflow by its long name is its own": {
      files: {
        [PATH]: "on: push\njobs:\n  a:\n    uses: acme/app/.github/workflows/test.yml@main\n",
        ".github/workflows/test.yml": steps(`      - uses: actions/checkout@${SHA}`),
      },
      status: "pass",
    },
    "a workflow that can't be read is unknown": {
      files: { [PATH]: "on: push\njobs: [a: {\n" },
      status: "unknown",
    },
    "GitLab's pipeline is unknown": {
      files: { ".gitlab-ci.yml": "test:\n  script: [pytest]\n" },
      status: "unknown",
      says: /GitLab/,
    },
  },
};
