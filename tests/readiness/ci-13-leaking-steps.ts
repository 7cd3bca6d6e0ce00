import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (...steps: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");
const SECRET = "        env: { TOKEN: '${{ secrets.TOKEN }}' }";

export const cases: Cases = {
  rule: "CI-13",
  cases: {
    "the environment is printed": {
      files: {
        [PATH]: workflow(
          `      - run: printenv\n${SECRET}`,
          `      - run: env | sort\n${SECRET}`,
          `      - run: |\n          set -ex\n          deploy\n${SECRET}`,
          "      - run: docker compose -f a.yml config",
          "      - run: cat .env",
          "      - uses: acme/login@v1\n        with: { password: '${{ secrets.TOKEN }}' }",
        ),
      },
      status: "fail",
      severity: "p1",
      at: [6, 8, 11, 14, 15].map((line) => `${PATH}:${line}`),
    },
    "the whole folder, or a file of secrets, is uploaded": {
      files: {
        [PATH]: workflow(
          "      - uses: actions/upload-artifact@v4\n        with: { name: a, path: . }",
          "      - uses: actions/upload-artifact@v4",
          "        with:",
          "          path: |",
          "            dist",
          "            apps/.env",
        ),
      },
      status: "fail",
      at: [`${PATH}:7`, `${PATH}:12`],
    },
    "every secret at once": {
      files: { [PATH]: workflow("      - run: x\n        env: { ALL: '${{ toJSON(secrets) }}' }") },
      status: "fail",
    },
    "a masked secret that is printed weighs less": {
      files: { [PATH]: workflow(`      - run: echo "$TOKEN"\n${SECRET}`) },
      status: "fail",
      severity: "p2",
    },
    "reports of a browser's tests warn": {
      files: {
        [PATH]: workflow(
          "      - uses: actions/upload-artifact@v4\n        with: { path: playwright-report/ }",
        ),
      },
      status: "warn",
      severity: "p2",
    },
    "without a secret in the job, what is printed is no secret": {
      files: {
        [PATH]: workflow(
          "      - run: docker compose -f compose.prod.yml config",
          "      - run: cp .env.example .env && cat .env && printenv",
          "      - run: make\n        env: { GH_TOKEN: '${{ secrets.GITHUB_TOKEN }}' }",
        ),
      },
      status: "pass",
    },
    "sourcing, piping and asking are no leak": {
      files: {
        [PATH]: workflow(
          "      - run: |",
          "          . ./.env",
          "          set -e",
          "          env FOO=bar make",
          "          printenv HOME",
          "          docker compose config --quiet",
          "          docker compose config > /dev/null",
          '          echo "$TOKEN" | docker login --password-stdin',
          '          echo "TOKEN=$TOKEN" >> .env',
          '          echo "::add-mask::$TOKEN"',
          `          export CI=1\n${SECRET}`,
          "      - uses: actions/upload-artifact@v4\n        with: { path: dist/ }",
          "      - run: env",
        ),
      },
      status: "pass",
    },
  },
};
