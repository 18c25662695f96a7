"""Recall in production: what the index of vectors found for some searches, compared with all that there was to find.

Nothing of it happens while somebody waits. Every few minutes a worker takes a share of the searches of the audit trail,
asks those that go through the index again, both ways, as the same person, and keeps how many of the ten nearest chunks
the index had, by the role of who asked. Which search, only the trail knows.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Avg, Count, Exists, OuterRef
from django.utils import timezone

from accounts.clearance import ANONYMOUS_ROLE, viewer_for
from ingestion.embeddings import EmbeddingUnavailable
from search.models import RecallSample, SearchEvent
from search.query import InvalidQuery, Mode, SearchQuery, parse_query
from search.retrieval import SpaceChanged, by_both_ways
from search.vectors import query_vector

logger = logging.getLogger(__name__)

NEAREST = 10
"""Recall@10: the chunks that a page of hits is made of."""

LOOKED_BACK = timedelta(minutes=15)
"""How old a search may be that is compared: three rounds of the task, so that one that was missed loses nothing."""

MOST_AT_ONCE = 50
"""Searches that one round looks at. Of those that go through the index each reads every chunk that somebody may see."""

KEPT_FOR = timedelta(days=30)
"""Samples are deleted after so long."""

REPORTED = timedelta(days=1)
"""Over which the figures of the metrics are averaged."""

ROUNDING = 1e-6
"""Similarities that differ by less are the same: of equal ones, each way may take another."""


def sample() -> int:
    """Compare some of the last searches that were not compared yet; how many went through the index."""
    RecallSample.objects.filter(at__lt=timezone.now() - KEPT_FOR).delete()
    compared = 0
    for event in _chosen():
        try:
            compared += _compare(event)
        except EmbeddingUnavailable as error:
            logger.warning("recall is not sampled: %s", error)
            break
        except SpaceChanged:
            logger.info("recall is not sampled: the model was changed")
            break
    return compared


def figures() -> dict[str, tuple[float, int]]:
    """Of each role that searched in the last day: the average recall@10 of what was compared, and of how many."""
    lately = RecallSample.objects.filter(at__gt=timezone.now() - REPORTED, recall__isnull=False).order_by()
    averaged = lately.values_list("role").annotate(Avg("recall"), Count("pk"))
    return {role: (average, number) for role, average, number in averaged}


def recall_of(found: list[float], there: list[float]) -> float | None:
    """The share of the nearest ten that was found, by their similarities; None where there was nothing to find."""
    nearest = there[:NEAREST]
    if not nearest:
        return None
    return sum(one >= nearest[-1] - ROUNDING for one in found[: len(nearest)]) / len(nearest)


def _chosen() -> list[SearchEvent]:
    """Searches that people made as themselves, and of which the ids, which are random, lie below the share."""
    share = min(max(settings.RECALL_SAMPLE_SHARE, 0.0), 1.0)
    if not share:
        return []
    below = UUID(int=min(int(share * 2**128), 2**128 - 1))
    known = RecallSample.objects.filter(search_id=OuterRef("pk"))
    lately = SearchEvent.objects.filter(at__gt=timezone.now() - LOOKED_BACK, pk__lte=below, seen_as="")
    asked = lately.exclude(query="").exclude(mode=Mode.KEYWORD.value).filter(~Exists(known))
    return list(asked.select_related("user").order_by("at")[:MOST_AT_ONCE])


def _compare(event: SearchEvent) -> bool:
    """Compare one search, and keep what came of it; whether it went through the index."""
    query = _query_of(event)
    if query is None or (event.user is None and event.role != ANONYMOUS_ROLE):
        return False
    viewer = viewer_for(event.user or AnonymousUser())
    both = by_both_ways(query, viewer=viewer, vector=query_vector(query.meaning, anew=True))
    share = recall_of(*both) if both else None
    # Those that were not for the index are noted too, or each round would look at them again.
    RecallSample.objects.get_or_create(search_id=event.pk, defaults={"role": viewer.role, "recall": share})
    return share is not None


def _query_of(event: SearchEvent) -> SearchQuery | None:
    """What was asked, as far as the trail tells; None for what is no query any more."""
    try:
        return parse_query({"q": event.query, "mode": event.mode, **event.filters})
    except InvalidQuery:
        return None
