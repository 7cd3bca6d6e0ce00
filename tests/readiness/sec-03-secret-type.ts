import type { Cases } from "../support/readiness-cases.ts";

const config = (...fields: string[]) =>
  `from pydantic import SecretStr\nfrom pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n${
    fields.map((one) => `    ${one}\n`).join("")
  }`;

export const cases: Cases = {
  rule: "SEC-03",
  cases: {
    "secrets typed str, optional ones too": {
      files: {
        "app/config.py": config("name: str", "secret_key: str", "smtp_password: str | None = None"),
      },
      status: "warn",
      severity: "p2",
      at: ["app/config.py:5"],
      says: /secret_key, smtp_password/,
    },
    "SecretStr passes, and what is no secret may be str": {
      files: {
        "app/config.py": config(
          "token_url: str = '/token'",
          "api_key_header: str = 'X-Key'",
          "secret_key: SecretStr",
          "db_password: SecretStr | None = None",
        ),
      },
      status: "pass",
    },
    "constants have no types to speak of": {
      files: { "settings.py": "import os\nSECRET_KEY = os.environ['SECRET_KEY']\n" },
      status: "not-applicable",
    },
  },
};
