"""`/health`, `/health/live` and `/health/ready` (DESIGN, section 5)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from portal import health
from portal.tests.conftest import MakePerson
from portal.tests.processes import away, run

pytestmark = pytest.mark.django_db

COMPONENTS = ["database", "embedding_service", "cache", "workers", "replicas"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine of tests is no sick portal."""
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 5.0)


def check_shape(body: dict[str, Any]) -> None:
    assert list(body) == ["healthy", "status", "timestamp", "components"]
    assert isinstance(body["healthy"], bool)
    assert body["status"] in ("ok", "degraded", "down")
    assert datetime.fromisoformat(body["timestamp"]).tzinfo
    assert list(body["components"]) == COMPONENTS
    for part in body["components"].values():
        assert list(part) == ["healthy", "response_time", "details", "error"]
        assert isinstance(part["healthy"], bool)
        assert isinstance(part["response_time"], float)
        assert isinstance(part["details"], dict)
        assert isinstance(part["error"], str)


def test_operators_see_every_part_with_its_details(client: Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    body = answer.json()
    check_shape(body)
    parts = body["components"]
    assert body["healthy"]
    assert parts["database"]["healthy"]
    assert parts["database"]["details"]["migrations"] > 20
    assert parts["embedding_service"]["details"] == {"model": "multilingual-e5-small", "dimensions": 384}
    assert parts["cache"]["healthy"]
    assert parts["replicas"] == {
        "healthy": True, "response_time": parts["replicas"]["response_time"], "details": {"configured": 0}, "error": "",
    }  # fmt: skip
    assert body["status"] == ("ok" if all(part["healthy"] for part in parts.values()) else "degraded")


@pytest.mark.parametrize(
    "sender", [{"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, {"REMOTE_ADDR": ""}]
)
def test_others_see_how_it_is_and_no_details(client: Client, settings: Settings, sender) -> None:
    settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
    answer = client.get("/health", **sender)
    body = answer.json()
    check_shape(body)
    assert (answer.status_code, body["healthy"], body["status"]) == (200, True, "degraded")
    for name, part in body["components"].items():
        assert part["details"] == {}
        assert part["error"] == ("" if part["healthy"] else "unavailable"), name


def test_an_administrator_sees_the_details_from_anywhere(client: Client, person: MakePerson) -> None:
    client.force_login(person("admin"))
    assert client.get("/health", REMOTE_ADDR="192.0.2.7").json()["components"]["database"]["details"]
    client.force_login(person("academic"))
    assert not client.get("/health", REMOTE_ADDR="192.0.2.7").json()["components"]["database"]["details"]


def test_without_node_cache_and_workers_searches_are_answered_and_it_says_what_is_missing(
    client: Client, settings: Settings
) -> None:
    settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["healthy"], body["status"]) == (200, True, "degraded")
    assert "127.0.0.1:1" in body["components"]["embedding_service"]["error"]
    assert "ConnectionError" in body["components"]["cache"]["error"]
    assert body["components"]["database"]["healthy"]
    assert client.get("/health/ready").status_code == 200


def test_a_part_that_hangs_holds_nothing_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setitem(health.CHECKS, "workers", lambda: time.sleep(2) or {})
    started = time.perf_counter()
    body = client.get("/health").json()
    assert time.perf_counter() - started < 1.5
    assert body["components"]["workers"]["error"] == "no answer within 0.3 s"


def test_alive_and_ready_are_quick(client: Client) -> None:
    for address in ("/health/live", "/health/ready"):
        client.get(address)
        started = time.perf_counter()
        answer = client.get(address)
        assert time.perf_counter() - started < 0.5
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_without_a_database_it_is_down_and_says_so_in_json() -> None:
    found = run(
        "print(json.dumps({path: ask(path) for path in ('/health/live', '/health/ready', '/health')}))", **away()
    )
    assert found["/health/live"]["status"] == 200
    ready, whole = found["/health/ready"], found["/health"]
    assert (ready["status"], ready["body"]) == (503, '{"status": "down"}')
    assert whole["status"] == 503
    assert '"healthy": false, "status": "down"' in whole["body"]
    assert '"database": {"healthy": false' in whole["body"]
    assert max(ready["seconds"], whole["seconds"]) < 4
