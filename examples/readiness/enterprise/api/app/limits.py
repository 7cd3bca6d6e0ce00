"""Limits are counted in Redis: every worker and every replica sees the same count."""

from slowapi import Limiter
from slowapi.util import get_remote_address

from app.settings import settings

limiter = Limiter(
    key_func=get_remote_address,
    storage_uri=settings.redis_url.get_secret_value(),
    default_limits=["300/minute"],
)
