import type { Cases } from "../support/readiness-cases.ts";

const config = (field: string) =>
  `from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    ${field}\nsettings = Settings()\n`;
const main =
  "from app.config import settings\nif settings.ENVIRONMENT == 'local':\n    allow_everything()\n";

export const cases: Cases = {
  rule: "CFG-03",
  cases: {
    "local by default, and a branch decides by it": {
      files: {
        "app/config.py": config('ENVIRONMENT: Literal["local", "production"] = "local"'),
        "app/main.py": main,
      },
      status: "fail",
      severity: "p1",
      at: ["app/config.py:3"],
      says: /app\/main.py:2/,
    },
    "a member of an enumeration, and a method that asks": {
      files: {
        "app/config.py": `from enum import StrEnum
from pydantic_settings import BaseSettings
class Env(StrEnum):
    development = "development"
    production = "production"
class Settings(BaseSettings):
    ENV: Env = Env.development
    def is_development(self):
        return self.ENV == Env.development
`,
      },
      status: "fail",
      at: ["app/config.py:7"],
    },
    "development by default that nothing asks for": {
      files: { "app/config.py": config('app_env: str = "development"') },
      status: "warn",
      severity: "p2",
    },
    "production by default passes, and so does none": {
      files: {
        "app/config.py": config('ENVIRONMENT: str = "production"'),
        "app/main.py": main,
        "b/config.py": config("ENVIRONMENT: str | None = None"),
      },
      status: "pass",
    },
    "debug that is on unless turned off": {
      files: {
        "site/settings.py":
          'import os\nDEBUG = os.getenv("DEBUG", "True") == "True"\nALLOWED_HOSTS = []\n',
      },
      status: "fail",
      at: ["site/settings.py:2"],
    },
    "debug that only the development settings turn on": {
      files: {
        "site/settings/base.py": "DEBUG = False\n",
        "site/settings/local.py": "from .base import *\nDEBUG = True\n",
      },
      status: "pass",
    },
    "APP_ENV of a Node server": {
      files: {
        "server/env.ts": 'export const APP_ENV = process.env.APP_ENV || "development";\n',
        "server/index.ts":
          'import { APP_ENV } from "./env";\nif (APP_ENV === "development") open();\n',
      },
      status: "fail",
      at: ["server/env.ts:1"],
    },
    "settings without an environment": {
      files: { "app/config.py": config("name: str") },
      status: "not-applicable",
    },
  },
};
