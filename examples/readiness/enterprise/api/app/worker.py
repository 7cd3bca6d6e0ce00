"""Jobs: each at most five times, backing off, once per id; what fails for good reaches somebody."""

import random

import httpx
import structlog
from arq import Retry
from arq.connections import RedisSettings

from app.logs import configure_logging
from app.settings import settings

configure_logging()
log = structlog.get_logger()


async def send_reset(ctx: dict, email: str) -> None:
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            response = await client.post("http://mailer/reset", json={"to": email})
            response.raise_for_status()
    except httpx.HTTPError as error:
        if ctx["job_try"] >= WorkerSettings.max_tries:
            await dead_letter(ctx, "send_reset", error)
            raise
        raise Retry(defer=2 ** ctx["job_try"] + random.random())


async def dead_letter(ctx: dict, job: str, error: Exception) -> None:
    await ctx["redis"].rpush("dead-letters", f"{job}:{ctx['job_id']}")
    log.error("job failed for good", job=job, job_id=ctx["job_id"], error=type(error).__name__)


class WorkerSettings:
    functions = [send_reset]
    redis_settings = RedisSettings.from_dsn(settings.redis_url.get_secret_value())
    max_tries = 5
    job_timeout = 60
    retry_jobs = True
