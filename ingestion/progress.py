"""How far documents are, for whoever waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet, Sum
from django.utils import timezone

from ingestion import statistics
from ingestion.models import WORKING, Chunk, Document, Status
from ingestion.pipeline import UNAVAILABLE

POLL_SECONDS = 1.0
PATIENCE = timedelta(minutes=3)
"""Longer than any step that shows no progress: a minute for an embedding batch, two for an extraction."""


class NothingMoves(Exception):
    """No document has made any progress for a while; the message says why, or what to look at."""


def counts(documents: QuerySet[Document] | None = None) -> dict[str, int]:
    """How many documents are in which state; every state is named."""
    documents = Document.objects.all() if documents is None else documents
    found = dict(documents.order_by().values_list("status").annotate(count=Count("pk")))
    return {status.value: found.get(status, 0) for status in Status}


def counts_and_reasons() -> tuple[dict[str, int], dict[tuple[str, ...], float]]:
    """As `counts`, and how many documents have which state for which reason, of those that have one."""
    found = Document.objects.order_by().values_list("status", "error_reason").annotate(count=Count("pk"))
    by_state = dict.fromkeys((status.value for status in Status), 0)
    by_reason: dict[tuple[str, ...], float] = {}
    for status, reason, count in found:
        by_state[status] += count
        if reason:
            by_reason[status, reason] = count
    return by_state, by_reason


def searchable_chunks() -> int:
    """How many chunks there are that somebody can find."""
    return int(Document.objects.filter(is_searchable=True).aggregate(chunks=Sum("chunk_count"))["chunks"] or 0)


def waiting_chunks() -> int:
    """How many chunks still wait for their vector."""
    waiting = Chunk.objects.filter(embedding__isnull=True).exclude(metadata__has_key="unembeddable")
    return waiting.exclude(document__status__in=[Status.ARCHIVED, Status.FAILED]).count()


def wait(ids: Collection[UUID], say: Callable[[str], None], *, words_only: bool = False) -> dict[str, int]:
    """Wait until these documents and the files within them are finished; returns their final counts by state.

    With `words_only`, until each is found by words, which is before its vectors are there. `say` gets a line whenever
    one is finished. Raises NothingMoves when no document, of these or of others before them, has moved for PATIENCE.
    """
    documents = _with_parts(ids)
    open_ = Q(status__in=WORKING, is_searchable=False) if words_only else Q(status__in=WORKING)
    last, moved = None, timezone.now()
    while True:
        left = documents.filter(open_).count()
        total = documents.count()
        done = total - left
        running = Document.objects.filter(status__in=WORKING).order_by()
        state = (
            left,
            documents.order_by().aggregate(Sum("progress"))["progress__sum"],
            running.aggregate(Max("run_seen_at"))["run_seen_at__max"],
        )
        if last is None or state[0] != last[0]:
            say(f"{done} of {total} documents {'found by words' if words_only else 'finished'}")
        if state != last:
            last, moved = state, timezone.now()
        if not left:
            statistics.refresh()
            return counts(documents)
        if timezone.now() - moved > PATIENCE:
            raise NothingMoves(_why_nothing_moves(documents))
        time.sleep(POLL_SECONDS)


def _why_nothing_moves(documents: QuerySet[Document]) -> str:
    """What whoever waits for these documents is told."""
    waiting = documents.filter(status__in=WORKING, error_reason=UNAVAILABLE).count()
    if waiting:
        return (
            f"{waiting} documents wait for the embedding service, which does not answer. They are found by words, and "
            "go on by themselves when it is back. Look at: ./cloister status, ./cloister logs embedding"
        )
    minutes = PATIENCE.total_seconds() / 60
    return (
        f"No document has moved for {minutes:.0f} minutes. Is a worker running? Look at: ./cloister status, "
        "./cloister logs worker"
    )


def failed(ids: Collection[UUID]) -> QuerySet[Document]:
    """Those of the documents, and of the files within them, that failed, by file name."""
    return _with_parts(ids).filter(status=Status.FAILED).order_by("file_name")


def _with_parts(ids: Collection[UUID]) -> QuerySet[Document]:
    """These documents, and as many levels of files within them as are ever taken in."""
    condition, path = Q(pk__in=ids), "parent"
    for _ in range(settings.EXTRACTION_LIMITS.nesting):
        condition |= Q(**{f"{path}__in": ids})
        path += "__parent"
    documents: QuerySet[Document] = Document.objects.filter(condition)
    return documents
