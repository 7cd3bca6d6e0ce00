"""Sign in and reset a password."""

from datetime import UTC, datetime, timedelta

import jwt
import structlog
from fastapi import APIRouter, HTTPException, Request
from pwdlib import PasswordHash
from pydantic import BaseModel, EmailStr
from sqlalchemy import text

from app.database import sessions
from app.limits import limiter
from app.lockout import forget_failed_logins, is_locked, record_failed_login
from app.settings import settings

router = APIRouter(prefix="/sessions")
log = structlog.get_logger()
hashes = PasswordHash.recommended()


class Credentials(BaseModel):
    email: EmailStr
    password: str


@router.post("/login")
@limiter.limit("10/minute")
async def login(request: Request, credentials: Credentials) -> dict[str, str]:
    if await is_locked(credentials.email):
        raise HTTPException(429, "too many attempts, try again later")
    async with sessions() as session:
        row = (
            await session.execute(
                text("select id, organization_id, password_hash from users where email = :email"),
                {"email": credentials.email},
            )
        ).one_or_none()
    if row is None or not hashes.verify(credentials.password, row.password_hash):
        await record_failed_login(credentials.email)
        raise HTTPException(401, "the address or the password is wrong")
    await forget_failed_logins(credentials.email)
    log.info("signed in", user_id=str(row.id))
    claims = {
        "sub": str(row.id),
        "org": str(row.organization_id),
        "aud": "ledgerly",
        "exp": datetime.now(UTC) + timedelta(minutes=15),
    }
    return {"access": jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")}


@router.post("/reset-password")
@limiter.limit("3/minute")
async def reset_password(request: Request, email: EmailStr) -> dict[str, str]:
    await request.app.state.jobs.enqueue_job("send_reset", email, _job_id=f"reset:{email}")
    return {"message": "if the address is known, a message is on its way"}
