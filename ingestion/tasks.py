"""What the workers do."""

from uuid import UUID

from celery import shared_task

from ingestion import pipeline, statistics


@shared_task(name="ingestion.ingest")
def ingest(document_id: str) -> None:
    """Bring one document to `ready`."""
    pipeline.ingest(UUID(document_id))


@shared_task(name="ingestion.reconcile")
def reconcile() -> int:
    """Queue again what was lost (on beat, every minute)."""
    return pipeline.reconcile()


@shared_task(name="ingestion.refresh_statistics")
def refresh_statistics() -> bool:
    """Count anew what scores know of the corpus, if it has changed (on beat, every minute)."""
    return statistics.refresh()
