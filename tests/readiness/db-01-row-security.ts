import type { Cases } from "../support/readiness-cases.ts";

const TABLE = "create table orders (id int primary key, org_id int not null);\n";
const SUPABASE = { "supabase/config.toml": 'project_id = "x"\n' };
const ALEMBIC = (body: string) =>
  `from alembic import op
import sqlalchemy as sa
revision = "a1"
down_revision = None
TABLES = ["orders", "invoices"]
def upgrade():
    for name in ("orders", "invoices"):
        op.execute("create table " + name + " (id int primary key, org_id int not null)")
${body}
def downgrade():
    op.execute("alter table orders disable row level security")
`;

export const cases: Cases = {
  rule: "DB-01",
  cases: {
    "a tenant's table without row security is a gap": {
      files: { "migrations/1_a.sql": TABLE },
      status: "fail",
      severity: "p1",
      at: ["migrations/1_a.sql:1"],
    },
    "behind Supabase's API it stops everything": {
      files: { ...SUPABASE, "supabase/migrations/1_a.sql": TABLE },
      status: "fail",
      severity: "p0",
      says: /public key/,
    },
    "a later migration switches it on, in whatever order the files come": {
      files: {
        "migrations/10_rls.sql": "alter table orders enable row level security;",
        "migrations/9_a.sql": TABLE,
      },
      status: "pass",
    },
    "switched off again it is off": {
      files: {
        "migrations/1_a.sql": `${TABLE}alter table orders enable row level security;`,
        "migrations/2_b.sql": "alter table public.orders disable row level security;",
      },
      status: "fail",
    },
    "a policy on a table without row security does nothing": {
      files: { "db/a.sql": `${TABLE}create policy p on orders using (org_id = 1);` },
      status: "fail",
      says: /policies do nothing/,
    },
    "a loop over names that are written out": {
      files: {
        "migrations/1_a.sql":
          `${TABLE}do $$ declare t text; begin foreach t in array array['orders'] loop execute format('alter table %I enable row level security', t); end loop; end $$;`,
      },
      status: "pass",
    },
    "a loop over a list that nobody can read is unknown": {
      files: {
        "migrations/1_a.sql":
          `${TABLE}do $$ declare t text; begin for t in select name from my_tables() loop execute format('alter table %I enable row level security', t); end loop; end $$;`,
      },
      status: "unknown",
    },
    "Alembic's f-string over a constant": {
      files: {
        "alembic/versions/a1.py": ALEMBIC(
          '    for table in TABLES:\n        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")',
        ),
      },
      status: "pass",
    },
    "Alembic's create_table without row security": {
      files: {
        "alembic/versions/a1.py": `from alembic import op
import sqlalchemy as sa
revision = "a1"
down_revision = None
def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer()), sa.Column("tenant_id", sa.Integer()))
`,
      },
      status: "fail",
      severity: "p1",
      at: ["alembic/versions/a1.py:6"],
    },
    "a list that is made when it runs is unknown": {
      files: {
        "alembic/versions/a1.py": ALEMBIC(
          '    for table in tables():\n        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")',
        ),
      },
      status: "unknown",
    },
    "without tenants and without an API the question doesn't arise": {
      files: { "migrations/1_a.sql": "create table countries (code text primary key);" },
      status: "not-applicable",
    },
    "one company_id is a customer's record, not a tenant": {
      files: { "migrations/1_a.sql": "create table deals (id int, company_id int);" },
      status: "not-applicable",
    },
    "a table that anon and authenticated can't reach": {
      files: {
        ...SUPABASE,
        "supabase/migrations/1_a.sql":
          "create table jobs (id int);\nrevoke all on table jobs from anon, authenticated;",
      },
      status: "not-applicable",
    },
    "seeds and tests make no tables of the product": {
      files: { "supabase/seed.sql": TABLE, "tests/fixtures/a.sql": TABLE },
      status: "unknown",
    },
    "without a migration nobody knows": { files: { "README.md": "x" }, status: "unknown" },
    "the name of a command in a list is no statement": {
      files: {
        "supabase/migrations/1_a.sql":
          "create table items (id int, org_id int);\nalter table items enable row level security;\ndo $$\nbegin\n  create event trigger t on ddl_command_end when tag in ('CREATE POLICY') execute function f();\nexception when insufficient_privilege then null;\nend\n$$;",
      },
      status: "pass",
    },
  },
};
