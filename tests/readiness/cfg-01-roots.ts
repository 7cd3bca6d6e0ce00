import type { Cases } from "../support/readiness-cases.ts";

const CI = {
  ".github/workflows/ci.yml":
    "on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: make }] } }\n",
};
const IMAGE = { Dockerfile: "FROM python:3.13\n" };

export const cases: Cases = {
  rule: "CFG-01",
  cases: {
    "a monorepo is found by its manifests, whatever its folders are called": {
      files: {
        ...CI,
        "platform/pyproject.toml":
          '[project]\nname = "x"\ndependencies = [\n  "FastAPI[standard]>=0.115",\n  "SQLAlchemy",\n]\n',
        "platform/db/versions/0001_a.py": 'revision = "1"\ndown_revision = None\n',
        "shop/package.json":
          '{\n  "dependencies": { "next": "15.1.0", "react-dom": "19.0.0" }\n}\n',
        "deploy/compose.yml":
          "services:\n  api: { image: acme/api }\n  edge: { image: 'caddy:2' }\n",
      },
      status: "pass",
      says:
        /back end: fastapi in platform[\s\S]*web: next in shop[\s\S]*compose in deploy[\s\S]*caddy in deploy[\s\S]*alembic in platform\/db/,
    },
    "what is missing is named": {
      files: { "server/requirements.txt": "# pinned\nflask==3.1.0\npsycopg2-binary==2.9\n" },
      status: "warn",
      at: [".github/workflows", "server/requirements.txt", "server/requirements.txt:3"],
    },
    "a library of components is no web, a test's framework no back end": {
      files: {
        ...CI,
        "package.json":
          '{ "peerDependencies": { "react-dom": "19" }, "devDependencies": { "express": "5", "vite": "6" } }',
        "examples/app/package.json": '{ "dependencies": { "next": "15" } }',
      },
      status: "unknown",
    },
    "poetry, Pipfile and Vite are read": {
      files: {
        ...CI,
        ...IMAGE,
        "api/pyproject.toml":
          '[tool.poetry.dependencies]\npython = "^3.12"\ndjango = "^5"\n[tool.poetry.group.dev.dependencies]\nflask = "*"\n',
        "api/shop/migrations/0001_initial.py": "class Migration: pass\n",
        "jobs/Pipfile": '[packages]\nsanic = "*"\n',
        "ui/package.json":
          '{ "dependencies": { "react-dom": "19" }, "devDependencies": { "vite": "6" } }',
      },
      status: "pass",
      says: /django in api[\s\S]*sanic in jobs/,
    },
    "a back end in a language that no rule reads is known": {
      files: { ...CI, ...IMAGE, "go.mod": "module x\nrequire github.com/gin-gonic/gin v1.10.0\n" },
      status: "pass",
      says: /back end: Go in the root/,
    },
    "a repository without an application is not judged": {
      files: { "README.md": "# Notes\n" },
      status: "unknown",
    },
    "a manifest that can't be parsed is unknown": {
      files: { ...CI, "package.json": '{ "dependencies": ' },
      status: "unknown",
      says: /package\.json/,
    },
  },
};
