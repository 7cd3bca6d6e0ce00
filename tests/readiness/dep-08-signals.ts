import type { Cases } from "../support/readiness-cases.ts";

const image = (end: string) => `FROM python:3.13\nCOPY start.sh /start.sh\n${end}\n`;

export const cases: Cases = {
  rule: "DEP-08",
  cases: {
    "a list under a shell keeps the signal": {
      files: { Dockerfile: image('CMD ["sh", "-c", "alembic upgrade head && uvicorn a:app"]') },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:3"],
    },
    "the shell form of one command is a step less": {
      files: { Dockerfile: image("CMD uvicorn a:app") },
      status: "fail",
      severity: "p2",
      at: ["Dockerfile:3"],
    },
    "a script without exec, at its line": {
      files: {
        Dockerfile: image('CMD ["/start.sh"]'),
        "start.sh": "#!/bin/sh\nset -e\nalembic upgrade head\nuvicorn a:app\n",
      },
      status: "fail",
      at: ["start.sh:4"],
    },
    "a process in the background without a trap": {
      files: {
        Dockerfile: image('CMD ["bash", "/start.sh"]'),
        "start.sh": "celery worker &\nuvicorn a:app &\nwait -n\n",
      },
      status: "fail",
      says: /background/,
    },
    "compose's command in the place of the image's": {
      files: {
        Dockerfile: image('CMD ["uvicorn", "a:app"]'),
        "compose.yaml":
          "services:\n  api:\n    build: .\n    command: sh -c 'migrate && uvicorn a:app'\n",
      },
      status: "fail",
      at: ["compose.yaml:4"],
    },
    "exec at the end of a script, behind an entry point that hands over": {
      files: {
        Dockerfile: image('ENTRYPOINT ["/entry.sh"]\nCMD ["/start.sh"]\nCOPY entry.sh /entry.sh'),
        "entry.sh": '#!/bin/sh\nset -e\nexec "$@"\n',
        "start.sh": "#!/bin/sh\nalembic upgrade head\nexec uvicorn a:app\n",
      },
      status: "pass",
    },
    "the JSON form, with an init in front": {
      files: { Dockerfile: image('ENTRYPOINT ["tini", "--"]\nCMD ["uvicorn", "a:app"]') },
      status: "pass",
    },
    "a script that COPY . brought, named by its place in the image": {
      files: {
        Dockerfile: 'FROM a:1\nCOPY . /app\nCMD ["/bin/bash", "/app/ops/api/start"]\n',
        "ops/api/start": "#!/bin/bash\nmigrate\nexec gunicorn a:app\n",
        "ops/worker/start": "#!/bin/bash\nwork\n",
      },
      status: "pass",
    },
    "sh -c with exec at its end": {
      files: {
        Dockerfile: image('CMD ["sh", "-c", "migrate && exec uvicorn a:app --port $PORT"]'),
      },
      status: "pass",
    },
    "a script of the base image can't be read": {
      files: { Dockerfile: 'FROM a:1\nCMD ["/opt/run.sh"]\n' },
      status: "unknown",
    },
    "no image": { files: { "start.sh": "uvicorn a:app\n" }, status: "not-applicable" },
  },
};
