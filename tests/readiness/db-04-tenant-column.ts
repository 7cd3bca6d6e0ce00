import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DB-04",
  cases: {
    "a tenant that may be null": {
      files: {
        "migrations/1_a.sql":
          "create table orgs (id int primary key);\ncreate table orders (id int,\n org_id int references orgs(id));\ncreate index on orders (org_id);",
      },
      status: "fail",
      severity: "p1",
      says: /org_id may be null/,
    },
    "complete, whichever migration completes it": {
      files: {
        "migrations/1_a.sql": "create table orders (id int, org_id int);",
        "migrations/2_b.sql":
          "alter table orders alter column org_id set not null, add constraint f foreign key (org_id) references orgs (id);\ncreate index concurrently i on orders (org_id, id);",
      },
      status: "pass",
    },
    "an index that only ends with the tenant, or holds part of the rows, is none": {
      files: {
        "migrations/1_a.sql":
          "create table orders (id int, org_id int not null references orgs (id), primary key (id, org_id));\ncreate index i on orders (org_id) where id > 5;",
      },
      status: "warn",
      severity: "p2",
    },
    "a key of several columns leads to a row of the tenant": {
      files: {
        "migrations/1_a.sql":
          "create table lines (id int, org_id int not null, order_id int, primary key (org_id, id), foreign key (org_id, order_id) references orders (org_id, id));",
      },
      status: "pass",
    },
    "the table of members says what a tenant is called": {
      files: {
        "migrations/1_a.sql":
          "create table clinics (id int primary key);\ncreate table members (clinic_id int not null references clinics (id), user_id int not null references users (id), primary key (clinic_id, user_id));\ncreate table visits (id int,\n clinic_id int references clinics (id));\ncreate index on visits (clinic_id);",
      },
      status: "fail",
      says: /visits\.clinic_id may be null/,
    },
    "what somebody likes is no tenant": {
      files: {
        "migrations/1_a.sql":
          "create table posts (id int primary key);\ncreate table likes (post_id int references posts (id), user_id int references users (id));",
      },
      status: "not-applicable",
    },
    "Alembic's columns": {
      files: {
        "alembic/versions/a1.py": `from alembic import op
import sqlalchemy as sa
revision = "a1"
down_revision = None
def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("org_id", sa.Integer(), sa.ForeignKey("orgs.id"), nullable=True))
    op.create_index("i", "orders", ["org_id"])
`,
      },
      status: "fail",
      at: ["alembic/versions/a1.py:7"],
    },
    "no tenant, no column": {
      files: { "migrations/1_a.sql": "create table a (id int);" },
      status: "not-applicable",
    },
  },
};
