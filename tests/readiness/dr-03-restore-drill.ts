import type { Cases } from "../support/readiness-cases.ts";

const COMPOSE = "services:\n  api:\n    build: .\n  db:\n    image: postgres:17\n";
const monthly = (on: string) =>
  `on:\n  ${on}\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: pg_restore -d drill a.dump\n`;

export const cases: Cases = {
  rule: "DR-03",
  cases: {
    "nobody has ever brought one back": {
      files: { "compose.yml": COMPOSE },
      status: "fail",
      severity: "p1",
      at: ["compose.yml:4"],
    },
    "a page alone warns": {
      files: { "compose.yml": COMPOSE, "docs/dr.md": "# DR\n\n## Restoring\n\nRun psql.\n" },
      status: "warn",
      at: ["docs/dr.md:3"],
    },
    "a script that somebody must start warns, and a blind download": {
      files: {
        "compose.yml": COMPOSE,
        "ops/restore.sh":
          "#!/bin/sh\ncurl -s https://b.example.com/a -o a.dump\npg_restore -d app a.dump\n",
      },
      status: "warn",
      at: ["ops/restore.sh:2", "ops/restore.sh:3"],
    },
    "every month by itself passes": {
      files: {
        "compose.yml": COMPOSE,
        ".github/workflows/drill.yml": monthly("schedule: [{ cron: '0 3 1 * *' }]"),
      },
      status: "pass",
    },
    "looking into an archive is no restore": {
      files: { "compose.yml": COMPOSE, "ops/look.sh": "#!/bin/sh\npg_restore --list a.dump\n" },
      status: "fail",
    },
    "a provider's copies are unknown": {
      files: { "supabase/config.toml": "project_id = 'a'\n" },
      status: "unknown",
    },
  },
};
