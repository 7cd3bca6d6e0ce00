"""Five wrong passwords lock an account for longer and longer."""

from redis.asyncio import Redis

from app.settings import settings

redis = Redis.from_url(settings.redis_url.get_secret_value())
MAX_FAILED_ATTEMPTS = 5


async def is_locked(account: str) -> bool:
    return int(await redis.get(f"failed:{account}") or 0) >= MAX_FAILED_ATTEMPTS


async def record_failed_login(account: str) -> None:
    failed_attempts = await redis.incr(f"failed:{account}")
    await redis.expire(f"failed:{account}", 60 * 2 ** min(failed_attempts, 10))


async def forget_failed_logins(account: str) -> None:
    await redis.delete(f"failed:{account}")
