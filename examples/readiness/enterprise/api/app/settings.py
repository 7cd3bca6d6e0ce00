"""Every setting of the service, read once; nothing starts without what it needs."""

from typing import Literal

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    environment: Literal["development", "staging", "production"] = "production"
    database_url: SecretStr
    redis_url: SecretStr
    jwt_secret: SecretStr
    privacy_salt: SecretStr
    sentry_dsn: SecretStr | None = None
    trusted_proxy: str = "caddy"
    pool_size: int = 10

    @field_validator("jwt_secret", "privacy_salt")
    @classmethod
    def refuse_weak_secrets(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if len(secret) < 32 or secret.lower().startswith(("changeme", "change-me", "secret")):
            raise ValueError("must be at least 32 random characters")
        return value

    @property
    def is_production(self) -> bool:
        return self.environment == "production"


settings = Settings()
