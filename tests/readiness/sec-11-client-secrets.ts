import type { Cases } from "../support/readiness-cases.ts";

const ADMIN =
  "export const admin = make(process.env.SUPABASE_SERVICE_ROLE_KEY);\nexport type Row = { id: string };\n";

export const cases: Cases = {
  rule: "SEC-11",
  cases: {
    "client code leads to a module that reads a secret": {
      files: {
        "package.json": "{}",
        "lib/admin.ts": ADMIN,
        "lib/index.ts": 'export * from "./admin";',
        "app/page.tsx": '"use client";\nimport { admin } from "@/lib";\nadmin();\n',
      },
      status: "fail",
      severity: "p2",
      at: ["lib/admin.ts:1"],
      says: /app\/page\.tsx → lib\/index\.ts → lib\/admin\.ts/,
    },
    "a config that writes it into the bundle": {
      files: {
        "next.config.js":
          "module.exports = { env: { KEY: process.env.STRIPE_SECRET_KEY, HAS: !process.env.API_SECRET } };",
      },
      status: "fail",
      severity: "p0",
    },
    "an import of types alone leads nowhere": {
      files: {
        "lib/admin.ts": ADMIN,
        "app/page.tsx":
          '"use client";\nimport type { Row } from "../lib/admin";\nimport { type Row as R } from "../lib/admin";\n',
      },
      status: "pass",
    },
    "a server action ends the way": {
      files: {
        "lib/admin.ts": ADMIN,
        "app/actions.ts":
          '"use server";\nimport { admin } from "../lib/admin";\nexport async function act() { admin(); }\n',
        "app/page.tsx": '"use client";\nimport { act } from "./actions";\nact();\n',
      },
      status: "pass",
    },
    "a module that says it is the server's": {
      files: {
        "lib/admin.ts": `import "server-only";\n${ADMIN}`,
        "app/page.tsx": '"use client";\nimport { admin } from "../lib/admin";\nadmin();\n',
      },
      status: "pass",
    },
    "what is public may be there": {
      files: { "app/page.tsx": '"use client";\nconst url = process.env.NEXT_PUBLIC_API_URL;\n' },
      status: "not-applicable",
    },
  },
};
