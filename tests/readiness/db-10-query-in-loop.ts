import type { Cases } from "../support/readiness-cases.ts";

const app = (body: string) => `from fastapi import FastAPI\napp = FastAPI()\n${body}`;

export const cases: Cases = {
  rule: "DB-10",
  cases: {
    "a query for each row": {
      files: {
        "app/main.py": app(`@app.get("/a")
async def a(session):
    rows = (await session.execute(q)).all()
    for row in rows:
        row.lines = await session.execute(lines(row.id))
`),
      },
      status: "warn",
      severity: "p2",
      at: ["app/main.py:7"],
    },
    "one query with what belongs to it": {
      files: {
        "app/main.py": app(`@app.get("/a")
async def a(session):
    rows = (await session.execute(select(A).options(selectinload(A.lines)))).all()
    for row in rows:
        cache.get(row.id)
`),
      },
      status: "pass",
    },
    "a loop of a script": {
      files: {
        "app/main.py": app('@app.get("/a")\ndef a(): return 1\n'),
        "scripts/fill.py":
          "def fill(session):\n    for x in range(9):\n        session.execute(q)\n",
      },
      status: "unknown",
    },
    "no back end": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
