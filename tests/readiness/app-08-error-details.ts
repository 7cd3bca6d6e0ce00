import type { Cases } from "../support/readiness-cases.ts";

const APP = "from fastapi import FastAPI, HTTPException\napp = FastAPI()\n";
const EXPRESS = 'import express from "express";\nconst app = express();\n';

export const cases: Cases = {
  rule: "APP-08",
  cases: {
    "the handler of every error answers with its text": {
      files: {
        "app/main.py": `${APP}
@app.exception_handler(Exception)
async def unexpected(request, exc):
    return JSONResponse(status_code=500, content={"detail": str(exc)})
`,
      },
      status: "fail",
      severity: "p1",
      at: ["app/main.py:6"],
    },
    "the handler of every error answers a sentence": {
      files: {
        "app/main.py": `${APP}
@app.exception_handler(Exception)
async def unexpected(request, exc):
    logger.exception("failed", exc_info=exc)
    return JSONResponse(status_code=500, content={"detail": "Something went wrong"})
`,
      },
      status: "pass",
    },
    "details in development alone": {
      files: {
        "app/main.py": `${APP}
@app.exception_handler(Exception)
async def unexpected(request, exc):
    detail = str(exc) if settings.ENVIRONMENT == "local" else "Something went wrong"
    return JSONResponse(status_code=500, content={"detail": detail})
`,
      },
      status: "pass",
    },
    "a route that catches everything": {
      files: {
        "app/main.py": `${APP}
@app.post("/orders")
def order():
    try:
        place()
    except Exception as e:
        raise HTTPException(status_code=500, detail=f"failed: {e}")
`,
      },
      status: "fail",
      at: ["app/main.py:9"],
    },
    "what a domain error says is meant for the caller": {
      files: {
        "app/main.py": `${APP}
@app.post("/orders")
def order():
    try:
        place()
    except OutOfStock as e:
        raise HTTPException(status_code=409, detail=str(e))
`,
      },
      status: "pass",
    },
    "everything, as the caller's mistake": {
      files: {
        "app/main.py": `${APP}
@app.post("/orders")
def order():
    try:
        place()
    except Exception as e:
        raise HTTPException(status_code=400, detail=str(e))
`,
      },
      status: "warn",
      severity: "p2",
    },
    "a traceback": {
      files: {
        "app/main.py": `${APP}
async def unexpected(request, exc):
    return PlainTextResponse(traceback.format_exc(), status_code=500)

app.add_exception_handler(Exception, unexpected)
`,
      },
      status: "fail",
      at: ["app/main.py:5"],
    },
    "a handler that nobody adds": {
      files: {
        "app/main.py": `${APP}
async def unexpected(request, exc):
    return PlainTextResponse(traceback.format_exc(), status_code=500)
`,
      },
      status: "pass",
    },
    "Express answers with the message": {
      files: {
        "src/app.ts": `${EXPRESS}app.use((err, req, res, next) => {
  res.status(err.status || 500).json({ message: err.message });
});
`,
      },
      status: "fail",
      at: ["src/app.ts:4"],
    },
    "Express keeps the message in production": {
      files: {
        "src/app.ts": `${EXPRESS}app.use((err, req, res, next) => {
  let { statusCode, message } = err;
  if (process.env.NODE_ENV === "production" && !err.isOperational) {
    message = "Internal server error";
  }
  res.status(statusCode).json({ message, ...(process.env.NODE_ENV === "development" && { stack: err.stack }) });
});
`,
      },
      status: "pass",
    },
    "Express tells its own errors from the rest": {
      files: {
        "src/app.ts": `${EXPRESS}app.use((err, req, res, next) => {
  if (err instanceof AppError) return res.status(err.status).json({ message: err.message });
  res.status(500).json({ message: "Something went wrong" });
});
`,
      },
      status: "pass",
    },
    "a Next route that answers with the message": {
      files: {
        "web/app/api/orders/route.ts": `export async function POST(request: Request) {
  try {
    return Response.json(await place());
  } catch (error) {
    return NextResponse.json({ error: (error as Error).message }, { status: 500 });
  }
}
`,
      },
      status: "fail",
      at: ["web/app/api/orders/route.ts:5"],
    },
    "a Next route that doesn't": {
      files: {
        "web/app/api/orders/route.ts": `export async function POST(request: Request) {
  try {
    return Response.json(await place());
  } catch (error) {
    logger.error(error);
    return NextResponse.json({ error: "failed" }, { status: 500 });
  }
}
`,
      },
      status: "pass",
    },
    "Nest's filter for everything": {
      files: {
        "src/all.filter.ts": `import { Catch } from "@nestjs/common";
@Catch()
export class AllExceptions {
  catch(exception, host) {
    response.status(500).json({ message: exception.message });
  }
}
`,
      },
      status: "fail",
    },
    "Fastify answers with the message unless it is told not to": {
      files: { "src/app.ts": 'import Fastify from "fastify";\nconst app = Fastify();\n' },
      status: "warn",
      severity: "p2",
    },
    "Fastify with a handler": {
      files: {
        "src/app.ts": `import Fastify from "fastify";
const app = Fastify();
app.setErrorHandler((error, request, reply) => {
  request.log.error(error);
  reply.status(500).send({ error: "Something went wrong" });
});
`,
      },
      status: "pass",
    },
    "no back end": { files: { "README.md": "x\n" }, status: "not-applicable" },
    "the stack of an error that a client gave back": {
      files: {
        "app/api/items/route.ts":
          'import { db } from "./db";\nexport async function GET() {\n  const { data, error } = await db.from("items").select();\n  if (error) return Response.json({ error: "failed", stack: error.stack }, { status: 500 });\n  return Response.json(data);\n}\n',
      },
      status: "fail",
      at: ["app/api/items/route.ts:4"],
    },
    "the stack in a log is for the log": {
      files: {
        "app/api/items/route.ts":
          'import { db } from "./db";\nexport async function GET() {\n  const { data, error } = await db.from("items").select();\n  if (error) console.error(error.stack);\n  return Response.json(data);\n}\n',
      },
      status: "pass",
    },
  },
};
