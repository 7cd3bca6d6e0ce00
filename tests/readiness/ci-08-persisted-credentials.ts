import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (rights: string, ...steps: string[]) =>
  ["on: push", rights, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");
const CHECKOUT = "      - uses: actions/checkout@v4";

export const cases: Cases = {
  rule: "CI-08",
  cases: {
    "a token that may write is kept": {
      files: { [PATH]: workflow("permissions: { contents: write }", CHECKOUT) },
      status: "fail",
      severity: "p2",
      at: [`${PATH}:7`],
    },
    "the folder with the token is uploaded": {
      files: {
        [PATH]: workflow(
          "permissions: { contents: read }",
          CHECKOUT,
          "      - uses: actions/upload-artifact@v4\n        with: { name: a, path: . }",
        ),
      },
      status: "fail",
    },
    "nothing says what the token may do": {
      files: { [PATH]: workflow("env: {}", CHECKOUT) },
      status: "warn",
    },
    "not kept, or only to read, passes": {
      files: {
        [PATH]: workflow(
          "permissions: { contents: write }",
          `${CHECKOUT}\n        with: { persist-credentials: false }`,
        ),
        ".github/workflows/b.yml": workflow("permissions: { contents: read }", CHECKOUT),
      },
      status: "pass",
    },
    "a job that pushes needs it": {
      files: {
        [PATH]: workflow(
          "permissions: { contents: write }",
          CHECKOUT,
          "      - run: |\n          git commit -am x\n          git push",
        ),
      },
      status: "pass",
    },
  },
};
