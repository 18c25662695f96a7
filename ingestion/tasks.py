"""What the workers do."""

from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from ingestion import corpusversion, idempotency, pipeline, reembedding, retention, reviews, statistics
from ingestion.storage import StorageAway

LONGEST_PAUSE = 30
"""Seconds between two tries while the database or the storage is away."""


@shared_task(name="ingestion.ingest", bind=True, max_retries=None)
def ingest(self: "Task[Any, Any]", document_id: str) -> None:
    """Bring one document to `ready`. While the database or the storage is away, try again: soon, then less often."""
    tries = self.request.retries
    try:
        pipeline.ingest(UUID(document_id), again=tries > 0)
    except (OperationalError, InterfaceError, StorageAway) as error:
        if not pipeline.is_passing(error):
            raise
        raise self.retry(exc=error, countdown=min(2**tries, LONGEST_PAUSE)) from error


@shared_task(name="ingestion.reconcile")
def reconcile() -> int:
    """Queue again what was lost (on beat, every minute)."""
    return pipeline.reconcile()


@shared_task(name="ingestion.mend")
def mend() -> int:
    """Mend documents whose rows do not fit each other, and forget old requests (on beat, every hour)."""
    idempotency.forget()
    return pipeline.mend()


@shared_task(name="ingestion.verify_originals")
def verify_originals() -> int:
    """Compare some originals with their checksums (on beat, every five minutes); how many."""
    return retention.verify(most_bytes=settings.VERIFY_BYTES_AT_ONCE).files


@shared_task(name="ingestion.clean_originals")
def clean_originals() -> int:
    """Delete stored files that nothing refers to (on beat, every week); how many."""
    return len(retention.clean().removed)


@shared_task(name="ingestion.refresh_statistics")
def refresh_statistics() -> bool:
    """Count anew what scores know of the corpus, if it has changed (on beat, every minute)."""
    corpusversion.prune()
    return statistics.refresh()


@shared_task(name="ingestion.reembed")
def reembed() -> None:
    """One slice of embedding the corpus with another model; on a queue of its own."""
    reembedding.work()


@shared_task(name="ingestion.resume_reembedding")
def resume_reembedding() -> bool:
    """Let a change of the model that stands still go on (on beat, every minute)."""
    return reembedding.resume()


@shared_task(name="ingestion.remind_of_reviews")
def remind_of_reviews() -> int:
    """Ask by mail for the reviews that are due (on beat, every week)."""
    return reviews.remind()
