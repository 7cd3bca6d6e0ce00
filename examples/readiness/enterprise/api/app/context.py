"""The organization of the request, safe across tasks."""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator
from uuid import UUID

organization: ContextVar[UUID | None] = ContextVar("organization", default=None)


@contextmanager
def acting_for(organization_id: UUID) -> Iterator[None]:
    token = organization.set(organization_id)
    try:
        yield
    finally:
        organization.reset(token)
