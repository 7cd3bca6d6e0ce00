import type { Cases } from "../support/readiness-cases.ts";

const SHA = "11bd71901bbe5b1630ceea73d27597364c9af683";
const PATH = ".github/workflows/ci.yml";
const steps = (...lines: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: ubuntu-latest", "    steps:", ...lines, ""].join(
    "\n",
  );

export const cases: Cases = {
  rule: "CI-02",
  cases: {
    "a bare commit says nothing": {
      files: {
        [PATH]: steps(
          `      - uses: actions/checkout@${SHA}`,
          `      - uses: actions/setup-node@${SHA} # v4.1.0`,
        ),
      },
      status: "fail",
      severity: "p2",
      at: [`${PATH}:6`],
    },
    "a comment on another line is not its version": {
      files: { [PATH]: steps("      # v4", `      - uses: actions/checkout@${SHA}`, "      # v5") },
      status: "fail",
      at: [`${PATH}:7`],
    },
    "comments with versions pass, behind quotes too": {
      files: {
        [PATH]: steps(
          `      - uses: "actions/checkout@${SHA}" # v4.2.2`,
          `      - name: b\n        uses: acme/x@${SHA} # tag=1.0`,
        ),
      },
      status: "pass",
    },
    "without a pinned commit there is no question": {
      files: { [PATH]: steps("      - uses: actions/checkout@v4") },
      status: "not-applicable",
    },
  },
};
