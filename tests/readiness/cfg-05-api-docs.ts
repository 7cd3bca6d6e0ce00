import type { Cases } from "../support/readiness-cases.ts";

const app = (options: string, more = "") =>
  `from fastapi import FastAPI\nfrom app.config import settings\n${more}app = FastAPI(${options})\n`;

export const cases: Cases = {
  rule: "CFG-05",
  cases: {
    "pages and schema for everybody, at a path of its own too": {
      files: {
        "a/main.py": app('title="x"'),
        "b/main.py": app('openapi_url=f"{settings.API_V1_STR}/openapi.json"'),
      },
      status: "warn",
      severity: "p2",
      at: ["a/main.py:3", "b/main.py:3"],
    },
    "pages that are off while the schema is served": {
      files: { "a/main.py": app("docs_url=None, redoc_url=None") },
      status: "warn",
      says: /still served/,
    },
    "off, decided by a condition, by a setting, or later": {
      files: {
        "a/main.py": app("openapi_url=None"),
        "b/main.py": app('openapi_url="/openapi.json" if settings.DEBUG else None'),
        "c/main.py": app("openapi_url=settings.OPENAPI_URL"),
        "d/main.py": `${app("")}if settings.ENV == "production":\n    app.openapi_url = None\n`,
      },
      status: "pass",
    },
    "options that are put together elsewhere": {
      files: { "a/main.py": app("**options()") },
      status: "unknown",
    },
    "Nest that mounts them always": {
      files: {
        "src/main.ts":
          'import { SwaggerModule } from "@nestjs/swagger";\nasync function bootstrap(app) {\n  SwaggerModule.setup("docs", app, document);\n}\n',
      },
      status: "warn",
      at: ["src/main.ts:3"],
    },
    "Nest that mounts them in development": {
      files: {
        "src/main.ts":
          'import { SwaggerModule } from "@nestjs/swagger";\nasync function bootstrap(app) {\n  if (process.env.NODE_ENV !== "production") {\n    SwaggerModule.setup("docs", app, document);\n  }\n}\n',
      },
      status: "pass",
    },
    "no API": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
