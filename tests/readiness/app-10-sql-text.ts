import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "APP-10",
  cases: {
    "an f-string": {
      files: {
        "app/users.py":
          "def find(session, email):\n    session.execute(text(f\"SELECT * FROM users WHERE email = '{email}'\"))\n",
      },
      status: "fail",
      severity: "p1",
      at: ["app/users.py:2"],
    },
    "a sum, filled before": {
      files: {
        "app/users.py":
          'def find(cursor, form):\n    query = "SELECT * FROM users WHERE id = " + form.id\n    cursor.execute(query)\n',
      },
      status: "fail",
      at: ["app/users.py:2"],
    },
    "percent and format": {
      files: {
        "app/users.py":
          "def find(cursor, name):\n    cursor.execute(\"SELECT * FROM users WHERE name = '%s'\" % name)\n    cursor.execute(\"DELETE FROM users WHERE name = '{}'\".format(name))\n",
      },
      status: "fail",
      at: ["app/users.py:2", "app/users.py:3"],
    },
    "bound values": {
      files: {
        "app/users.py":
          'def find(cursor, name):\n    cursor.execute("SELECT * FROM users WHERE name = %s", (name,))\n    session.execute(text("SELECT 1"))\n',
      },
      status: "pass",
    },
    "constants and numbers": {
      files: {
        "app/users.py":
          'TABLE = "users"\ndef find(cursor, count: int):\n    cursor.execute(f"SELECT * FROM {TABLE} LIMIT {int(count)}")\n',
      },
      status: "pass",
    },
    "a name of a table that somebody hands in": {
      files: {
        "app/users.py":
          'def count(cursor, table_name):\n    cursor.execute(f"SELECT count(*) FROM {table_name}")\n',
      },
      status: "warn",
      severity: "p2",
    },
    "a name from a fixed list": {
      files: {
        "app/users.py":
          'def count(cursor, newest):\n    column = "created_at" if newest else "id"\n    cursor.execute(f"SELECT * FROM users ORDER BY {column}")\n',
      },
      status: "pass",
    },
    "a name in a statement that defines": {
      files: {
        "src/schema.ts":
          "export const rename = (from: string, to: string) => db.raw(`ALTER TABLE users RENAME COLUMN ${from} TO ${to}`);\n",
      },
      status: "warn",
      severity: "p2",
    },
    "a member where only a name can stand": {
      files: {
        "src/users.ts":
          "export const all = (table) => pool.query(`SELECT * FROM ${table.quoted} WHERE id = $1`, [1]);\n",
      },
      status: "warn",
      severity: "p2",
    },
    "a migration": {
      files: {
        "alembic/versions/1_users.py": 'def upgrade():\n    op.execute(f"DROP TABLE {name}")\n',
        "app/users.py": 'def find(cursor):\n    cursor.execute("SELECT 1")\n',
      },
      status: "pass",
    },
    "a template in Node": {
      files: {
        "src/users.ts":
          "export const find = (id: string) => pool.query(`SELECT * FROM users WHERE id = '${id}'`);\n",
      },
      status: "fail",
      at: ["src/users.ts:1"],
    },
    "placeholders in Node": {
      files: {
        "src/users.ts":
          'export const find = (id: string) => pool.query("SELECT * FROM users WHERE id = $1", [id]);\n',
      },
      status: "pass",
    },
    "a tag binds": {
      files: {
        "src/users.ts":
          "export const find = (id: string) => sql`SELECT * FROM users WHERE id = ${id}`;\nexport const all = () => prisma.$queryRaw`SELECT * FROM users WHERE id = ${me}`;\n",
      },
      status: "pass",
    },
    "Prisma's unsafe call with a template": {
      files: {
        "src/users.ts":
          "export const find = (id: string) => prisma.$queryRawUnsafe(`SELECT * FROM users WHERE id = ${id}`);\n",
      },
      status: "fail",
    },
    "what only looks like SQL": {
      files: {
        "src/users.ts":
          "export const run = (name: string) => bus.query(`update of ${name}`);\nexport const say = (n: string) => api.fetch(`deleted ${n}`);\n",
      },
      status: "not-applicable",
    },
    "a script that a person runs": {
      files: {
        "scripts/clean.py":
          "def clean(cursor, name):\n    cursor.execute(f\"DELETE FROM jobs WHERE name = '{name}'\")\n",
      },
      status: "fail",
      severity: "p2",
    },
    "no SQL": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
