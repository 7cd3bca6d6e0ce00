import type { Cases } from "../support/readiness-cases.ts";

const engine = (options: string) =>
  `from sqlalchemy.ext.asyncio import create_async_engine\nengine = create_async_engine(URL${options})\n`;

export const cases: Cases = {
  rule: "DB-07",
  cases: {
    "a pool that nobody sized": {
      files: { "app/db.py": engine("") },
      status: "warn",
      severity: "p1",
      at: ["app/db.py:2"],
    },
    "more connections than the database has": {
      files: {
        "app/db.py": engine(", pool_size=20, max_overflow=10, pool_pre_ping=True"),
        "Dockerfile": 'FROM python:3.12\nCMD ["uvicorn", "app:app", "--workers", "4"]\n',
      },
      status: "fail",
      at: ["app/db.py:2"],
      says: /are 120/,
    },
    "a sized pool, through a dictionary and a setting": {
      files: {
        "app/db.py":
          "from sqlalchemy import create_engine\nOPTIONS = {'pool_size': 5, 'max_overflow': 5, 'pool_pre_ping': True}\nengine = create_engine(URL, **OPTIONS)\n",
      },
      status: "pass",
    },
    "no pool at all before a pooler": {
      files: { "app/db.py": engine(", poolclass=NullPool") },
      status: "pass",
    },
    "a size without a look at what died": {
      files: { "app/db.py": engine(", pool_size=5") },
      status: "warn",
      severity: "p2",
    },
    "migrations make an engine of their own": {
      files: { "alembic/env.py": engine("") },
      status: "not-applicable",
    },
    "pg with a size, and without": {
      files: {
        "src/db.ts":
          'import { Pool } from "pg";\nexport const a = new Pool({ max: 10 });\nexport const b = new Pool();\n',
      },
      status: "warn",
      at: ["src/db.ts:3"],
    },
  },
};
