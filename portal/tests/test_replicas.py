"""Which database answers: a primary and two replicas that really follow it, and what is done to them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, InternalError, OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from deploy.local.home import Home
from deploy.local.replicating import Cluster, replicating
from portal.replicas import ReplicaMiddleware, lag, states
from portal.settings.stores import _database
from search import replicas as module
from search.replicas import primary, reading, replicas
from search.walpositions import at_primary, publish, reader
from search.walpositions import cluster as cluster_of

HELD = "CREATE TABLE IF NOT EXISTS held (name text PRIMARY KEY)"


pytestmark = pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" in os.environ,
    reason="exchanges the process' own connections, which is not safe beside other tests: run this file by itself",
)


@pytest.fixture(scope="module")
def _servers() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="cloister-replicas-"))
    folder.chmod(0o711)
    try:
        with replicating(Home(folder / "home"), 2) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(_servers: Cluster, settings: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    """The servers as this process' databases; all of them run, and have the same."""
    wanted = {DEFAULT_DB_ALIAS: _servers.primary.url} | {one.slot: one.url for one in _servers.replicas}
    before = dict(connections.settings)
    stood = connections[DEFAULT_DB_ALIAS]
    settings.REPLICA_WEIGHTS = {one.slot: 1.0 for one in _servers.replicas}
    settings.DATABASE_REPLICA_MAX_LAG_SECONDS = 30.0
    described = connections.configure_settings({name: _database(url, wait_seconds=3) for name, url in wanted.items()})
    connections.settings.update(described)
    with django_db_blocker.unblock():
        _forget()
        connections[DEFAULT_DB_ALIAS] = connections.create_connection(DEFAULT_DB_ALIAS)
        for service in (_servers.primary, *_servers.replicas):
            if service.service().name not in _servers.running:
                _servers.start(service.service())
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS ingestion_corpuschange (token bigint DEFAULT (random() * 1e15)::bigint);"
                + HELD
            )
        _servers.catch_up()
        try:
            yield _servers
        finally:
            for one in _servers.replicas:
                if one.service().name in _servers.running:
                    _servers.resume(one)
            for alias in wanted:
                connections[alias].close()
                connections[alias].close_pool()
            connections.settings.clear()
            connections.settings.update(before)
            connections[DEFAULT_DB_ALIAS] = stood
            for one in _servers.replicas:
                del connections[one.slot]
            _forget()


def _forget() -> None:
    """What this process has found out about its databases."""
    replicas.cache_clear()
    primary.cache_clear()
    cluster_of.cache_clear()


def where() -> str:
    """By which server a statement is answered."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('primary_slot_name') WHERE pg_is_in_recovery()")
        found = cursor.fetchone()
    return str(found[0]) if found else "primary"


def change() -> None:
    """Something that searches answer has changed, as the database itself would note it."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ingestion_corpuschange DEFAULT VALUES")


def asked(times: int = 40) -> Counter[str]:
    return Counter(reading(where) for _ in range(times))


def settled(cluster: Cluster) -> None:
    """The last change is known, and replayed where it can be."""
    at_primary()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO held VALUES (%s)", [_name()])
    cluster.catch_up()


def _name() -> str:
    return uuid.uuid4().hex


def test_searches_are_read_from_replicas_by_weight(cluster: Cluster, settings: Any) -> None:
    settings.REPLICA_WEIGHTS = {"replica_1": 4.0, "replica_2": 1.0}
    _forget()
    settled(cluster)
    # The first of all to come may meet replicas that take no connections yet, and leave them alone for a second or two.
    deadline = time.monotonic() + 20
    while asked(1)["primary"] and time.monotonic() < deadline:
        time.sleep(0.1)
    found = asked(200)
    assert found["primary"] == 0
    assert 120 < found["replica_1"] < 195


def test_a_replica_without_weight_serves_nothing(cluster: Cluster, settings: Any) -> None:
    settings.REPLICA_WEIGHTS = {"replica_1": 0.0, "replica_2": 1.0}
    _forget()
    settled(cluster)
    assert asked() == {"replica_2": 40}


def test_a_paused_replica_serves_until_something_changes_and_again_when_it_has_replayed_it(cluster: Cluster) -> None:
    settled(cluster)
    paused, _ = cluster.replicas
    cluster.pause(paused)
    assert asked()["replica_1"] > 0
    change()
    assert asked()["replica_1"] == 0
    cluster.resume(paused)
    settled(cluster)
    assert asked()["replica_1"] > 0


def test_with_every_replica_behind_the_primary_serves(cluster: Cluster) -> None:
    for one in cluster.replicas:
        cluster.pause(one)
    change()
    assert asked() == {"primary": 40}


def test_a_killed_replica_costs_no_search_and_comes_back(cluster: Cluster) -> None:
    settled(cluster)
    lost, _ = cluster.replicas
    assert asked()["replica_1"] > 0
    cluster.kill(lost.name)
    assert set(asked()) == {"replica_2"}
    cluster.start(lost.service())
    replicas()[0]._rests_until = 0.0
    settled(cluster)
    assert asked()["replica_1"] > 0


def test_a_search_that_fails_on_a_replica_is_asked_again_in_the_same_call(cluster: Cluster) -> None:
    settled(cluster)
    met: list[str] = []

    def fails_on_replicas() -> str:
        met.append(where())
        if met[-1] != "primary":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return met[-1]

    assert reading(fails_on_replicas) == "primary"
    assert sorted(met) == ["primary", "replica_1", "replica_2"]


def test_nothing_can_be_written_while_a_replica_is_read(cluster: Cluster) -> None:
    settled(cluster)
    with replicas()[0].standing_in(), pytest.raises(InternalError):
        change()
    assert where() == "primary"


def test_a_transaction_stays_where_it_is(cluster: Cluster) -> None:
    settled(cluster)
    with transaction.atomic():
        assert asked() == {"primary": 40}


def test_who_has_written_reads_from_no_replica_that_lacks_it(cluster: Cluster) -> None:
    settled(cluster)
    paused, _ = cluster.replicas
    cluster.pause(paused)
    me, other = _name(), _name()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO held VALUES (%s)", [me])
    publish(me)
    with reader(me):
        assert asked()["replica_1"] == 0
    with reader(other):
        assert asked()["replica_1"] > 0


def test_a_server_that_was_promoted_serves_nothing(cluster: Cluster) -> None:
    settled(cluster)
    replica = replicas()[0]
    connections[replica.alias].close()
    connections[replica.alias].close_pool()
    connections[replica.alias].settings_dict["PORT"] = cluster.primary.port
    assert set(asked()) == {"replica_2"}


def test_states_say_who_follows_and_how_far_behind(cluster: Cluster) -> None:
    settled(cluster)
    assert [(one.alias, one.healthy, one.lag_bytes, one.error) for one in states()] == [
        ("replica_1", True, 0, ""),
        ("replica_2", True, 0, ""),
    ]
    cluster.pause(cluster.replicas[0])
    change()
    first, second = states()
    assert (first.healthy, first.replaying, second.healthy) == (False, False, True)
    assert first.lag_bytes
    assert lag("replica_1") > 0


def test_a_replica_goes_on_with_its_copy_unless_the_primary_lacks_what_follows(cluster: Cluster) -> None:
    _, replica = cluster.replicas
    cluster.kill(replica.name)
    assert replica.initialise() is False
    connections["replica_2"].close()
    cluster.primary.run_sql("SELECT pg_drop_replication_slot('replica_2')")
    assert replica.initialise() is True
    cluster.start(replica.service())
    assert replica.lag()["state"] in ("streaming", "alone")
    cluster.catch_up()


# While the primary is away.


def portal(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware before a view whose lost databases become 503, as in the portal."""

    def answered(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except OperationalError:
            return HttpResponse(status=503)

    return ReplicaMiddleware(answered)


def tells_where(request: HttpRequest) -> HttpResponse:
    return HttpResponse(where())


def writes(request: HttpRequest) -> HttpResponse:
    change()
    return HttpResponse()


def without_primary(cluster: Cluster) -> None:
    cluster.kill("postgres")
    connections[DEFAULT_DB_ALIAS].close()


def test_without_the_primary_replicas_answer_who_reads_and_refuse_who_writes(
    cluster: Cluster, rf: RequestFactory
) -> None:
    assert portal(writes)(rf.post("/documents/")).status_code == 200
    cluster.catch_up()
    without_primary(cluster)
    found = Counter(portal(tells_where)(rf.get("/search/")).content.decode() for _ in range(20))
    assert set(found) == {"replica_1", "replica_2"}
    assert portal(tells_where)(
        rf.post("/api/v1/search/", data="{}", content_type="application/json")
    ).content.decode() in ("replica_1", "replica_2")
    assert portal(writes)(rf.post("/documents/")).status_code == 503
    assert portal(tells_where)(rf.get("/admin/")).status_code == 503


def test_without_the_primary_only_a_replica_with_every_acknowledged_write_answers(
    cluster: Cluster, rf: RequestFactory
) -> None:
    cluster.pause(cluster.replicas[0])
    portal(writes)(rf.post("/documents/"))
    cluster.catch_up(cluster.replicas[1])
    without_primary(cluster)
    assert {portal(tells_where)(rf.get("/search/")).content for _ in range(20)} == {b"replica_2"}


def test_a_sign_in_by_get_counts_as_a_write(cluster: Cluster, rf: RequestFactory, settings: Any) -> None:
    def signs_in(request: HttpRequest) -> HttpResponse:
        response = writes(request)
        response.set_cookie(settings.SESSION_COOKIE_NAME, "s1")
        return response

    portal(writes)(rf.post("/documents/"))
    cluster.catch_up()
    cluster.pause(cluster.replicas[0])
    portal(signs_in)(rf.get("/oidc/callback/"))
    cluster.catch_up(cluster.replicas[1])
    without_primary(cluster)
    assert {portal(tells_where)(rf.get("/search/")).content for _ in range(20)} == {b"replica_2"}


def test_without_the_primary_and_without_its_position_nobody_answers(cluster: Cluster, rf: RequestFactory) -> None:
    portal(writes)(rf.post("/documents/"))
    cluster.catch_up()
    from django.core.cache import cache

    cache.clear()
    without_primary(cluster)
    assert portal(tells_where)(rf.get("/search/")).status_code == 503


def test_the_primary_serves_again_once_it_is_back(cluster: Cluster, rf: RequestFactory) -> None:
    portal(writes)(rf.post("/documents/"))
    cluster.catch_up()
    without_primary(cluster)
    assert portal(tells_where)(rf.get("/search/")).content.startswith(b"replica")
    cluster.start(cluster.primary.service())
    connections[DEFAULT_DB_ALIAS].close()
    module.primary()._rests_until = 0.0
    assert portal(tells_where)(rf.get("/search/")).content == b"primary"
