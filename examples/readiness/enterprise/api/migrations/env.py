from alembic import context
from sqlalchemy import create_engine

from app.settings import settings

with create_engine(settings.database_url.get_secret_value()).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.execute("select pg_advisory_xact_lock(7141)")
        context.run_migrations()
