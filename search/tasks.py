"""What the workers do for the search."""

import logging

from celery import shared_task
from django.conf import settings

from ingestion.embeddings import EmbeddingUnavailable
from search import alerts, approval, audit, golden, goldenalert, history, recall, vocabulary, warming

logger = logging.getLogger(__name__)

VECTORS_AT_ONCE = 200


@shared_task(name="search.purge_audit")
def purge_audit() -> dict[str, int]:
    """Delete what is older than it may be, with proof of what went (on beat, daily)."""
    return audit.purge()


@shared_task(name="search.warm_cache")
def warm_cache() -> int:
    """Have what is asked most ready in the caches (on beat, every five minutes); how many answers had to be made."""
    if not (settings.WARM_ANSWERS and settings.SEARCH_CACHE_SECONDS):
        return 0
    try:
        return warming.warm(vectors=VECTORS_AT_ONCE, answers=settings.WARM_ANSWERS, viewers=settings.WARM_VIEWERS).made
    except EmbeddingUnavailable as error:
        # The next search says so, and so does /health; this task comes again.
        logger.warning("the caches are not warmed: %s", error)
        return 0


@shared_task(name="search.read_vocabulary")
def read_vocabulary() -> bool:
    """Read the words of new chunks (on beat, every minute); whether there were any."""
    return vocabulary.refresh()


@shared_task(name="search.begin_golden_run")
def begin_golden_run() -> None:
    """Ask all golden queries (on beat, every night)."""
    run, _ = golden.begin()
    ask_golden_queries(run.pk)


@shared_task(name="search.ask_golden_queries")
def ask_golden_queries(run_id: int) -> int:
    """Ask the golden queries of this run, and tell whom it concerns where they fell; how many mails went out."""
    finished = golden.run(run_id)
    return goldenalert.warn() if finished is not None and not finished.failure else 0


@shared_task(name="search.count_popularity")
def count_popularity() -> int:
    """Count anew how popular documents are (on beat, hourly); of how many something is known."""
    return approval.refresh()


@shared_task(name="search.sample_recall")
def sample_recall() -> int:
    """Compare some of the last searches with all that there is to find (on beat, every five minutes); how many."""
    return recall.sample()


@shared_task(name="search.tell_what_is_new")
def tell_what_is_new() -> int:
    """Ask the saved searches that are due, and tell their owners (on beat, every ten minutes); how many mails."""
    return alerts.run()


@shared_task(name="search.purge_history")
def purge_history() -> int:
    """Forget what people asked long ago (on beat, daily); how many searches."""
    return history.purge()
