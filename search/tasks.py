"""What the workers do for the search."""

from celery import shared_task

from search import audit


@shared_task(name="search.purge_audit")
def purge_audit() -> int:
    """Delete what is older than it may be (on beat, daily)."""
    return audit.purge()
