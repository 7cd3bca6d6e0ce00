"""Who asks, and for which organization: both from the verified token, the membership from the database."""

from typing import Annotated, AsyncIterator
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import text

from app.context import acting_for
from app.database import sessions
from app.settings import settings

bearer = HTTPBearer()


async def member(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> AsyncIterator[UUID]:
    try:
        claims = jwt.decode(
            credentials.credentials,
            settings.jwt_secret.get_secret_value(),
            algorithms=["HS256"],
            audience="ledgerly",
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401, "the token is not valid")
    async with sessions() as session:
        known = await session.scalar(
            text("select 1 from memberships where user_id = :user and organization_id = :organization"),
            {"user": claims["sub"], "organization": claims["org"]},
        )
    if known is None:
        raise HTTPException(403, "no member of this organization")
    with acting_for(UUID(claims["org"])):
        yield UUID(claims["sub"])
