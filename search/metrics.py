"""What Prometheus counts of searches. Labels are bounded: no person, no query."""

from prometheus_client import Counter, Histogram

QUERIES = Counter("vector_search_queries_total", "Searches answered or failed.", ["endpoint", "status"])
DURATION = Histogram(
    "vector_search_duration_seconds",
    "Time to answer a search, by mode and, for its stages, by stage.",
    ["query_type"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
DEGRADED = Counter("vector_search_degraded_total", "Searches answered without a part.", ["reason"])
CACHE = Counter(
    "search_cache_total",
    "Looks into a cache, by cache and outcome; away: it did not answer in time, or was left alone because it had not.",
    ["cache", "outcome"],
)
EMPTY = Counter("vector_search_empty_total", "Searches that found nothing.")
