"""One JSON object a line; what could name a person is masked before it is written."""

import logging

import structlog

PERSONAL = {"email", "phone", "address", "name", "password", "token"}


def redact_personal_data(_: object, __: str, event: dict) -> dict:
    return {key: "[redacted]" if key in PERSONAL else value for key, value in event.items()}


def configure_logging() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            redact_personal_data,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
