"""`/metrics` for Prometheus, correct with several worker processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ingestion import progress
from portal.health import is_operator
from portal.problems import not_found
from search import goldenruns, recall

logger = logging.getLogger(__name__)

BROKER_TIMEOUT_SECONDS = 0.5
"""A scrape must not wait for a broker that is away."""


class StateCollector:
    """What is read from the database and the broker at the moment of the scrape."""

    def collect(self) -> Iterator[Metric]:
        """Connections, queue sizes, and documents by state; a part that is away is left out, and logged."""
        try:
            yield from self._database()
        except DatabaseError as error:
            logger.warning("metrics without the database: %s", error)
        try:
            yield self._queue()
        except redis.RedisError as error:
            logger.warning("metrics without the broker: %s", error)

    @staticmethod
    def _database() -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            yield GaugeMetricFamily("db_connections_active", "Connections to the database.", value=cursor.fetchone()[0])
        documents = GaugeMetricFamily("ingestion_documents", "Documents by state.", labels=["status"])
        for status, count in progress.counts().items():
            documents.add_metric([status], count)
        yield documents
        if (golden := goldenruns.latest()) is not None:
            yield GaugeMetricFamily("search_golden_ndcg", "nDCG@10 of the golden queries' last run.", value=golden.ndcg)
            yield GaugeMetricFamily(
                "search_golden_run_timestamp_seconds", "When that run began.", value=golden.run.started_at.timestamp()
            )
        found = GaugeMetricFamily(
            "search_recall", "Recall@10 of the index of vectors, of a day's sampled searches.", labels=["role"]
        )
        samples = GaugeMetricFamily("search_recall_samples", "How many searches those were.", labels=["role"])
        for role, (average, number) in recall.figures().items():
            found.add_metric([role], average)
            samples.add_metric([role], number)
        yield from (found, samples)

    @staticmethod
    def _queue() -> Metric:
        with redis.Redis.from_url(
            settings.CELERY_BROKER_URL,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
            socket_timeout=BROKER_TIMEOUT_SECONDS,
        ) as broker:
            waiting = broker.llen("ingestion")
        return GaugeMetricFamily("embedding_queue_size", "Documents that wait for a worker.", value=waiting)


def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of all processes, for operators; for others this address does not exist."""
    if not is_operator(request):
        return not_found(request)
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    state = CollectorRegistry()
    state.register(StateCollector())
    return HttpResponse(generate_latest(registry) + generate_latest(state), content_type=CONTENT_TYPE_LATEST)
