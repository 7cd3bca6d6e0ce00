"""Organizations, users, invoices, each row under a policy."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        create table organizations (id uuid primary key default gen_random_uuid(), name text not null);
        create table users (
            id uuid primary key default gen_random_uuid(),
            organization_id uuid not null references organizations (id) on delete restrict,
            email text not null unique,
            password_hash text not null
        );
        create index users_organization_id on users (organization_id);
        create table memberships (
            organization_id uuid not null references organizations (id) on delete restrict,
            user_id uuid not null references users (id) on delete restrict,
            primary key (organization_id, user_id)
        );
        create table invoices (
            id uuid primary key default gen_random_uuid(),
            organization_id uuid not null references organizations (id) on delete restrict,
            number text not null,
            cents bigint not null check (cents >= 0),
            unique (organization_id, number)
        );
        create role ledgerly_app nologin nobypassrls;
        grant select, insert, update, delete on organizations, users, memberships, invoices to ledgerly_app;
        """
    )
    op.execute("alter table organizations enable row level security")
    op.execute("alter table organizations force row level security")
    op.execute(
        """
        create policy own on organizations to ledgerly_app
            using (id = (select current_setting('app.organization_id', true)::uuid))
            with check (id = (select current_setting('app.organization_id', true)::uuid))
        """
    )
    for table in ("users", "memberships", "invoices"):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(
            f"""
            create policy own on {table} to ledgerly_app
                using (organization_id = (select current_setting('app.organization_id', true)::uuid))
                with check (organization_id = (select current_setting('app.organization_id', true)::uuid))
            """
        )


def downgrade() -> None:
    for table in ("invoices", "memberships", "users", "organizations"):
        op.execute(f"drop table {table}")
    op.execute("drop role ledgerly_app")
