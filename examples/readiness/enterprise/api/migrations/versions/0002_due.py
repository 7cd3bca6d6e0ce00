"""Invoices are due some day; the index is built without a lock."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("alter table invoices add column due_on date")
    with op.get_context().autocommit_block():
        op.execute("create index concurrently if not exists invoices_due on invoices (organization_id, due_on)")


def downgrade() -> None:
    op.execute("drop index if exists invoices_due")
    op.execute("alter table invoices drop column due_on")
