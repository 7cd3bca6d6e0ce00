import type { Cases } from "../support/readiness-cases.ts";

const app = (body: string) =>
  `from fastapi import APIRouter, Depends, FastAPI, Query
from app.crud import orders
app = FastAPI()
${body}`;

export const cases: Cases = {
  rule: "DB-09",
  cases: {
    "every row, here and in the function that asks": {
      files: {
        "app/main.py": app(`@app.get("/users")
def users(db=Depends(get_db)):
    return db.query(User).all()
@app.get("/orders")
async def list_orders(session=Depends(get_session)):
    return await orders(session)
`),
        "app/crud.py":
          "async def orders(session):\n    return (await session.execute(select(Order))).scalars().all()\n",
      },
      status: "fail",
      severity: "p1",
    },
    "a limit with an upper bound, and a helper that pages": {
      files: {
        "app/main.py": app(`@app.get("/users")
def users(limit: int = Query(20, le=100), db=Depends(get_db)):
    return db.query(User).limit(limit).all()
@app.get("/items", response_model=Page[Item])
def items(db=Depends(get_db)):
    return paginate(db.query(Item))
`),
      },
      status: "pass",
    },
    "a limit that may be anything": {
      files: {
        "app/main.py": app(`@app.get("/users")
def users(skip: int = 0, limit: int = 100, db=Depends(get_db)):
    return db.query(User).offset(skip).limit(limit).all()
`),
      },
      status: "warn",
      severity: "p2",
    },
    "a single row is no list": {
      files: {
        "app/main.py": app(`@app.get("/users/{id}")
def user(id: int, db=Depends(get_db)):
    return db.query(User).filter(User.id == id).first()
`),
      },
      status: "unknown",
    },
    "Express with and without take": {
      files: {
        "src/app.ts": `import express from "express";
const app = express();
app.get("/a", async (req, res) => { res.json(await prisma.order.findMany()); });
app.get("/b", async (req, res) => { res.json(await prisma.order.findMany({ take: 50 })); });
`,
      },
      status: "fail",
      at: ["src/app.ts:3"],
    },
    "no back end": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
    "a limit in written SQL": {
      files: {
        "main.py": `from fastapi import FastAPI
app = FastAPI()
@app.get("/items")
async def items(limit: int = 50):
    rows = await database.execute(text("select id from items order by id" " limit :limit"), {"limit": limit})
    return [dict(row) for row in rows]
`,
      },
      status: "pass",
    },
    "one row by its key is no list": {
      files: {
        "main.py": `from fastapi import FastAPI
app = FastAPI()
@app.get("/items/{id}")
async def item(id: int):
    return await database.execute(text("select id from items where id = :id limit 1"), {"id": id})
`,
      },
      status: "unknown",
    },
  },
};
