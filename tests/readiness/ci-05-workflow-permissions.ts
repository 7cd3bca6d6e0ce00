import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const job = (id: string, ...lines: string[]) =>
  [`  ${id}:`, "    runs-on: x", ...lines, "    steps: [{ run: make }]", ""].join("\n");

export const cases: Cases = {
  rule: "CI-05",
  cases: {
    "no word about them is a gap": {
      files: { [PATH]: `on: push\njobs:\n${job("a")}` },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:3`],
    },
    "one job of two without is a gap at that job": {
      files: {
        [PATH]: `on: push\njobs:\n${job("a", "    permissions: { contents: read }")}${job("b")}`,
      },
      status: "fail",
      at: [`${PATH}:7`],
    },
    "write-all is a gap wherever it stands": {
      files: {
        [PATH]: `on: push\npermissions: write-all\njobs:\n${job("a")}`,
        ".github/workflows/b.yml": `on: push\npermissions: {}\njobs:\n${
          job("a", "    permissions: write-all")
        }`,
      },
      status: "fail",
      at: [`${PATH}:2`, ".github/workflows/b.yml:6"],
    },
    "a right for all of several jobs warns": {
      files: {
        [PATH]: `on: push\npermissions:\n  contents: write\njobs:\n${job("a")}${job("b")}`,
      },
      status: "warn",
      severity: "p2",
      at: [`${PATH}:3`],
    },
    "set at the top, or at every job, passes": {
      files: {
        [PATH]: `on: push\npermissions:\n  contents: read\njobs:\n${job("a")}`,
        ".github/workflows/b.yml": `on: push\njobs:\n${job("a", "    permissions: {}")}`,
      },
      status: "pass",
    },
    "a job that is turned off has no token": {
      files: { [PATH]: `on: push\njobs:\n${job("a", "    if: false")}` },
      status: "not-applicable",
    },
    "a workflow that only others call gets theirs": {
      files: {
        [PATH]: `on: workflow_call\njobs:\n${job("a")}`,
        ".github/workflows/b.yml":
          `on: push\npermissions: read-all\njobs:\n  a:\n    uses: ./${PATH}\n`,
      },
      status: "pass",
    },
  },
};
