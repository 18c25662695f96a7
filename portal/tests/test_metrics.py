"""`/metrics`: the names that are promised, for operators alone, right with several processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from accounts.models import Department
from portal import health
from portal.metrics import pool
from portal.metrics.processes import gather
from portal.metrics.worker import serve
from portal.tests.conftest import MakeDocument, MakePerson
from portal.tests.processes import away, children, gunicorn, run, status_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_memory() -> None:
    """No test knows what another one found of the parts."""
    health.forget()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_promised_names_are_there(client: Client, document: MakeDocument, library: Department) -> None:
    cache.clear()
    document("One", department=library)
    document("Two", department=library, status="failed", error_reason="damaged")
    client.get("/api/v1/search/", {"q": "books", "mode": "keyword"})
    client.get("/search/", {"q": "books", "mode": "keyword"})
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    found = samples(answer.content.decode())
    assert found["vector_search_queries_total", (("endpoint", "api"), ("status", "ok"))] >= 1
    assert found["vector_search_queries_total", (("endpoint", "page"), ("status", "ok"))] >= 1
    assert found["vector_search_duration_seconds_count", (("query_type", "keyword"),)] >= 2
    assert found["vector_search_duration_seconds_bucket", (("le", "0.05"), ("query_type", "keyword"))] >= 0
    assert found["db_connections_active", ()] >= 1
    assert found["embedding_queue_size", ()] >= 0
    assert found["ingestion_documents", (("status", "ready"),)] == 1
    assert found["ingestion_documents", (("status", "failed"),)] == 1
    assert found["ingestion_documents_with_reason", (("reason", "damaged"), ("status", "failed"))] == 1
    assert found["http_requests_total", (("kind", "page"), ("status", "200"), ("view", "search"))] >= 1


def test_the_parts_are_there_without_anybody_waiting_for_them(client: Client) -> None:
    health.components()
    found = samples(client.get("/metrics").content.decode())
    assert found["component_up", (("component", "database"),)] == 1
    assert found["component_up", (("component", "embedding_service"),)] == 1
    (node,) = [value for (name, _), value in found.items() if name == "embedding_node_up"]
    assert node == 1
    assert found["disk_free_bytes", (("place", "originals"),)] > 0
    assert found["db_connections_max", ()] > 0
    assert found["queue_waiting", (("queue", "ingestion"),)] >= 0


def test_the_age_of_the_backup_is_that_of_its_mark(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUP_MARK = str(tmp_path / "mark")
    assert ("backup_last_success_timestamp_seconds", ()) not in samples(client.get("/metrics").content.decode())
    (tmp_path / "mark").touch()
    os.utime(tmp_path / "mark", (1_700_000_000, 1_700_000_000))
    found = samples(client.get("/metrics").content.decode())
    assert found["backup_last_success_timestamp_seconds", ()] == 1_700_000_000


def test_no_label_names_a_person_or_a_query(client: Client, person: MakePerson) -> None:
    cache.clear()
    client.force_login(person("student", first_name="Adalbert"))
    client.get("/api/v1/search/", {"q": "unmistakable", "mode": "keyword"})
    text = client.get("/metrics").content.decode()
    assert "unmistakable" not in text
    assert "Adalbert" not in text


@pytest.mark.parametrize("sender", [{"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}])
def test_for_others_the_address_does_not_exist(
    client: Client, person: MakePerson, settings: Settings, sender: dict[str, str]
) -> None:
    settings.STORAGES = {
        **settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }  # fmt: skip
    given = {"headers": {"X-Request-ID": "the-same-request"}, **sender}
    for who in (None, person("academic")):
        if who:
            client.force_login(who)
        hidden, unknown = (client.get(path, **given) for path in ("/metrics", "/metrixx"))
        assert hidden.status_code == unknown.status_code == 404
        token = re.compile(rb'(name="csrfmiddlewaretoken" value=)"\w{64}"')  # drawn anew for each answer
        bare = [token.sub(rb"\1", answer.content) for answer in (hidden, unknown)]
        assert bare[0].replace(b"/metrics", b"") == bare[1].replace(b"/metrixx", b"")
        assert hidden.headers == unknown.headers
    client.force_login(person("admin"))
    assert client.get("/metrics", **sender).status_code == 200


def test_a_broker_that_is_away_costs_one_metric_and_little_time(client: Client, settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    text = client.get("/metrics").content.decode()
    assert "embedding_queue_size" not in text
    assert "db_connections_active" in text


def counted_by(process: int, shared: Path) -> None:
    """The files that a process of this number leaves behind."""
    for kind, name, sample, labels in (
        ("counter", "made", "made_total", {}),
        ("histogram", "took", "took_bucket", {"le": "1.0"}),
        ("gauge_livesum", "busy", "busy", {}),
    ):
        file = MmapedDict(str(shared / f"{kind}_{process}.db"))
        file.write_value(mmap_key(name, sample, list(labels), list(labels.values()), "help"), 2.0, 0.0)
        file.close()


def test_what_processes_counted_outlives_them_in_few_files(tmp_path: Path) -> None:
    for process in range(4_000_000, 4_000_020):  # there cannot be any of these
        counted_by(process, tmp_path)
    counted_by(os.getpid(), tmp_path)
    for _ in range(2):
        found = samples(generate_latest(gather(tmp_path)).decode())
        assert found["made_total", ()] == 42
        assert found["took_bucket", (("le", "1.0"),)] == 42
        assert found["busy", ()] == 2, "what a gauge said of a process goes with it"
    assert not list(tmp_path.glob("*_40000*.db"))


def test_a_worker_on_a_machine_of_its_own_tells_what_its_processes_count(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serve() is None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.WORKER_METRICS_PORT = probe.getsockname()[1]
    counted_by(4_000_000, tmp_path)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    server = serve()
    assert server is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.WORKER_METRICS_PORT}/metrics") as answer:
            assert samples(answer.read().decode())["made_total", ()] == 2
    finally:
        server.shutdown()
        server.server_close()


def test_a_pool_that_begins_anew_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = pool.WAITED.labels("a-test")
    for queued in (3, 5, 0, 2):
        pool._count("a-test", {"requests_queued": queued})
    assert waited._value.get() == 7


@pytest.mark.django_db(transaction=True)
def test_what_four_processes_count_is_what_was_asked_exactly(tmp_path: Path) -> None:
    """Requests by several people at once, while one of the processes is replaced: none is lost or counted twice."""
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "THROTTLE_FACTOR": "0", "SEARCH_CACHE_SECONDS": "0"}
    asked = (
        [("/api/v1/search/?q=books&mode=keyword", 200)] * 60
        + [("/search/?q=books&mode=keyword", 200)] * 60
        + [("/health/live", 200)] * 60
        + [("/api/v1/search/?q=books&mode=wrong", 400)] * 20
    )
    with gunicorn(4, **shared) as (address, process):

        def ask(one: tuple[str, int]) -> bool:
            return status_of(address + one[0]) == one[1]

        with ThreadPoolExecutor(8) as people:
            assert all(people.map(ask, asked))
            before = children(process)
            os.kill(before[0], signal.SIGTERM)
            deadline = time.monotonic() + 30
            while before[0] in children(process) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert all(people.map(ask, asked))
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            found = samples(answer.read().decode())

    def counted(name: str, **labels: str) -> float:
        return sum(
            value
            for (found_name, has), value in found.items()
            if found_name == name and labels.items() <= dict(has).items()
        )

    assert counted("vector_search_queries_total", endpoint="api", status="ok") == 120
    assert counted("vector_search_queries_total", endpoint="page", status="ok") == 120
    assert counted("vector_search_queries_total") == 240
    assert counted("vector_search_duration_seconds_count", query_type="keyword") == 240
    assert counted("http_requests_total", kind="api", status="200") == 120
    assert counted("http_requests_total", kind="api", status="400") == 40
    assert counted("http_requests_total", kind="page", status="200") == 120
    # One more than was asked here: is the server there?
    assert counted("http_requests_total", view="portal.health.views.live") == 121
    assert counted("http_request_duration_seconds_count", kind="page") == 120


def test_several_processes_are_counted_together(tmp_path: Path) -> None:
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    count = """
from search import metrics
for _ in range(3):
    metrics.QUERIES.labels("api", "ok").inc()
    metrics.DURATION.labels("hybrid").observe(0.02)
print("null")
"""
    for _ in range(2):
        run(count, **shared, **away())
    found = run("print(json.dumps(ask('/metrics')))", **shared, **away())
    assert found["status"] == 200
    counted = samples(found["body"])
    assert counted["vector_search_queries_total", (("endpoint", "api"), ("status", "ok"))] == 6
    assert counted["vector_search_duration_seconds_count", (("query_type", "hybrid"),)] == 6
    # The database of these processes is away: what is asked of it is left out, and the rest is there.
    assert "db_connections_active" not in found["body"]
    assert counted["embedding_queue_size", ()] >= 0
