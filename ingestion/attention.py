"""What needs a curator's attention: failures, what is on its way, and reviews that are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.models import WORKING, Document, Status

REVIEW_AFTER = timedelta(days=730)
"""A document last reviewed longer ago than this (24 months) is due for review."""

SHOWN = 8
"""Documents named under each heading; the rest is behind a link."""


def review_due(today: date | None = None) -> Q:
    """Documents in use whose last review is older than 24 months. Those that were never reviewed are not meant."""
    return Q(status=Status.READY, last_reviewed__lt=(today or timezone.localdate()) - REVIEW_AFTER)


@dataclass(frozen=True)
class Attention:
    """The home page of the admin, for one person. Counts and lists are of what that person manages."""

    counts: dict[str, int]
    """State -> number of documents."""
    review_due_count: int
    failed: list[Document]
    working: list[Document]
    review_due: list[Document]

    @property
    def total(self) -> int:
        """All documents, in whatever state."""
        return sum(self.counts.values())

    @property
    def ready_count(self) -> int:
        """Documents that are searched."""
        return self.counts[Status.READY]

    @property
    def failed_count(self) -> int:
        """Documents that could not be taken in."""
        return self.counts[Status.FAILED]

    @property
    def archived_count(self) -> int:
        """Documents that were put away."""
        return self.counts[Status.ARCHIVED]

    @property
    def working_count(self) -> int:
        """Documents on their way into the search."""
        return sum(self.counts[state] for state in WORKING)


def attention_for(viewer: Viewer) -> Attention:
    """What needs this viewer's attention, among the documents that they manage."""
    managed = Document.objects.manageable_by(viewer).order_by()
    counted = dict(managed.values_list("status").annotate(number=Count("pk")))
    due = managed.filter(review_due())
    shown = managed.select_related("department")
    return Attention(
        counts={state: counted.get(state, 0) for state in Status.values},
        review_due_count=due.count(),
        failed=list(shown.filter(status=Status.FAILED).order_by("-updated_at")[:SHOWN]),
        working=list(shown.filter(status__in=WORKING).order_by("-updated_at")[:SHOWN]),
        review_due=list(shown.filter(review_due()).order_by("last_reviewed")[:SHOWN]),
    )
