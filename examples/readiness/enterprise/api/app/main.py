"""The application, wired."""

from contextlib import asynccontextmanager
from typing import AsyncIterator

import sentry_sdk
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.database import engine
from app.limits import limiter
from app.logs import configure_logging
from app.routes import health, invoices, sessions
from app.settings import settings

configure_logging()
log = structlog.get_logger()

if settings.sentry_dsn is not None:
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        send_default_pii=False,
        before_send=lambda event, _hint: {**event, "request": None},
        traces_sample_rate=0.05,
    )


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(
    title="Ledgerly",
    lifespan=lifespan,
    docs_url=None if settings.is_production else "/docs",
    redoc_url=None,
    openapi_url=None if settings.is_production else "/openapi.json",
)
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(SlowAPIMiddleware)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://app.ledgerly.example"],
    allow_credentials=True,
    allow_methods=["GET", "POST", "PATCH", "DELETE"],
)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["app.ledgerly.example", "127.0.0.1"])
app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[settings.trusted_proxy])
Instrumentator().instrument(app).expose(app, endpoint="/metrics", include_in_schema=False)


@app.middleware("http")
async def security_headers(request: Request, call_next) -> Response:
    response = await call_next(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


@app.exception_handler(Exception)
async def unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected", path=request.url.path, error=type(error).__name__)
    return JSONResponse({"message": "Something went wrong", "code": "unexpected"}, status_code=500)


app.include_router(health.router)
app.include_router(sessions.router)
app.include_router(invoices.router)
