import type { Cases } from "../support/readiness-cases.ts";

const FIRST = { "migrations/1_a.sql": "create table orders (id int, name text);" };

export const cases: Cases = {
  rule: "DB-14",
  cases: {
    "what is dropped and emptied without a word": {
      files: {
        ...FIRST,
        "migrations/2_b.sql":
          "alter table orders drop column name;\ntruncate orders;\ndrop table orders;\ndelete from orders;",
      },
      status: "fail",
      severity: "p1",
      at: [1, 2, 3, 4].map((line) => `migrations/2_b.sql:${line}`),
    },
    "an index that locks the table, and one that doesn't": {
      files: {
        ...FIRST,
        "migrations/2_b.sql":
          "create index a on orders (id);\ncreate index concurrently b on orders (name);",
      },
      status: "warn",
      severity: "p2",
      at: ["migrations/2_b.sql:1"],
    },
    "the way down may drop": {
      files: {
        ...FIRST,
        "migrations/1_a.down.sql": "drop table orders;",
        "migrations/3_c.sql": "create table b (id int);\n-- migrate:down\ndrop table b;",
      },
      status: "pass",
    },
    "a table of the same file is its own": {
      files: {
        "migrations/1_a.sql":
          "create table t (id int);\ncreate index i on t (id);\ndrop table t;\ncreate temp table x (id int);",
      },
      status: "pass",
    },
    "a comment says why nothing is lost": {
      files: {
        ...FIRST,
        "migrations/2_b.sql":
          "-- moved to profiles in 1.4, unused since\nalter table orders drop column name;",
      },
      status: "pass",
    },
    "a linter of migrations looks at each": {
      files: {
        ...FIRST,
        "migrations/2_b.sql": "drop table orders;",
        ".github/workflows/ci.yml":
          "jobs:\n  lint:\n    steps:\n      - run: squawk migrations/*.sql\n",
      },
      status: "pass",
    },
    "without migrations nobody knows": { files: { "README.md": "x" }, status: "unknown" },
  },
};
