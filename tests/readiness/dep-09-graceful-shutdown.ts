import type { Cases } from "../support/readiness-cases.ts";

const EXPRESS =
  'import express from "express";\nconst app = express();\nconst server = app.listen(3000);\n';

export const cases: Cases = {
  rule: "DEP-09",
  cases: {
    "an engine that nothing disposes": {
      files: {
        "app/main.py":
          "from fastapi import FastAPI\napp = FastAPI()\nengine = create_async_engine(url)\n",
      },
      status: "fail",
      severity: "p2",
      at: ["app/main.py:3"],
    },
    "a lifespan that disposes it": {
      files: {
        "app/main.py": `from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    yield
    await engine.dispose()

app = FastAPI(lifespan=lifespan)
engine = create_async_engine(url)
`,
      },
      status: "pass",
    },
    "a lifespan that only begins": {
      files: {
        "app/main.py": `from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    await old.close()
    yield

app = FastAPI(lifespan=lifespan)
engine = create_async_engine(url)
`,
      },
      status: "fail",
    },
    "an event": {
      files: {
        "app/main.py":
          'from fastapi import FastAPI\napp = FastAPI()\n@app.on_event("shutdown")\nasync def stop():\n    await pool.close()\n',
      },
      status: "pass",
    },
    "Express ends at once": {
      files: { "src/app.ts": EXPRESS },
      status: "fail",
      at: ["src/app.ts"],
    },
    "Express closes": {
      files: {
        "src/app.ts": `${EXPRESS}const stop = () => server.close(() => process.exit(0));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
`,
      },
      status: "pass",
    },
    "Express takes the signal and closes nothing": {
      files: { "src/app.ts": `${EXPRESS}process.on("SIGTERM", () => process.exit(0));\n` },
      status: "warn",
      at: ["src/app.ts:4"],
    },
    "only the terminal's signal": {
      files: { "src/app.ts": `${EXPRESS}process.on("SIGINT", () => server.close());\n` },
      status: "fail",
    },
    "Nest's hooks": {
      files: {
        "src/main.ts":
          'import { NestFactory } from "@nestjs/core";\nconst app = await NestFactory.create(AppModule);\napp.enableShutdownHooks();\n',
      },
      status: "pass",
    },
    "Next does it by itself": {
      files: { "web/app/api/x/route.ts": "export function GET() { return Response.json(1); }\n" },
      status: "not-applicable",
    },
  },
};
