import os

import jwt
from fastapi import FastAPI, Header, Request
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy import create_engine, text

JWT_SECRET = os.getenv("JWT_SECRET", "super-secret-jwt-value")

app = FastAPI(debug=True)
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
engine = create_engine(os.environ["DATABASE_URL"])
current_org = None
BLOCKED = {"203.0.113.9"}


@app.post("/login")
def login(body: dict):
    print(f"login with {body['password']}")
    return {"token": jwt.encode({"org": body["org"]}, JWT_SECRET)}


@app.get("/orders")
def orders(request: Request, x_org_id: str = Header()):
    global current_org
    current_org = x_org_id
    if request.headers.get("X-Forwarded-For") in BLOCKED:
        return []
    with engine.connect() as connection:
        rows = connection.execute(text(f"select * from orders where org_id = '{x_org_id}'"))
        return [dict(row._mapping) for row in rows]


@app.exception_handler(Exception)
def failed(request, error):
    from fastapi.responses import JSONResponse

    return JSONResponse({"error": str(error)}, status_code=500)
