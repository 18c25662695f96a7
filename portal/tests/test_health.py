"""`/health`, `/health/live` and `/health/ready` (DESIGN, section 5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from portal import health
from portal.health import checks, watch
from portal.tests.conftest import MakePerson
from portal.tests.processes import away, run

pytestmark = pytest.mark.django_db

COMPONENTS = ["database", "embedding_service", "cache", "workers", "replicas", "storage", "disk"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A busy machine of tests is no sick portal, and no test knows what another one found."""
    monkeypatch.setattr(watch, "TIMEOUT_SECONDS", 5.0)
    health.forget()
    yield
    health.forget()


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
    assert {"searchable_chunks", "connections", "max_connections"} <= set(parts["database"]["details"])
    (node,) = parts["embedding_service"]["details"].pop("nodes")
    assert (node["healthy"], node["error"]) == (True, "")
    assert parts["embedding_service"]["details"] == {"model": "multilingual-e5-small", "dimensions": 384}
    assert parts["cache"]["healthy"]
    assert parts["cache"]["details"]["memory_bytes"] > 0
    assert parts["cache"]["details"]["clients"] > 0
    assert parts["storage"]["healthy"]
    assert parts["disk"]["details"]["originals"]["free_bytes"] > 0
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
    monkeypatch.setattr(watch, "TIMEOUT_SECONDS", 0.3)
    over = threading.Event()
    asked: list[int] = []
    monkeypatch.setitem(health.CHECKS, "workers", lambda: asked.append(1) or (over.wait(20) and {}) or {})
    started = time.perf_counter()
    for _ in range(5):
        body = client.get("/health").json()
        assert body["components"]["workers"]["error"] == "no answer within 0.3 s"
    assert time.perf_counter() - started < 4
    over.set()
    assert asked == [1], "a part that does not answer is not asked again and again"


def test_however_often_it_is_asked_each_part_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in list(health.CHECKS):
        monkeypatch.setitem(health.CHECKS, name, lambda name=name: asked.append(name) or {})
    threads = [threading.Thread(target=health.components) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == sorted(health.CHECKS)
    assert max(watch.KEPT_SECONDS.values()) <= 60
    assert max(watch.STALE_SECONDS.values()) <= 60


def test_a_node_that_is_late_is_not_ill_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(health.CHECKS, "embedding_service", lambda: {"model": "one"})
    monkeypatch.setitem(watch.KEPT_SECONDS, "embedding_service", 0.0)
    assert health.components(("embedding_service",))["embedding_service"].details == {"model": "one"}
    over = threading.Event()
    monkeypatch.setitem(health.CHECKS, "embedding_service", lambda: (over.wait(20) and {}) or {})
    monkeypatch.setattr(watch, "TIMEOUT_SECONDS", 0.1)
    assert health.components(("embedding_service",))["embedding_service"].details == {"model": "one"}
    monkeypatch.setitem(watch.STALE_SECONDS, "embedding_service", 0.0)
    assert not health.components(("embedding_service",))["embedding_service"].healthy
    over.set()


def test_each_node_is_asked_for_a_vector_and_one_of_two_is_enough(client: Client, settings: Settings) -> None:
    (good,) = settings.OLLAMA_URLS
    settings.OLLAMA_URLS = ["http://somebody:secret@127.0.0.1:1", good]
    answer = client.get("/health")
    part = answer.json()["components"]["embedding_service"]
    assert part["healthy"]
    assert answer.json()["status"] == "degraded"
    assert [(node["node"], node["healthy"]) for node in part["details"]["nodes"]] == [
        ("127.0.0.1:1", False),
        (good.removeprefix("http://"), True),
    ]
    assert "127.0.0.1:1" in part["error"]


def test_a_model_that_a_node_does_not_have_is_told(client: Client, settings: Settings) -> None:
    settings.EMBEDDING_MODEL = "another-model"
    part = client.get("/health").json()["components"]["embedding_service"]
    assert not part["healthy"]
    assert "another-model" in part["error"]


def test_originals_that_cannot_be_written_are_told(client: Client, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = {"BACKEND": "ingestion.storage.FolderStorage", "OPTIONS": {"location": str(tmp_path / "file")}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    answer = client.get("/health")
    assert answer.status_code == 200
    assert not answer.json()["components"]["storage"]["healthy"]


def test_nothing_is_left_where_originals_lie(settings: Settings, tmp_path: Path) -> None:
    storage = {"BACKEND": "ingestion.storage.FolderStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    assert checks.storage() == {"kind": "folder"}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_with_little_room_is_told(client: Client, settings: Settings) -> None:
    settings.LOW_DISK_SHARE = 1.0
    disk = client.get("/health").json()["components"]["disk"]
    assert not disk["healthy"]
    assert "are free" in disk["error"]


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
