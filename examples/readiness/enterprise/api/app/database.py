"""One engine; each session names its organization to the policies, for its transaction alone."""

from typing import AsyncIterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from app.context import organization
from app.settings import settings

engine = create_async_engine(
    settings.database_url.get_secret_value(),
    pool_size=settings.pool_size,
    max_overflow=5,
    pool_timeout=5,
    pool_pre_ping=True,
    connect_args={
        "server_settings": {
            "statement_timeout": "5000",
            "idle_in_transaction_session_timeout": "10000",
        }
    },
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as open_session, open_session.begin():
        await open_session.execute(
            text("select set_config('app.organization_id', :id, true)"),
            {"id": str(organization.get() or "")},
        )
        yield open_session
