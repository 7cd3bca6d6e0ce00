import type { Cases } from "../support/readiness-cases.ts";

const main = (options: string) =>
  `from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware as Cors
from app.config import settings
app = FastAPI()
app.add_middleware(Cors, ${options})
`;
const config = (...fields: string[]) =>
  `from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n${
    fields.map((one) => `    ${one}\n`).join("")
  }settings = Settings()\n`;

export const cases: Cases = {
  rule: "CFG-06",
  cases: {
    "any origin with credentials": {
      files: { "app/main.py": main('allow_origins=["*"], allow_credentials=True') },
      status: "fail",
      severity: "p1",
      at: ["app/main.py:5"],
    },
    "any origin by a pattern, and by the default of a setting": {
      files: {
        "app/main.py": main('allow_origin_regex=r"https?://.*", allow_credentials=True'),
        "app/config.py": config('cors_origins: list[str] = ["*"]', "cors_credentials: bool = True"),
        "app/other.py": main(
          "allow_origins=settings.cors_origins, allow_credentials=settings.cors_credentials",
        ),
      },
      status: "fail",
      at: ["app/main.py:5", "app/other.py:5"],
    },
    "a list from settings passes, through a property too": {
      files: {
        "app/main.py": main("allow_origins=settings.origins, allow_credentials=True"),
        "app/config.py": config(
          'frontend: str = "http://localhost:5173"',
          "extra: list[str] = []",
          "@property\n    def origins(self):\n        return [str(o).rstrip('/') for o in self.extra] + [self.frontend]",
        ),
      },
      status: "pass",
    },
    "a list that only the deployment knows is unknown, unless the example shows it": {
      files: {
        "app/main.py": main("allow_origins=settings.origins, allow_credentials=True"),
        "app/config.py": config("origins: list[str]"),
      },
      status: "unknown",
    },
    "the example shows a star": {
      files: {
        "app/main.py": main("allow_origins=settings.origins, allow_credentials=True"),
        "app/config.py": config("origins: list[str]"),
        ".env.example": 'ORIGINS=["*"]\n',
      },
      status: "fail",
    },
    "any origin without credentials is a weakness": {
      files: { "app/main.py": main('allow_origins=["*"]') },
      status: "warn",
      severity: "p2",
    },
    "a star that only development has": {
      files: {
        "app/main.py": main(
          'allow_origins=["*"] if settings.ENVIRONMENT == "local" else ["https://a.example"], allow_credentials=True',
        ),
      },
      status: "pass",
    },
    "Express that answers with the origin that asked": {
      files: {
        "server.js":
          'const cors = require("cors");\nconst app = require("express")();\napp.use(cors({ origin: true, credentials: true }));\n',
      },
      status: "fail",
      at: ["server.js:3"],
    },
    "Express with a list": {
      files: {
        "server.js":
          'const cors = require("cors");\nconst app = require("express")();\napp.use(cors({ origin: ["https://a.example"], credentials: true }));\n',
      },
      status: "pass",
    },
    "no CORS": { files: { "app/main.py": "app = 1\n" }, status: "not-applicable" },
  },
};
