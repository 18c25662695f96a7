"""`/metrics` for Prometheus, correct with several processes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from portal.health import is_operator
from portal.metrics.processes import folder, gather
from portal.metrics.state import StateCollector
from portal.problems import not_found


def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of all processes, for operators; for others this address does not exist."""
    if not is_operator(request):
        return not_found(request)
    state = CollectorRegistry()
    state.register(StateCollector())
    return HttpResponse(counted() + generate_latest(state), content_type=CONTENT_TYPE_LATEST)


def counted() -> bytes:
    """What the processes counted, of all that share a folder, else of this one."""
    shared = folder()
    return generate_latest(REGISTRY if shared is None else gather(shared))
