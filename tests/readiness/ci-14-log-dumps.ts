import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (...steps: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-14",
  cases: {
    "the logs of the services go into the job's": {
      files: {
        [PATH]: workflow(
          "      - run: docker compose -f ci.yml logs api\n        if: failure()",
          "      - run: bash test.sh",
        ),
        "test.sh": "#!/bin/sh\npytest\ndocker logs app\n",
      },
      status: "warn",
      severity: "p2",
      at: [`${PATH}:6`, "test.sh:3"],
    },
    "kept in a file, or only asked, is no dump": {
      files: {
        [PATH]: workflow(
          "      - run: docker compose logs > compose.log",
          "      - run: docker logs app | grep -q ready",
          "      - run: docker compose up -d",
        ),
      },
      status: "pass",
    },
  },
};
