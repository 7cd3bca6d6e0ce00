from fastapi.testclient import TestClient

from app.main import app


def test_alive_asks_nothing() -> None:
    assert TestClient(app, base_url="http://127.0.0.1").get("/health/live").json() == {"status": "alive"}
