"""`/metrics`: the names that are promised, for operators alone, right with several processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from accounts.models import Department
from portal.tests.conftest import MakeDocument, MakePerson
from portal.tests.processes import away, run

pytestmark = pytest.mark.django_db


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_promised_names_are_there(client: Client, document: MakeDocument, library: Department) -> None:
    cache.clear()
    document("One", department=library)
    document("Two", department=library, status="failed")
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
