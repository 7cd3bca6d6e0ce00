import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/pr.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-07",
  cases: {
    "a title in a script is run": {
      files: {
        [PATH]: workflow(
          "issues",
          "      - run: |",
          "          set -e",
          '          echo "${{ github.event.issue.title }}"',
        ),
      },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:8`],
    },
    "in any spelling and in github-script": {
      files: {
        [PATH]: workflow(
          "pull_request",
          "      - run: echo ${{ github['head_ref'] }}",
          "      - run: echo ${{ format('x{0}', github.event.pull_request.head.ref) }}",
          "      - run: echo ${{ github.head_ref || github.ref_name }}",
          "      - run: echo '${{ toJSON(github.event) }}'",
          "      - uses: actions/github-script@v7",
          "        with:",
          "          script: |",
          "            const x = '${{ github.event.comment.body }}'",
        ),
      },
      status: "fail",
      at: [6, 7, 8, 9, 13].map((line) => `${PATH}:${line}`),
    },
    "an input that a caller fills with a branch's name is one": {
      files: {
        [PATH]: workflow(
          "pull_request",
          "      - uses: ./tools/x",
          "        with:",
          "          name: ${{ github.head_ref }}",
        ),
        "tools/x/action.yml":
          "inputs: { name: {} }\nruns:\n  using: composite\n  steps:\n    - run: echo ${{ inputs.name }}\n      shell: bash\n",
      },
      status: "fail",
      at: ["tools/x/action.yml:5"],
    },
    "what an author of the repository types in warns": {
      files: {
        [PATH]: workflow(
          "\n  workflow_dispatch:\n    inputs:\n      name: { type: string }",
          "      - run: echo ${{ inputs.name }} ${{ github.event.inputs.name }}",
        ),
      },
      status: "warn",
      severity: "p2",
    },
    "numbers, commits, variables, answers and choices are safe": {
      files: {
        [PATH]: workflow(
          "\n  pull_request:\n  workflow_dispatch:\n    inputs:\n      kind: { type: choice, options: [a] }\n      dry: { type: boolean }",
          "      - run: echo ${{ github.sha }} ${{ github.event.pull_request.number }}",
          "      - run: echo ${{ github.base_ref }} ${{ env.TITLE }} ${{ inputs.kind }} ${{ inputs.dry }}",
          "      - run: echo ${{ contains(github.event.pull_request.title, 'x') }}",
          "      - run: echo ${{ github.head_ref == 'main' && 'a' || 'b' }}",
          "      - run: echo ${{ github.event.pull_request.head.sha }} ${{ 'github.head_ref' }}",
          '      - run: echo "$TITLE"',
          "        env:",
          "          TITLE: ${{ github.event.pull_request.title }}",
        ),
      },
      status: "pass",
    },
  },
};
