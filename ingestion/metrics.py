"""What Prometheus counts of ingestion and of the embedding nodes. Labels are bounded: no document, no text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram

RUNS = Counter(
    "ingestion_runs_total",
    "Runs of workers over documents, by how they ended (ready, failed, waiting) and, of those that failed, why.",
    ["outcome", "reason"],
)
for _outcome, _reason in (("ready", ""), ("waiting", ""), ("failed", "internal")):
    # There from the beginning, so that the first one is seen as one more.
    RUNS.labels(_outcome, _reason)
STAGES = Histogram(
    "ingestion_stage_seconds",
    "Time of a stage of one document: reading (extraction and chunking), writing, embedding.",
    ["stage"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
EMBEDDING = Histogram(
    "embedding_request_duration_seconds",
    "Time of a request to an embedding node, by node and whether it was answered.",
    ["node", "outcome"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
TEXTS = Counter("embedding_texts_total", "Texts that embedding nodes made vectors of.", ["node"])


def node_name(url: str) -> str:
    """Host and port of a node, without what the address may hold besides (a name and a password)."""
    return urlsplit(url).netloc.rpartition("@")[2]


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a stage of one document; also one that fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        STAGES.labels(name).observe(time.perf_counter() - started)


@contextmanager
def embedding(url: str, texts: int) -> Iterator[None]:
    """Time a request to a node for the vectors of so many texts, and count these."""
    node, outcome, started = node_name(url), "failed", time.perf_counter()
    try:
        yield
        outcome = "ok"
        TEXTS.labels(node).inc(texts)
    finally:
        EMBEDDING.labels(node, outcome).observe(time.perf_counter() - started)
