import type { Cases } from "../support/readiness-cases.ts";

const migration = (up: string, down: string) =>
  `revision = "a"\ndown_revision = None\ndef upgrade():\n    ${up}\ndef downgrade():\n    ${down}\n`;

export const cases: Cases = {
  rule: "DB-12",
  cases: {
    "ways back that do nothing": {
      files: {
        "alembic/versions/a.py": migration("op.drop_table('a')", "pass"),
        "alembic/versions/b.py": migration("op.add_column('a', b)", "raise NotImplementedError"),
        "alembic/versions/c.py": migration("op.add_column('a', b)", "op.drop_column('a', 'b')"),
      },
      status: "warn",
      severity: "p2",
      at: ["alembic/versions/a.py:5", "alembic/versions/b.py:5"],
      says: /one of 2 in 3/,
    },
    "a merge has nothing to take back": {
      files: {
        "alembic/versions/m.py": migration("pass", "pass"),
        "alembic/versions/c.py": migration("op.add_column('a', b)", "op.drop_column('a', 'b')"),
      },
      status: "pass",
    },
    "forward only, written down": {
      files: {
        "alembic/versions/a.py": migration("op.drop_table('a')", "pass"),
        "docs/deploy.md":
          "# Deploy\n\nMigrations are forward-only: a bad one is mended by another.\n",
      },
      status: "pass",
    },
    "Knex with an empty way back, and with one": {
      files: {
        "migrations/001_a.js":
          "exports.up = (knex) => knex.schema.createTable('a');\nexports.down = async () => {};\n",
        "migrations/002_b.ts":
          "export async function up(knex) { await knex.raw('x'); }\nexport async function down(knex) { await knex.raw('y'); }\n",
      },
      status: "warn",
      at: ["migrations/001_a.js:2"],
    },
    "no migrations": { files: { "app.py": "def downgrade(): pass\n" }, status: "not-applicable" },
  },
};
