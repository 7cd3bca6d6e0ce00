import type { Cases } from "../support/readiness-cases.ts";

const COMPOSE = "services:\n  api:\n    build: .\n  db:\n    image: postgres:17\n";
const PATH = ".github/workflows/backup.yml";
const nightly = (...steps: string[]) =>
  [
    "on:",
    "  schedule:",
    "    - cron: '7 2 * * *'",
    "jobs:",
    "  a:",
    "    runs-on: x",
    "    steps:",
    ...steps,
    "",
  ].join("\n");

export const cases: Cases = {
  rule: "DR-01",
  cases: {
    "a database of one's own and no copy": {
      files: { "compose.yml": COMPOSE },
      status: "fail",
      severity: "p0",
      at: ["compose.yml:4"],
    },
    "the word in a page is no copy": {
      files: { "compose.yml": COMPOSE, "docs/ops.md": "# Ops\n\n## Backups\n\nTODO\n" },
      status: "warn",
      at: ["docs/ops.md:3"],
    },
    "a script that nothing starts warns": {
      files: { "compose.yml": COMPOSE, "ops/backup.sh": "#!/bin/sh\npg_dump app | gzip > a.gz\n" },
      status: "warn",
      severity: "p1",
      at: ["ops/backup.sh:2"],
    },
    "a dump of the schema is no backup": {
      files: {
        "compose.yml": COMPOSE,
        [PATH]: nightly("      - run: pg_dump --schema-only app > schema.sql"),
      },
      status: "fail",
    },
    "a scheduled workflow, through the script it calls": {
      files: {
        "compose.yml": COMPOSE,
        [PATH]: nightly("      - run: ./ops/backup.sh"),
        "ops/backup.sh": "#!/bin/sh\ndocker compose exec -T db pg_dump app > a.sql\n",
      },
      status: "pass",
    },
    "this kit's own backup, with options of node": {
      files: {
        "compose.yml": COMPOSE,
        [PATH]: nightly("      - run: node --max-semi-space-size=2 scripts/bin.mjs backup --json"),
      },
      status: "pass",
    },
    "a crontab, a timer and an image with its own timetable": {
      files: {
        "compose.yml": `${COMPOSE}  copies:\n    image: prodrigestivill/postgres-backup-local:17\n`,
        "ops/crontab": "30 3 * * * root /opt/app/ops/backup.sh\n",
        "ops/backup.sh": "#!/bin/sh\nrestic -r s3:bucket backup /data\n",
      },
      status: "pass",
    },
    "a provider's database is unknown": {
      files: { "supabase/config.toml": "project_id = 'a'\n" },
      status: "unknown",
    },
    "a managed database that Terraform keeps copies of": {
      files: {
        "infra/db.tf":
          'resource "aws_db_instance" "main" {\n  engine = "postgres"\n  backup_retention_period = 14\n}\n',
      },
      status: "pass",
    },
    "without a database there is no question": {
      files: { "index.html": "<p>hello</p>\n" },
      status: "not-applicable",
    },
  },
};
