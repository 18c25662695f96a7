"""What needs a curator's attention: failures, what is on its way, and reviews that are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, F, Q
from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.models import WORKING, Document, Status

REVIEW_AFTER = timedelta(days=730)
"""A document last reviewed longer ago than this (24 months) is due for review."""

SHOWN = 8
"""Documents named under each heading; the rest is behind a link."""


def review_due(today: date | None = None, *, ahead: timedelta = timedelta()) -> Q:
    """Documents in use whose next review is due on this day (today), or will be so long `ahead`.

    That is the day that was set for it; where none was, 24 months after the last review. Documents that have neither
    are not meant, nor attachments, which are reviewed with what they came with.
    """
    day = (today or timezone.localdate()) + ahead
    by_age = Q(review_by__isnull=True, last_reviewed__lt=day - REVIEW_AFTER)
    return Q(status=Status.READY, is_attachment=False) & (Q(review_by__lte=day) | by_age)


def review_day(document: Document) -> date | None:
    """The day on which this document's next review is due; None where nothing tells."""
    if document.review_by or document.last_reviewed is None:
        return document.review_by
    return document.last_reviewed + REVIEW_AFTER + timedelta(days=1)


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
        review_due=list(shown.filter(review_due()).order_by(F("last_reviewed").asc(nulls_first=True), "pk")[:SHOWN]),
    )
