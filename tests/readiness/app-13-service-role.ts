import type { Cases } from "../support/readiness-cases.ts";

const admin = `import { createClient } from "@supabase/supabase-js";
export const admin = createClient(process.env.SUPABASE_URL!, process.env.SUPABASE_SERVICE_ROLE_KEY!);
`;

export const cases: Cases = {
  rule: "APP-13",
  cases: {
    "a write of any tenant's row, two files away": {
      files: {
        "lib/admin.ts": admin,
        "lib/index.ts": 'export { admin } from "./admin";\n',
        "app/api/pay/route.ts":
          'import { admin } from "../../../lib";\nexport async function POST() {\n  await admin.from("orders").update({ paid: true }).eq("id", 1);\n  return Response.json({});\n}\n',
      },
      status: "fail",
      severity: "p1",
      at: ["app/api/pay/route.ts:3"],
    },
    "a write through an alias of tsconfig": {
      files: {
        "tsconfig.json":
          '{ "compilerOptions": { "paths": { "@/*": ["./src/*"], "@admin": ["./src/lib/admin.ts"] } } }',
        "src/lib/admin.ts": admin,
        "src/app/api/pay/route.ts":
          'import { admin } from "@/lib/admin";\nexport async function POST() {\n  await admin.from("orders").update({ paid: true }).eq("id", 1);\n  return Response.json({});\n}\n',
        "src/app/api/refund/route.ts":
          'import { admin } from "@admin";\nexport async function POST() {\n  await admin.from("orders").delete().eq("id", 1);\n  return Response.json({});\n}\n',
      },
      status: "fail",
      severity: "p1",
      at: ["src/app/api/pay/route.ts:3", "src/app/api/refund/route.ts:3"],
    },
    "a client that is handed to a function that knows nothing of Supabase": {
      files: {
        "lib/admin.ts": admin,
        "lib/orders.ts":
          'export async function pay(db: any) {\n  await db.from("orders").update({ paid: true }).eq("id", 1);\n}\n',
        "app/api/pay/route.ts":
          'import { admin } from "../../../lib/admin";\nimport { pay } from "../../../lib/orders";\nexport async function POST() {\n  await pay(admin);\n  return Response.json({});\n}\n',
      },
      status: "fail",
      at: ["lib/orders.ts:2"],
    },
    "a write of the package next door in a workspace": {
      files: {
        "packages/db/package.json": '{ "name": "@acme/db", "main": "dist/client.js" }',
        "packages/db/src/client.ts": admin,
        "apps/api/pay.ts":
          'import { admin } from "@acme/db";\nexport async function pay() {\n  await admin.from("orders").update({ paid: true }).eq("id", 1);\n}\n',
      },
      status: "fail",
      at: ["apps/api/pay.ts:3"],
    },
    "a read without the tenant is a weakness": {
      files: {
        "lib/admin.ts": admin,
        "app/api/orders/route.ts":
          'import { admin } from "../../../lib/admin";\nexport async function GET() {\n  return Response.json(await admin.from("orders").select());\n}\n',
      },
      status: "warn",
      at: ["app/api/orders/route.ts:3"],
    },
    "each query names the tenant": {
      files: {
        "lib/admin.ts": admin,
        "app/api/orders/route.ts":
          'import { admin } from "../../../lib/admin";\nexport async function GET(org: string) {\n  await admin.from("orders").update({ seen: true }).eq("org_id", org);\n  return Response.json(await admin.from("orders").select().eq("org_id", org));\n}\n',
      },
      status: "pass",
    },
    "the public key obeys the policies": {
      files: {
        "lib/client.ts":
          'import { createClient } from "@supabase/supabase-js";\nexport const supabase = createClient(process.env.NEXT_PUBLIC_SUPABASE_URL!, process.env.NEXT_PUBLIC_SUPABASE_ANON_KEY!);\n// no service here\nawait supabase.from("orders").update({ paid: true }).eq("id", 1);\n',
      },
      status: "not-applicable",
    },
    "no Supabase": {
      files: { "src/a.ts": "export const service = 1;\n" },
      status: "not-applicable",
    },
  },
};
