"""The pools of database connections of this process, as far as somebody may have to wait for one."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.core.signals import request_finished
from django.db import connections
from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge(
    "db_pool_connections",
    "Connections in the pools of the web processes: open, idle (of these), and most.",
    ["database", "state"],
    multiprocess_mode="livesum",
)
WAITED = Counter("db_pool_waits_total", "Times that a connection had to be waited for.", ["database"])
WAITED_SECONDS = Counter(
    "db_pool_wait_seconds_total", "Seconds that were spent waiting for a connection.", ["database"]
)
TIMEOUTS = Counter("db_pool_timeouts_total", "Times that no connection came in time.", ["database"])
FAILURES = Counter("db_connection_failures_total", "Connections that could not be made.", ["database"])

LOOKED_AT_SECONDS = 1.0
"""Between two looks of a process at its pools; requests come more often."""

GAUGES = {"open": "pool_size", "idle": "pool_available", "most": "pool_max"}
COUNTERS = (
    (WAITED, "requests_queued", 1.0),
    (WAITED_SECONDS, "requests_wait_ms", 0.001),
    (TIMEOUTS, "requests_errors", 1.0),
    (FAILURES, "connections_errors", 1.0),
)

_lock = threading.Lock()
_looked_at = float("-inf")
_counted: dict[tuple[str, str], int] = {}


def look(**_: Any) -> None:
    """Count what happened at the pools of this process since the last look, a second ago at least."""
    global _looked_at
    with _lock:
        if time.monotonic() - _looked_at < LOOKED_AT_SECONDS:
            return
        _looked_at = time.monotonic()
        for connection in connections.all(initialized_only=True):
            pool = getattr(connection, "pool", None)
            if pool is not None:
                _count(connection.alias, pool.get_stats())


def _count(alias: str, stats: dict[str, int]) -> None:
    for state, name in GAUGES.items():
        CONNECTIONS.labels(alias, state).set(stats.get(name, 0))
    for counter, name, unit in COUNTERS:
        now = stats.get(name, 0)
        before = _counted.get((alias, name), 0)
        # A pool that was closed and opened anew, as after a restart of the database, begins to count anew.
        counter.labels(alias).inc((now - before if now >= before else now) * unit)
        _counted[alias, name] = now


request_finished.connect(look)
