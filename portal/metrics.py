"""`/metrics` for Prometheus, correct with several worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from kombu.exceptions import OperationalError
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ingestion.models import Document
from portal.celery import app as celery_app
from portal.health import is_operator
from portal.problems import not_found

QUEUES = ("ingestion", "maintenance")


class StateCollector:
    """What is read from the database and the broker at the moment of the scrape."""

    def collect(self) -> Iterator[Metric]:
        """Connections, queue sizes, and documents by state; a part that is away is left out."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            yield GaugeMetricFamily("db_connections_active", "Connections to the database.", value=cursor.fetchone()[0])
        documents = GaugeMetricFamily("ingestion_documents", "Documents by state.", labels=["status"])
        for status, count in Document.objects.order_by().values_list("status").annotate(count=Count("pk")):
            documents.add_metric([status], count)
        yield documents
        try:
            with celery_app.connection_for_read() as broker:
                sizes = {queue: broker.default_channel.client.llen(queue) for queue in QUEUES}
        except OperationalError:
            return
        yield GaugeMetricFamily("embedding_queue_size", "Documents that wait for a worker.", value=sizes["ingestion"])


def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of all processes, for operators; for others this address does not exist."""
    if not is_operator(request):
        return not_found(request)
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    state = CollectorRegistry()
    state.register(StateCollector())
    return HttpResponse(generate_latest(registry) + generate_latest(state), content_type=CONTENT_TYPE_LATEST)
