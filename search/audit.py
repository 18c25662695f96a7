"""Keeping the audit trail of searches: how long, and how it leaves the house."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from search.models import SearchEvent
from search.query import Mode


def purge() -> int:
    """Delete searches that are older than AUDIT_RETENTION_DAYS; how many they were."""
    oldest = timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    return SearchEvent.objects.filter(at__lt=oldest).delete()[1].get("search.SearchEvent", 0)


def most_frequent(limit: int, *, askers: int = 0) -> list[str]:
    """What was asked most often by meaning, most frequent first, as far back as the trail goes.

    With `askers`, only what at least so many signed-in people have asked.
    """
    worded = SearchEvent.objects.exclude(query="")
    asked = worded.exclude(mode=Mode.KEYWORD.value).order_by().values("query").annotate(times=Count("pk"))
    if askers:
        asked = asked.annotate(people=Count("user", distinct=True)).filter(people__gte=askers)
    return [one["query"] for one in asked.order_by("-times", "query")[:limit]]


def export() -> Iterator[dict[str, Any]]:
    """Every search that is kept, oldest first."""
    for event in SearchEvent.objects.order_by("at").select_related("user").iterator(chunk_size=1000):
        yield {
            "id": str(event.pk),
            "at": event.at.isoformat(),
            "user": event.user.username if event.user else None,
            "role": event.role,
            "seen_as": event.seen_as,
            "phase": event.phase,
            "query": event.query,
            "filters": event.filters,
            "mode": event.mode,
            "degraded": event.degraded,
            "count": event.count,
            "page": event.page,
            "duration_ms": event.duration_ms,
            "request_id": event.request_id,
        }
