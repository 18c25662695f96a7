"""What a worker counts, told by itself: for workers on machines without web processes."""

from __future__ import annotations

import logging
from wsgiref.simple_server import WSGIServer

from django.conf import settings
from prometheus_client import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry, Metric

from portal.metrics.processes import folder, gather

logger = logging.getLogger(__name__)


class Shared(Collector):
    """What all processes of this worker counted so far."""

    def collect(self) -> list[Metric]:
        """All of it; nothing where the processes share no folder."""
        shared = folder()
        return [] if shared is None else list(gather(shared).collect())


def serve() -> WSGIServer | None:
    """Answer Prometheus at WORKER_METRICS_PORT, where one is set, in a thread of this process; the server that does.

    Anybody who reaches BIND_ADDRESS may ask: it is for a network of the institution's own machines.
    """
    if not settings.WORKER_METRICS_PORT:
        return None
    if folder() is None:
        logger.warning("WORKER_METRICS_PORT is set, and PROMETHEUS_MULTIPROC_DIR is not: there is nothing to tell")
        return None
    registry = CollectorRegistry()
    registry.register(Shared())
    server, _ = start_http_server(settings.WORKER_METRICS_PORT, settings.WORKER_METRICS_ADDRESS, registry)
    return server
