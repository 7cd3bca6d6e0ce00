import type { Cases } from "../support/readiness-cases.ts";

const RLS =
  "create table orders (id int, org_id int);\nalter table orders enable row level security;\n";

export const cases: Cases = {
  rule: "DB-02",
  cases: {
    "row security that the owner walks through": {
      files: { "migrations/1_a.sql": RLS },
      status: "fail",
      severity: "p1",
      at: ["migrations/1_a.sql:2"],
    },
    "forced on every table": {
      files: { "migrations/1_a.sql": `${RLS}alter table orders force row level security;` },
      status: "pass",
    },
    "a role that owns nothing": {
      files: {
        "migrations/1_a.sql":
          `${RLS}create role app_user login nobypassrls;\ngrant select on orders to app_user;`,
      },
      status: "pass",
    },
    "a role of the application that bypasses it": {
      files: { "migrations/1_a.sql": `${RLS}create role app_backend login bypassrls;` },
      status: "fail",
      says: /app_backend bypasses/,
    },
    "requests through Supabase's API own nothing": {
      files: { "supabase/migrations/1_a.sql": RLS },
      status: "pass",
    },
    "a driver beside that API": {
      files: {
        "supabase/migrations/1_a.sql": RLS,
        "package.json": '{ "dependencies": { "@supabase/supabase-js": "2", "pg": "8" } }',
      },
      status: "unknown",
    },
    "no row security, no question": {
      files: { "migrations/1_a.sql": "create table a (id int);" },
      status: "not-applicable",
    },
  },
};
