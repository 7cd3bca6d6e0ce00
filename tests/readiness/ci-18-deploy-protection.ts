import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

const DEPLOY = "      - run: ssh app@host 'cd /app && docker compose up -d'";
const inside = (text: string) =>
  text.replace("runs-on: x", "runs-on: x\n    environment: production");

export const cases: Cases = {
  rule: "CI-18",
  cases: {
    "in no environment": {
      files: { [PATH]: workflow("push", DEPLOY) },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:3`],
    },
    "with a secret for every job": {
      files: {
        [PATH]: inside(`env:\n  KEY: \${{ secrets.SSH_KEY }}\n${workflow("push", DEPLOY)}`),
      },
      status: "fail",
      at: [`${PATH}:2`],
    },
    "from any pull request": {
      files: { [PATH]: inside(workflow("pull_request", DEPLOY)) },
      status: "fail",
      at: [`${PATH}:1`],
    },
    "by the script that it calls": {
      files: {
        [PATH]: workflow("push", "      - run: ./deploy.sh"),
        "deploy.sh": "#!/bin/sh\nhelm upgrade --install app chart\n",
      },
      status: "fail",
      at: [`${PATH}:3`],
    },
    "a job that is called so deploys, by whatever means": {
      files: {
        [PATH]: workflow("push", "      - run: ./go").replace("  a:", "  deploy-api:"),
        ".github/workflows/docs.yml": workflow(
          "push",
          "      - run: mkdocs build\n      - uses: actions/deploy-pages@v4",
        ).replace("  a:", "  deploy:"),
      },
      status: "fail",
      at: [`${PATH}:3`],
    },
    "in an environment passes": {
      files: { [PATH]: inside(workflow("push", DEPLOY)) },
      status: "pass",
    },
    "what only shows, plans or tests deploys nothing": {
      files: {
        [PATH]: workflow(
          "pull_request",
          "      - run: docker compose up -d && pytest",
          "      - run: helm upgrade app chart --dry-run",
          "      - run: terraform plan",
          "      - run: kubectl get pods && echo kubectl apply",
        ),
      },
      status: "not-applicable",
    },
  },
};
