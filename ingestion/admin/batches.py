"""A person's uploads, and the page on which they watch one arrive. Nobody else has any page of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, Sum, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone

from ingestion.admin.pages import DocumentPages
from ingestion.admin.states import FLAGGED
from ingestion.models import WORKING, Document, Status, UploadBatch
from ingestion.registration import UploadRejected

LISTED = 100
"""Files on one page of an upload: what is fetched anew every two seconds stays small."""
UPLOADS_LISTED = 50
MOST_REFUSALS = 500
"""Refusals that an upload keeps, the latest ones."""
RATE_OVER = timedelta(minutes=5)
"""How far back is looked for the speed at which documents become ready."""
ANNOUNCED_FOR = timedelta(days=7)
"""How long an upload that a browser did not finish says so. It is a hint, and may be forgotten with the cache."""


class BatchPages(DocumentPages):
    """One's own uploads, newest first, and each with what became of its files."""

    def get_urls(self) -> list[URLPattern]:
        """Before the addresses that take anything for a document's id."""
        view = self.admin_site.admin_view
        return [
            path("uploads/", view(self.uploads_view), name="ingestion_document_uploads"),
            path("upload/<uuid:batch_id>/", view(self.progress_view), name="ingestion_document_progress"),
            *super().get_urls(),
        ]

    def uploads_view(self, request: HttpRequest) -> HttpResponse:
        """The person's own uploads that brought anything, or were refused anything."""
        managed = self.get_queryset(request).order_by()
        brought = Exists(managed.filter(batch=OuterRef("pk")))
        page = Paginator(own_batches(request).filter(~Q(refused=[]) | brought), UPLOADS_LISTED).get_page(
            request.GET.get("page")
        )
        stages = stages_of(managed.filter(batch__in=[batch.pk for batch in page]))
        uploads = [Uploaded(batch, stages[batch.pk]) for batch in page]
        context = {"title": "My uploads", "page": page, "uploads": uploads}
        return self._page(request, "admin/ingestion/document/uploads.html", context)

    def progress_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """How far an upload is. While something is going on the page fetches its middle part anew."""
        batch = own_batch(request, batch_id)
        managed = self.get_queryset(request).filter(batch=batch).order_by()
        stage = stages_of(managed)[batch.pk]
        documents = _listed(managed, request.GET.get("page"))
        context = {
            "title": "Upload",
            "batch": batch,
            "stage": stage,
            "time_left": time_left(stage, since=batch.created_at),
            "announced": announced(batch),
            "page": documents,
            "files": self._with_containers(request, documents),
        }
        if request.headers.get("HX-Request"):
            return self._page(request, "admin/ingestion/document/arriving.html", context)
        context["refused"] = self._refused(request, batch)
        return self._page(request, "admin/ingestion/document/progress.html", context)

    def _with_containers(
        self, request: HttpRequest, documents: Iterable[Document]
    ) -> list[tuple[Document, Document | None]]:
        """Each with the document in whose file it came, as far as the person manages that."""
        shown = list(documents)
        parents = {document.parent_id for document in shown if document.parent_id}
        containers = self.get_queryset(request).in_bulk(parents) if parents else {}
        return [(document, containers.get(document.parent_id)) for document in shown]

    def _refused(self, request: HttpRequest, batch: UploadBatch) -> list[Refused]:
        """The files that were refused. A document that is here already is known only to who manages it now."""
        twins = {one["existing"] for one in batch.refused if one["existing"]}
        managed = {str(document.pk): document for document in self.get_queryset(request).filter(pk__in=twins)}
        return [
            Refused(one["file_name"], one["reason"], one["explanation"], managed.get(one["existing"]))
            for one in batch.refused
        ]


@dataclass(frozen=True)
class Refused:
    """A file that was refused, and the document that is here already if the person manages it."""

    file_name: str
    reason: str
    explanation: str
    existing: Document | None


@dataclass(frozen=True)
class Uploaded:
    """An upload in the list of uploads."""

    batch: UploadBatch
    stage: Stage

    @property
    def refused(self) -> int:
        """How many files were not taken in."""
        return len(self.batch.refused)


@dataclass(frozen=True)
class Stage:
    """How many of some documents are where."""

    total: int = 0
    working: int = 0
    ready: int = 0
    flagged: int = 0
    """Those of the ready ones that something is missing of."""
    failed: int = 0
    archived: int = 0
    done: float = 0.0
    """Documents' worth of work that is done: a document that is half way counts a half."""
    lately: int = 0
    """Documents that came to an end within RATE_OVER."""

    @property
    def percent(self) -> int:
        """From 0 to 100. An upload without any document is done."""
        return int(100 * self.done / self.total) if self.total else 100


NUMBERS = ("total", "working", "ready", "flagged", "failed", "archived", "lately")


def stages_of(documents: QuerySet[Document]) -> dict[UUID, Stage]:
    """Batch -> how far its documents are, by one statement; an empty stage for one without any."""
    ended = ~Q(status__in=WORKING)
    counted = documents.values("batch").annotate(
        total=Count("pk"),
        working=Count("pk", filter=Q(status__in=WORKING)),
        ready=Count("pk", filter=Q(status=Status.READY)),
        flagged=Count("pk", filter=FLAGGED),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        archived=Count("pk", filter=Q(status=Status.ARCHIVED)),
        percents=Sum(Case(When(ended, then=Value(100)), default="progress", output_field=IntegerField())),
        lately=Count("pk", filter=ended & Q(updated_at__gte=timezone.now() - RATE_OVER)),
    )
    stages: dict[UUID, Stage] = defaultdict(Stage)
    for batch, percents, *numbers in counted.values_list("batch", "percents", *NUMBERS):
        stages[batch] = Stage(**dict(zip(NUMBERS, numbers, strict=True)), done=percents / 100)
    return stages


def time_left(stage: Stage, *, since: datetime) -> str:
    """How long the rest will take at the speed of the last five minutes; empty where nothing can be said yet."""
    if not stage.working:
        return ""
    elapsed = min(timezone.now() - since, RATE_OVER).total_seconds()
    begun = stage.done - (stage.total - stage.working)
    speed = (stage.lately + begun) / max(elapsed, 1.0)
    if stage.lately + begun < 0.2:
        return ""
    minutes = (stage.working - begun) / speed / 60
    if minutes < 1:
        return "less than a minute left"
    if minutes < 90:
        return f"about {_counted(round(minutes), 'minute')} left"
    return f"about {_counted(round(minutes / 60), 'hour')} left"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(documents: QuerySet[Document], number: str | None) -> Page[Document]:
    """Failed ones first, then those on their way, then the rest, each in the order in which they came."""
    order = Case(
        When(status=Status.FAILED, then=Value(0)),
        When(status__in=(Status.EXTRACTING, Status.EMBEDDING), then=Value(1)),
        When(status=Status.QUEUED, then=Value(2)),
        default=Value(3),
    )
    return Paginator(documents.order_by(order, "created_at", "pk"), LISTED).get_page(number)


def own_batches(request: HttpRequest) -> QuerySet[UploadBatch]:
    """The uploads of the person who asks, newest first."""
    return UploadBatch.objects.filter(owner=request.user.pk).order_by("-created_at", "pk")


def own_batch(request: HttpRequest, batch_id: UUID) -> UploadBatch:
    """This upload of the person who asks. Raises Http404 for anybody else's, as for one that does not exist."""
    return get_object_or_404(own_batches(request), pk=batch_id)


def announce(batch: UploadBatch, number: int) -> None:
    """Remember that a browser is going to send so many files for this upload, one by one."""
    cache.set(_announcement(batch), number, ANNOUNCED_FOR.total_seconds())


def all_sent(batch: UploadBatch) -> None:
    """The browser has sent them all."""
    cache.delete(_announcement(batch))


def announced(batch: UploadBatch) -> int:
    """How many files a browser announced that has not said yet that it sent them all; else 0."""
    return int(cache.get(_announcement(batch)) or 0)


def _announcement(batch: UploadBatch) -> str:
    return f"upload-announced:{batch.pk}"


def chosen_batch(request: HttpRequest, batch_id: str) -> UploadBatch | None:
    """The upload that a filter names; None where it is not one of the person's own."""
    return own_batches(request).filter(pk__in=[chosen_id(batch_id)]).first()


def chosen_id(text: str | None) -> UUID | None:
    """The id in an address; None for what cannot be one, which is no row's."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


@transaction.atomic
def note_refusal(batch: UploadBatch, file_name: str, rejected: UploadRejected) -> None:
    """Keep with the upload that this file was refused, and why.

    Of a duplicate only the id of the document that is here already is kept, not the sentence, which names it: whether
    the person may know its title is asked anew whenever the page is shown.
    """
    held = UploadBatch.objects.select_for_update().get(pk=batch.pk)
    known = rejected.existing is not None
    refusal: dict[str, Any] = {
        "file_name": file_name,
        "reason": rejected.reason,
        "explanation": "" if known else str(rejected),
        "existing": str(rejected.existing.pk) if rejected.existing is not None else "",
    }
    # A file that is sent again is refused again; once is enough.
    held.refused = [*(one for one in held.refused if one != refusal), refusal][-MOST_REFUSALS:]
    held.save(update_fields=["refused"])
