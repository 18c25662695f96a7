"""Every request of the web processes, counted and timed by what kind it was of."""

from __future__ import annotations

from django.http import HttpRequest
from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "http_requests_total", "Requests answered, by kind, name of the view, and status.", ["kind", "view", "status"]
)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request, by kind.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

KINDS = {"api": "api", "admin": "admin", "static": "static", "health": "operators", "metrics": "operators"}
"""The kind by the first part of the path; all others are pages."""


def count_request(kind: str, view: str, status: int, seconds: float) -> None:
    """Count one answer."""
    REQUESTS.labels(kind, view, str(status)).inc()
    SECONDS.labels(kind).observe(seconds)


def kind_and_view(request: HttpRequest) -> tuple[str, str]:
    """Of what kind a request was, and the name of its view; none where it reached none, as an unknown address does."""
    match = request.resolver_match
    return KINDS.get(request.path.lstrip("/").partition("/")[0], "page"), match.view_name if match else ""
