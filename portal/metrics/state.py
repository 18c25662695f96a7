"""What is read at the moment of the scrape: from the database, the broker, and what is known of the parts' health."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from prometheus_client.core import GaugeMetricFamily, Metric

from ingestion import progress
from portal import health, queues
from search import goldenruns, recall

logger = logging.getLogger(__name__)

STATEMENT_MILLISECONDS = 1000
"""The database itself ends a statement of a scrape that takes longer."""


def gauge(name: str, help_text: str, values: Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    """A gauge with these values by their labels, which are tuples of strings."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class StateCollector:
    """A part that is away is left out, and logged."""

    def collect(self) -> Iterator[Metric]:
        """Parts, connections, queues, documents, quality of search, backup."""
        # A database that is away is not waited for longer than its check is.
        parts = health.components(("database",)) | health.latest()
        yield from _parts(parts)
        if parts["database"].healthy:
            try:
                yield from _database()
            except DatabaseError as error:
                logger.warning("metrics without the database: %s", error)
        try:
            yield from _queues()
        except redis.RedisError as error:
            logger.warning("metrics without the broker: %s", error)
        yield from _backup()


def _parts(parts: dict[str, health.Component]) -> Iterator[Metric]:
    yield gauge(
        "component_up",
        "Whether a part does its work, as the health page says.",
        {(name,): float(part.healthy) for name, part in parts.items()},
        "component",
    )
    details: dict[str, dict[str, Any]] = {name: part.details for name, part in parts.items()}
    nodes = details.get("embedding_service", {}).get("nodes", [])
    yield gauge(
        "embedding_node_up",
        "Whether an embedding node makes vectors with the corpus' model.",
        {(node["node"],): float(node["healthy"]) for node in nodes},
        "node",
    )
    yield gauge(
        "embedding_node_seconds",
        "Time of the last test vector.",
        {(node["node"],): node["response_time"] for node in nodes},
        "node",
    )
    replicas = details.get("replicas", {}).get("replicas", {})
    yield gauge(
        "db_replica_up",
        "Whether a read replica answers and is near enough.",
        {(name,): float(one["healthy"]) for name, one in replicas.items()},
        "replica",
    )
    yield gauge(
        "db_replica_lag_seconds",
        "By how much a read replica is behind.",
        {(name,): one["lag_seconds"] for name, one in replicas.items() if one["lag_seconds"] is not None},
        "replica",
    )
    disks = details.get("disk", {})
    for what in ("free", "size"):
        values = {(name,): float(one[f"{what}_bytes"]) for name, one in disks.items()}
        yield gauge(f"disk_{what}_bytes", "Of the disk on which something lies.", values, "place")
    described = (
        ("db_connections_max", "Connections that the database allows.", "database", "max_connections"),
        ("search_chunks", "Chunks that somebody can find.", "database", "searchable_chunks"),
        ("cache_memory_bytes", "Memory of the cache.", "cache", "memory_bytes"),
        ("cache_memory_max_bytes", "Its limit; 0: none.", "cache", "max_memory_bytes"),
        ("cache_clients", "Connections to the cache.", "cache", "clients"),
    )
    for name, help_text, component, detail in described:
        known = details.get(component, {})
        yield gauge(name, help_text, {(): known[detail]} if detail in known else {})


def _database() -> Iterator[Metric]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            connected = cursor.fetchone()[0]
        by_state, by_reason = progress.counts_and_reasons()
        golden = goldenruns.latest()
        sampled = recall.figures()
    yield gauge("db_connections_active", "Connections to the database.", {(): connected})
    yield gauge("ingestion_documents", "Documents by state.", {(one,): n for one, n in by_state.items()}, "status")
    yield gauge(
        "ingestion_documents_with_reason",
        "Documents that failed, wait or are flawed, by state and reason.",
        by_reason,
        *("status", "reason"),
    )
    ndcg = {} if golden is None else {(): golden.ndcg}
    began = {} if golden is None else {(): golden.run.started_at.timestamp()}
    yield gauge("search_golden_ndcg", "nDCG@10 of the golden queries' last run.", ndcg)
    yield gauge("search_golden_run_timestamp_seconds", "When that run began.", began)
    yield gauge(
        "search_recall",
        "Recall@10 of the index of vectors, of a day's sampled searches.",
        {(role,): average for role, (average, _) in sampled.items()},
        "role",
    )
    yield gauge(
        "search_recall_samples",
        "How many searches those were.",
        {(role,): number for role, (_, number) in sampled.items()},
        "role",
    )


def _queues() -> Iterator[Metric]:
    states = queues.states()
    if not states:
        return
    yield gauge("embedding_queue_size", "Documents that wait for a worker.", {(): states["ingestion"].waiting})
    described: dict[str, tuple[str, dict[tuple[str, ...], float | None]]] = {
        "queue_waiting": ("Tasks that wait.", {(name,): one.waiting for name, one in states.items()}),
        "queue_oldest_seconds": (
            "For how long the first of them has waited; 0 where none waits.",
            {(name,): one.oldest or 0.0 for name, one in states.items()},
        ),
        "queue_since_moved_seconds": (
            "Since a task was last begun.",
            {(name,): one.since_moved for name, one in states.items()},
        ),
        "queue_since_canary_seconds": (
            "Since a canary last came through.",
            {(name,): one.since_canary for name, one in states.items()},
        ),
    }
    for name, (help_text, values) in described.items():
        yield gauge(name, help_text, {key: one for key, one in values.items() if one is not None}, "queue")


def _backup() -> Iterator[Metric]:
    """When the last good backup was made: BACKUP_MARK is touched by it."""
    mark = Path(settings.BACKUP_MARK) if settings.BACKUP_MARK else None
    made = {(): mark.stat().st_mtime} if mark and mark.exists() else {}
    yield gauge("backup_last_success_timestamp_seconds", "When the last good backup was made.", made)
