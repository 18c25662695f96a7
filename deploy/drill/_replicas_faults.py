"""What is done to the databases while people search, and how the searches fared."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from deploy.drill._stale_doors import API, Watched
from deploy.local.replicating import Cluster

SEARCHERS = 4
BACK_SECONDS = 60.0


@dataclass
class Fared:
    """Searches while something was away: how each was answered, and who read the answers."""

    statuses: Counter[int] = field(default_factory=Counter)
    stale: int = 0
    slowest_ms: float = 0.0
    by: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    def figures(self) -> dict[str, Any]:
        """For people."""
        return {
            "searches": self.statuses.total(),
            "errors": self.errors,
            "stale": self.stale,
            "slowest_ms": round(self.slowest_ms),
            "read_from": self.by,
        }


class Searches:
    """Anonymous searches for one document, at both web servers, by several at the same time."""

    def __init__(self, servers: list[str], watched: Watched, metrics: str) -> None:
        """`metrics` is the folder in which the servers' processes share theirs."""
        self._servers = servers
        self._watched = watched
        self._metrics = metrics

    def served(self) -> Counter[str]:
        """How many searches and pages each database has read so far."""
        # Not from /metrics, which asks the database as well.
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._metrics)  # type: ignore[no-untyped-call]
        samples = [sample for metric in registry.collect() for sample in metric.samples]
        return Counter(
            {one.labels["database"]: int(one.value) for one in samples if one.name == "search_database_total"}
        )

    @contextmanager
    def going_on(self, *, hidden: bool = False) -> Iterator[Fared]:
        """People search meanwhile; with `hidden` the document may not show. What they met is whole afterwards."""
        fared, over, before = Fared(), threading.Event(), self.served()

        def search(number: int) -> None:
            with httpx.Client(base_url=self._servers[number % len(self._servers)], timeout=30.0) as client:
                while not over.is_set():
                    self._ask(client, fared, hidden=hidden)

        with ThreadPoolExecutor(SEARCHERS) as pool:
            asked = [pool.submit(search, number) for number in range(SEARCHERS)]
            try:
                yield fared
            finally:
                over.set()
            for one in asked:
                one.result()
        fared.by = dict(self.served() - before)

    def some(self, count: int, *, hidden: bool = False) -> Fared:
        """So many searches, at least."""
        with self.going_on(hidden=hidden) as fared:
            until(lambda: fared.statuses.total() >= count)
        return fared

    def _ask(self, client: httpx.Client, fared: Fared, *, hidden: bool) -> None:
        began = time.monotonic()
        answer = client.get(f"{API}/search/", params={"q": self._watched.question, "mode": "keyword"})
        fared.slowest_ms = max(fared.slowest_ms, (time.monotonic() - began) * 1000)
        fared.statuses[answer.status_code] += 1
        fared.stale += hidden and self._watched.marker in answer.text


def until(condition: Callable[[], bool], seconds: float = BACK_SECONDS) -> None:
    """Wait for it. Raises RuntimeError when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("what the drill waited for did not come")
        time.sleep(0.05)


def replica_lost(cluster: Cluster, searches: Searches) -> dict[str, Fared]:
    """A replica is killed under searches, and comes back."""
    lost = cluster.replicas[0]
    with searches.going_on() as away:
        cluster.kill(lost.name)
        until(lambda: away.statuses.total() >= 300)
    with searches.going_on() as back:
        cluster.start(lost.service())
        before = searches.served()[lost.slot]
        until(lambda: searches.served()[lost.slot] > before)
    return {"replica killed": away, "replica back": back}


def replica_late(cluster: Cluster, searches: Searches, narrow: Callable[[], None]) -> dict[str, Fared]:
    """A replica is 30 s late, and access is narrowed: it serves nobody until it has replayed that."""
    late = cluster.replicas[0]
    cluster.delay(late, 30)
    try:
        narrow()
        fared = searches.some(300, hidden=True)
    finally:
        cluster.delay(late, 0)
    cluster.catch_up()
    return {"replica 30 s late": fared}


def primary_lost(cluster: Cluster, searches: Searches, narrow: Callable[[], None]) -> dict[str, Fared]:
    """Access is narrowed while one replica replays nothing, and the primary dies: the other one answers."""
    paused, following = cluster.replicas
    cluster.pause(paused)
    narrow()
    cluster.catch_up(following)
    with searches.going_on(hidden=True) as fared:
        until(lambda: fared.statuses.total() >= 50)
        cluster.kill("postgres")
        until(lambda: fared.statuses.total() >= 400)
    cluster.start(cluster.primary.service())
    cluster.resume(paused)
    cluster.catch_up()
    back = searches.some(50, hidden=True)
    return {"primary killed": fared, "primary back": back}


def all_behind(cluster: Cluster, searches: Searches, narrow: Callable[[], None]) -> dict[str, Fared]:
    """Access is narrowed while no replica replays anything, and the primary dies: nobody may answer."""
    for replica in cluster.replicas:
        cluster.pause(replica)
    narrow()
    cluster.kill("postgres")
    fared = searches.some(100, hidden=True)
    cluster.start(cluster.primary.service())
    for replica in cluster.replicas:
        cluster.resume(replica)
    cluster.catch_up()
    return {"primary killed, no replica has all": fared}


def forget_connections() -> None:
    """This process is no web server: nobody else closes what a killed database left it with."""
    from django.db import connections

    connections.close_all()
