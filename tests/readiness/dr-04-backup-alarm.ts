import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/backup.yml";
const nightly = (...steps: string[]) =>
  [
    ...["on:", "  schedule:", "    - cron: '7 2 * * *'", "jobs:", "  a:", "    runs-on: x"],
    ...["    steps:", "      - run: pg_dump app > a.sql", ...steps, ""],
  ].join("\n");

export const cases: Cases = {
  rule: "DR-04",
  cases: {
    "it fails in silence": {
      files: { [PATH]: nightly("      - run: echo done") },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:8`],
    },
    "a message on success is none on failure": {
      files: { [PATH]: nightly("      - uses: slackapi/slack-github-action@v2") },
      status: "fail",
    },
    "a step on failure passes": {
      files: {
        [PATH]: nightly(
          '      - if: failure()\n        run: curl -f -d x "$SLACK_WEBHOOK_URL"',
        ),
      },
      status: "pass",
    },
    "a job that watches it, and a heartbeat": {
      files: {
        [PATH]:
          `${nightly()}  told:\n    needs: a\n    if: failure()\n    runs-on: x\n    steps:\n      - run: gh issue create -t x\n`,
        "ops/crontab": "1 2 * * * /ops/backup.sh\n",
        "ops/backup.sh": "#!/bin/sh\npg_dump a > b && curl -fsS https://hc-ping.com/x\n",
      },
      status: "pass",
    },
    "nothing runs by itself": {
      files: { "ops/backup.sh": "#!/bin/sh\npg_dump a > b\n" },
      status: "not-applicable",
    },
  },
};
