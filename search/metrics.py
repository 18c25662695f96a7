"""What Prometheus counts of searches. Labels are bounded: no person, no query."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

QUERIES = Counter("vector_search_queries_total", "Searches answered or failed.", ["endpoint", "status"])
DURATION = Histogram(
    "vector_search_duration_seconds",
    "Time to answer a search, by mode; of completing and correcting what is typed, by these names.",
    ["query_type"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0),
)
STAGES = Histogram(
    "vector_search_stage_seconds",
    "Time of one stage of a search: query_vector, candidates (both legs, in one statement), ranking, facets, passages,"
    " audit, render.",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0),
)
SCANS = Counter(
    "search_route_total",
    "How chunks were compared with a query vector: exact (each of few), index, exact_after_index (it found too few).",
    ["route"],
)
DEGRADED = Counter("vector_search_degraded_total", "Searches answered without a part.", ["reason"])
CACHE = Counter(
    "search_cache_total",
    "Looks into a cache, by cache and outcome; away: it did not answer in time, or was left alone because it had not.",
    ["cache", "outcome"],
)
EMPTY = Counter("vector_search_empty_total", "Searches that found nothing.")
ROUTES = Counter(
    "search_database_total",
    "Searches and pages by the database that they were read from, where there are replicas.",
    ["database"],
)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a stage of a search; also one that fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        STAGES.labels(name).observe(time.perf_counter() - started)
