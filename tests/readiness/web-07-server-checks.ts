import type { Cases } from "../support/readiness-cases.ts";

const NEXT = { "package.json": '{ "dependencies": { "next": "16", "next-auth": "5" } }' };
const MIDDLEWARE = {
  "middleware.ts":
    'export function middleware(request) { if (!request.cookies.get("session")) return redirect("/login"); }',
};

export const cases: Cases = {
  rule: "WEB-07",
  cases: {
    "only the browser asks": {
      files: { ...NEXT, "app/dashboard/page.tsx": '"use client";\nconst { data } = useSession();' },
      status: "fail",
      severity: "p1",
    },
    "the middleware alone is a first door": {
      files: {
        ...NEXT,
        ...MIDDLEWARE,
        "app/dashboard/page.tsx": "export default function Page() { return <p />; }",
      },
      status: "warn",
      at: ["middleware.ts:1"],
    },
    "a layout asks on the server": {
      files: {
        ...NEXT,
        ...MIDDLEWARE,
        "app/(app)/layout.tsx":
          'import { auth } from "@/auth";\nexport default async function Layout() { const session = await auth(); }',
      },
      status: "pass",
    },
    "pages for everybody": {
      files: {
        "package.json": '{ "dependencies": { "next": "16" } }',
        "app/page.tsx": "export default () => <p />;",
      },
      status: "not-applicable",
    },
  },
};
