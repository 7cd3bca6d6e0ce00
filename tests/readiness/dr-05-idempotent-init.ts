import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DR-05",
  cases: {
    "everybody may write": {
      files: { Dockerfile: "FROM a\nRUN mkdir /data && chmod -R 777 /data\n" },
      status: "fail",
      severity: "p2",
      at: ["Dockerfile:2"],
    },
    "it goes on after an error, and trips over itself": {
      files: {
        "scripts/prestart.sh": "#!/bin/sh\nalembic upgrade head\npython seed.py\n",
        "db/init.sql": "create table a (b int);\n",
      },
      status: "warn",
      at: ["scripts/prestart.sh:1", "db/init.sql:1"],
    },
    "it stops, and creates what is not there": {
      files: {
        "scripts/prestart.sh":
          "#!/bin/bash\nset -euo pipefail\nalembic upgrade head\npython seed.py\n",
        "db/init.sql": "create extension if not exists citext;\n",
        Dockerfile: "FROM a\nRUN chmod 0750 /data\n",
      },
      status: "pass",
    },
    "one command that is handed over to needs no guard": {
      files: { "entrypoint.sh": '#!/bin/sh\nexec "$@"\n', "tests/setup.sh": "a\nb\nc\n" },
      status: "not-applicable",
    },
  },
};
