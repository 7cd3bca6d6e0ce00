import type { Cases } from "../support/readiness-cases.ts";

const settings = `from pydantic import field_validator
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    SECRET_KEY: str
`;

export const cases: Cases = {
  rule: "SEC-06",
  cases: {
    "a placeholder in the example that nothing refuses": {
      files: {
        "app/config.py": settings,
        ".env.example": "# x\nSECRET_KEY=changethis\nPROJECT=changethis\n",
      },
      status: "fail",
      severity: "p1",
      at: [".env.example:2"],
    },
    "a validator that refuses it is a strength": {
      files: {
        "app/config.py": `${settings}
    @field_validator("SECRET_KEY")
    def strong(cls, value):
        if value in ("changethis", "secret") or len(value) < 32:
            raise ValueError("SECRET_KEY")
        return value
`,
        ".env.example": "SECRET_KEY=changethis\n",
      },
      status: "pass",
      says: /SECRET_KEY/,
    },
    "a validator that logs refuses nothing": {
      files: {
        "app/config.py": `${settings}
    @field_validator("SECRET_KEY")
    def strong(cls, value):
        if value == "changethis":
            logger.warning("weak")
        return value
`,
        ".env.example": "SECRET_KEY=changethis\n",
      },
      status: "fail",
      at: [".env.example:1"],
    },
    "a schema that wants 32 characters": {
      files: {
        "src/env.ts":
          'import { z } from "zod";\nexport const env = z.object({ JWT_SECRET: z.string().min(32) }).parse(process.env);\n',
        ".env.example": "JWT_SECRET=change-me\n",
      },
      status: "pass",
    },
    "a schema that wants one character": {
      files: {
        "src/env.ts":
          'import { z } from "zod";\nexport const env = z.object({ JWT_SECRET: z.string().min(1) }).parse(process.env);\n',
        ".env.example": "JWT_SECRET=change-me\n",
      },
      status: "fail",
      at: [".env.example:1"],
    },
    "an example without values gives nobody a secret": {
      files: { "app/config.py": settings, ".env.example": "SECRET_KEY=\n" },
      status: "not-applicable",
    },
  },
};
