import type { Cases } from "../support/readiness-cases.ts";

const read = (name: string) => `import os\nvalue = os.getenv("${name}")\n`;

export const cases: Cases = {
  rule: "CFG-02",
  cases: {
    "a class that inherits BaseSettings through another passes": {
      files: {
        "svc/conf/base.py": "from pydantic_settings import BaseSettings as B\nclass Base(B): ...\n",
        "svc/conf/app.py": "from .base import Base\nclass App(Base):\n    name: str\n",
      },
      status: "pass",
      says: /App reads the environment/,
    },
    "reads all over the code": {
      files: { "app/a.py": read("A"), "app/b.py": read("B"), "app/c.py": read("C") },
      status: "fail",
      severity: "p1",
      at: ["app/a.py:2"],
    },
    "a plain module of settings is weaker than a class": {
      files: { "app/settings.py": read("A") + 'b = os.environ["B"]\n' },
      status: "warn",
      at: ["app/settings.py:2"],
    },
    "reads in scripts, tests and migrations are none of the application's": {
      files: {
        "app/config.py":
          "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    a: str\n",
        "scripts/a.py": read("A"),
        "tests/b.py": read("B"),
        "alembic/env.py": read("C"),
      },
      status: "pass",
    },
    "process.env without a schema, and with one": {
      files: { "server/a.ts": "export const a = process.env.STRIPE_KEY;\n" },
      status: "warn",
      severity: "p2",
    },
    "a schema of the environment passes": {
      files: {
        "server/env.ts":
          'import { z } from "zod";\nexport const env = z.object({ DATABASE_URL: z.string().url() }).parse(process.env);\n',
        "server/index.ts": "const port = process.env.PORT ?? 3000;\n",
      },
      status: "pass",
    },
    "nothing reads settings": { files: { "README.md": "# a\n" }, status: "not-applicable" },
  },
};
