import type { Cases } from "../support/readiness-cases.ts";

const code =
  'import os\na = os.environ["BILLING_URL"]\nb = os.getenv("PORT")\nc = os.getenv("PAGE_SIZE", "20")\n';

export const cases: Cases = {
  rule: "CFG-08",
  cases: {
    "a variable that is needed and nowhere written down": {
      files: { "app/a.py": code, ".env.example": "PAGE_SIZE=20\n" },
      status: "fail",
      severity: "p2",
      at: ["app/a.py:2"],
      says: /BILLING_URL/,
    },
    "one that has a default weighs less": {
      files: { "app/a.py": code, ".env.example": "# BILLING_URL=\n" },
      status: "warn",
      says: /PAGE_SIZE/,
    },
    "all written down, in a document too": {
      files: {
        "app/a.py": code,
        ".env.example": "BILLING_URL=\n",
        "README.md": "`PAGE_SIZE` rows a page.\n",
      },
      status: "pass",
    },
    "a prefix is part of the name": {
      files: {
        "app/config.py":
          'from pydantic_settings import BaseSettings, SettingsConfigDict\nclass S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix="APP_")\n    token: str\n',
        ".env.example": "APP_TOKEN=\n",
      },
      status: "pass",
    },
    "Node, and what its platform sets": {
      files: {
        "src/a.ts":
          "export const a = process.env.BILLING_URL;\nexport const b = process.env.VERCEL_URL;\n",
      },
      status: "fail",
      at: ["src/a.ts:1"],
    },
    "what is left of the environment is no variable": {
      files: {
        "src/a.ts":
          "const { BILLING_URL, ...others } = process.env;\nexport const all = { BILLING_URL, others };\n",
        ".env.example": "BILLING_URL=\n",
      },
      status: "pass",
    },
    "no variables": { files: { "a.py": "x = 1\n" }, status: "not-applicable" },
  },
};
