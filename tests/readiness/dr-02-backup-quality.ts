import type { Cases } from "../support/readiness-cases.ts";

const nightly = (script: string) => ({
  ".github/workflows/backup.yml":
    `on:\n  schedule:\n    - cron: '7 2 * * *'\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: bash ops/backup.sh\n`,
  "ops/backup.sh": `#!/bin/bash\nset -euo pipefail\n${script}\n`,
});

export const cases: Cases = {
  rule: "DR-02",
  cases: {
    "a file beside the database": {
      files: nightly("pg_dump app > /backups/a.sql"),
      status: "fail",
      severity: "p1",
      at: Array(4).fill("ops/backup.sh:3"),
    },
    "elsewhere, and readable by whoever finds it": {
      files: nightly("pg_dump app | gzip > a.gz\naws s3 cp a.gz s3://b/\nfind . -mtime +9 -delete"),
      status: "fail",
      at: ["ops/backup.sh:3", "ops/backup.sh:3"],
    },
    "all four pass": {
      files: nightly(
        "pg_dump -Fc app | age -r key > a.age\nsha256sum a.age > a.sum\nrclone copy a.age b2:copies/\nrclone delete --min-age 30d b2:copies/",
      ),
      status: "pass",
    },
    "restic has most of it by itself": {
      files: nightly(
        "pg_dump app | restic -r s3:host/b backup --stdin\nrestic forget --keep-daily 14 --prune\nrestic check",
      ),
      status: "pass",
    },
    "other jobs of the workflow count, and a retention that is only written about warns": {
      files: {
        ".github/workflows/backup.yml":
          "on:\n  schedule:\n    - cron: '7 2 * * *'\njobs:\n  a:\n    steps:\n      - run: pg_dump a | gpg -e -r k > a\n" +
          "      - run: aws s3 cp a s3://b/\n  b:\n    steps:\n      - run: sha256sum -c a.sum\n",
        "docs/backup.md": "# Backups\n\nThe bucket keeps them 30 days.\n",
      },
      status: "warn",
      severity: "p2",
      at: ["docs/backup.md:3"],
    },
    "what a provider does can't be seen": {
      files: {
        "db.tf": 'resource "aws_db_instance" "a" {\n  backup_retention_period = 7\n}\n',
      },
      status: "unknown",
    },
    "without a backup DR-01 speaks": {
      files: { "a.txt": "a\n" },
      status: "not-applicable",
    },
  },
};
