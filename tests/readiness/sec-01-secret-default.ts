import type { Cases } from "../support/readiness-cases.ts";

const fake = ["not", "a", "real", "one", "7Q2"].join("-");

export const cases: Cases = {
  rule: "SEC-01",
  cases: {
    "a field of settings, by the class it inherits through another": {
      files: {
        "app/core/base.py":
          "from pydantic_settings import BaseSettings\nclass Base(BaseSettings):\n    pass\n",
        "app/core/config.py": `from app.core.base import Base
class Settings(Base):
    PROJECT_NAME: str = "demo"
    SECRET_KEY: str = "${fake}"
    ACCESS_TOKEN_EXPIRE_MINUTES: int = 60
    JWT_ALGORITHM: str = "HS256"
    TOKEN_URL: str = "/api/login"
    STRIPE_PUBLISHABLE_KEY: str = "pk_demo_123"
    API_KEY_HEADER: str = "X-API-Key"
    SESSION_COOKIE_KEY: str = "sid"
    OPENAI_MODEL: str = "a"
    MAX_TOKENS: str = "8"
`,
      },
      status: "fail",
      severity: "p0",
      at: ["app/core/config.py:4"],
      hides: [fake],
    },
    "os.environ with a default, in Flask's class and outside of it": {
      files: {
        "config.py": `import os
class Config:
    SECRET_KEY = os.environ.get("SECRET_KEY") or "${fake}"
class DevelopmentConfig(Config):
    SECRET_KEY = "dev"
`,
        "worker.py": `import os
key = os.getenv("ENCRYPTION_KEY", "${fake}")
name = os.getenv("QUEUE_NAME", "jobs")
`,
      },
      status: "fail",
      at: ["config.py:3", "worker.py:2"],
      hides: [fake],
    },
    "a constant of Django's settings, and Field(default=…) around SecretStr": {
      files: {
        "site/settings.py": `INSTALLED_APPS = ["a"]\nSECRET_KEY = "django-insecure-${fake}"\n`,
        "api/config.py": `from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings
DEFAULT = "${fake}"
class S(BaseSettings):
    jwt_secret: SecretStr = Field(default=SecretStr(DEFAULT))
    db_password: SecretStr = Field(...)
    key_id: str = "a"
`,
      },
      status: "fail",
      at: ["site/settings.py:2", "api/config.py:5"],
      hides: [fake],
    },
    "process.env with a fallback, and a schema with a default": {
      files: {
        "server/auth.ts": `export const secret = process.env.JWT_SECRET || "${fake}";
const { SESSION_SECRET = "${fake}" } = process.env;
export const port = process.env.PORT ?? "3000";
`,
        "server/env.ts": `import { z } from "zod";
export const env = z.object({
  COOKIE_SECRET: z.string().default("${fake}"),
  DATABASE_URL: z.string().url(),
}).parse(process.env);
`,
      },
      status: "fail",
      severity: "p0",
      at: ["server/auth.ts:1", "server/auth.ts:2", "server/env.ts:3"],
      hides: [fake],
    },
    "a fallback that only development has is none": {
      files: {
        "server/auth.ts": `const secret = process.env.NODE_ENV === "production"
  ? process.env.JWT_SECRET : process.env.JWT_SECRET || "${fake}";
export const key = process.env.API_SECRET ?? (process.env.NODE_ENV === "development" ? "${fake}" : undefined);
if (!key) throw new Error("no key");
`,
      },
      status: "pass",
      hides: [fake],
    },
    "a sentence that signs, and words of a service": {
      files: {
        "app/config.py": `from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    SECRET: str = "a very secret sentence indeed"
    FILES_DOWNLOAD_SALT: str = "saltysalty"
    AUTH_COOKIE_KEY: str = "app_session"
    POSTGRES_PWD: str = "app"
    CLIENT_ID: str = "app"
`,
      },
      status: "fail",
      at: ["app/config.py:3", "app/config.py:4", "app/config.py:6"],
    },
    "a default that a validator refuses is a strength": {
      files: {
        "app/config.py": `from pydantic import model_validator
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    ENVIRONMENT: str = "production"
    SECRET_KEY: str = "changethis"
    def _check(self, name, value):
        if value == "changethis":
            if self.ENVIRONMENT == "local":
                return
            raise ValueError(name)
    @model_validator(mode="after")
    def check(self):
        self._check("SECRET_KEY", self.SECRET_KEY)
        return self
`,
      },
      status: "pass",
      says: /a check refuses/,
    },
    "a guard that only asks whether it is there lets the default through": {
      files: {
        "app/config.py": `import os
SECRET_KEY = os.getenv("SECRET_KEY", "changeme")
if not SECRET_KEY:
    raise RuntimeError("SECRET_KEY")
`,
      },
      status: "fail",
      at: ["app/config.py:2"],
    },
    "an address with a password, of another host and of this one": {
      files: {
        "app/config.py": `import os
DATABASE_URL = os.getenv("DATABASE_URL", "postgresql://app:${fake}@db.example.com/app")
REDIS_URL = os.getenv("REDIS_URL", "redis://localhost:6379/0")
CELERY = os.getenv("BROKER_URL", "amqp://guest:guest@rabbit//")
`,
      },
      status: "fail",
      severity: "p1",
      at: ["app/config.py:2"].concat("app/config.py:4"),
      hides: [fake],
    },
    "a field without a default passes; one made at each start is pointed out": {
      files: {
        "app/config.py": `import secrets
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    db_password: str
    secret_key: str = secrets.token_urlsafe(32)
`,
      },
      status: "warn",
      at: ["app/config.py:5"],
    },
    "names of columns, headers and cookies are no secrets, nor is a class of tests": {
      files: {
        "app/constants.py": `CACHE_KEY = "user:list"
CSRF_TOKEN_HEADER = "X-CSRF"
PASSWORD_RESET_TEMPLATE = "reset.html"
PRIMARY_KEY = "id"
ACCESS_TOKEN = "access_token"
`,
        "app/config.py": `from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    secret_key: str
class TestSettings(Settings):
    secret_key: str = "test"
`,
      },
      status: "pass",
      at: [],
    },
    "no settings, no question": {
      files: { "README.md": "# App\n" },
      status: "not-applicable",
    },
  },
};
