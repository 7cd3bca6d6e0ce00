import type { Cases } from "../support/readiness-cases.ts";

const api = "from fastapi import FastAPI\n\napp = FastAPI()\n";

export const cases: Cases = {
  rule: "CFG-04",
  cases: {
    "reload in the image's command": {
      files: { "main.py": api, Dockerfile: 'FROM a:1\nCMD ["uvicorn", "main:app", "--reload"]\n' },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:2"],
    },
    "fastapi dev in a script that the image starts": {
      files: {
        "main.py": api,
        Dockerfile: 'FROM a:1\nCOPY start.sh .\nCMD ["./start.sh"]\n',
        "start.sh": "#!/bin/sh\nexec fastapi dev main.py\n",
      },
      status: "fail",
      at: ["start.sh:2"],
    },
    "production's compose puts reload in, and DEBUG": {
      files: {
        "main.py": api,
        Dockerfile: 'FROM a:1\nCMD ["uvicorn", "main:app"]\n',
        "compose.yaml":
          'services:\n  api:\n    build: .\n    command: uvicorn main:app --reload\n    environment:\n      DEBUG: "true"\n',
      },
      status: "fail",
      at: ["compose.yaml:4", "compose.yaml:6"],
    },
    "next dev by package.json": {
      files: {
        "server.ts": 'import express from "express";\nexpress();\n',
        "package.json": '{ "scripts": {\n"start": "next dev"\n} }',
        Dockerfile: 'FROM node:22\nCMD ["npm", "start"]\n',
      },
      status: "fail",
      at: ["package.json:2"],
    },
    "debug in the code, whatever the environment": {
      files: { "main.py": "from fastapi import FastAPI\n\napp = FastAPI(debug=True)\n" },
      status: "fail",
      at: ["main.py:3"],
    },
    "under main, a developer starts it": {
      files: {
        "main.py":
          `import uvicorn\n${api}if __name__ == "__main__":\n    uvicorn.run("main:app", reload=True)\n`,
      },
      status: "fail",
      severity: "p2",
    },
    "the override and the stage for development are not production's": {
      files: {
        "main.py": api,
        Dockerfile:
          'FROM a:1 AS prod\nCMD ["uvicorn", "main:app"]\nFROM prod AS dev\nCMD ["uvicorn", "main:app", "--reload"]\n',
        "compose.yaml": "services:\n  api:\n    build: { context: ., target: prod }\n",
        "compose.override.yaml": "services:\n  api:\n    command: uvicorn main:app --reload\n",
      },
      status: "pass",
    },
    "nothing says how it starts": { files: { "main.py": api }, status: "unknown" },
    "no server": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
