"""Invoices of the caller's organization; the policies hold the rows, the query says which page."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import member
from app.database import session
from app.limits import limiter

router = APIRouter(prefix="/api/invoices", dependencies=[Depends(member)])


class NewInvoice(BaseModel):
    number: str = Field(max_length=40)
    cents: int = Field(ge=0)


@router.get("")
async def list_invoices(
    database: Annotated[AsyncSession, Depends(session)],
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: UUID | None = None,
) -> list[dict]:
    rows = await database.execute(
        text(
            "select id, number, cents from invoices"
            " where cast(:after as uuid) is null or id > :after order by id limit :limit"
        ),
        {"after": after, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


@router.post("", status_code=201)
@limiter.limit("60/minute")
async def create_invoice(
    request: Request,
    invoice: NewInvoice,
    database: Annotated[AsyncSession, Depends(session)],
) -> dict[str, str]:
    created = await database.scalar(
        text(
            "insert into invoices (organization_id, number, cents)"
            " values (current_setting('app.organization_id')::uuid, :number, :cents) returning id"
        ),
        invoice.model_dump(),
    )
    return {"id": str(created)}
