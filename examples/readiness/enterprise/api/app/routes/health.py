"""Alive is not ready: the first asks nothing, the second asks the database."""

from fastapi import APIRouter, Response
from sqlalchemy import text

from app.database import engine

router = APIRouter(prefix="/health")


@router.get("/live")
async def live() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/ready")
async def ready(response: Response) -> dict[str, str]:
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except OSError:
        response.status_code = 503
        return {"status": "no database"}
    return {"status": "ready"}
