"""What went wrong, grouped by the reason, with what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, F, Max, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse

from accounts.models import Department
from ingestion import pipeline
from ingestion.admin.acts import MOST_AT_ONCE, RETRY, Act, DocumentActs
from ingestion.admin.advice import Advice, advice_for
from ingestion.admin.batches import chosen_batch, own_batches
from ingestion.admin.states import TROUBLED
from ingestion.models import Document, Status, UploadBatch

NEWEST = 5
"""Documents shown of each group; the rest is a list of its own."""
BATCHES_OFFERED = 20

RETRY_FLAGGED = Act((Status.READY,), pipeline.retry, "Retried.", "It is queued again.", "queued again")


@dataclass(frozen=True)
class Group:
    """Documents that failed, or that are flagged, for one reason."""

    status: str
    reason: str
    number: int
    latest: datetime
    newest: list[Document]
    more: str
    """Address of the list of all of them."""

    @property
    def advice(self) -> Advice:
        """What is said about it."""
        return advice_for(self.reason)

    @property
    def at_once(self) -> int:
        """How many one press of the button queues."""
        return min(self.number, MOST_AT_ONCE)


@dataclass(frozen=True)
class Narrowing:
    """What the person looks at: one of the departments, or one of their own uploads, or everything."""

    department: Department | None
    batch: UploadBatch | None

    @property
    def address(self) -> str:
        """As the end of an address, from its question mark on; empty for everything."""
        said = QueryDict(mutable=True)
        if self.department:
            said["department"] = str(self.department.pk)
        if self.batch:
            said["upload"] = str(self.batch.pk)
        return said.urlencode()

    def narrow(self, documents: QuerySet[Document]) -> QuerySet[Document]:
        """Those of the documents that are meant."""
        if self.department:
            documents = documents.filter(department=self.department)
        return documents.filter(batch=self.batch) if self.batch else documents


class FailurePages(DocumentActs):
    """The page of failures, and its buttons."""

    def get_urls(self) -> list[URLPattern]:
        """Before the addresses that take anything for a document's id."""
        view = self.admin_site.admin_view
        return [
            path("failures/", view(self.failures_view), name="ingestion_document_failures"),
            path("failures/retry/", view(self.retry_group_view), name="ingestion_document_retry_group"),
            *super().get_urls(),
        ]

    def failures_view(self, request: HttpRequest) -> HttpResponse:
        """What failed and what is flagged, among the documents that the person manages."""
        managed = self.get_queryset(request).order_by()
        departments = Counter(dict(managed.filter(TROUBLED).values_list("department").annotate(Count("pk"))))
        narrowing = self._narrowing(request, request.GET)
        groups = _groups(narrowing.narrow(managed), narrowing)
        batches = list(own_batches(request)[:BATCHES_OFFERED])
        if narrowing.batch and narrowing.batch not in batches:
            batches.append(narrowing.batch)
        context = {
            "title": "Failures",
            "failed": [group for group in groups if group.status == Status.FAILED],
            "flagged": [group for group in groups if group.status == Status.READY],
            "narrowing": narrowing,
            "departments": [
                (department, departments[department.pk])
                for department in Department.objects.filter(pk__in=departments).order_by("name")
            ],
            "batches": batches,
            "most": MOST_AT_ONCE,
        }
        return self._page(request, "admin/ingestion/document/failures.html", context)

    def retry_group_view(self, request: HttpRequest) -> HttpResponse:
        """Queue the documents of a group again, up to so many at once, and say how many are left."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        narrowing = self._narrowing(request, request.POST)
        act = RETRY_FLAGGED if request.POST.get("status") == Status.READY else RETRY
        meant = narrowing.narrow(self.get_queryset(request).order_by("pk")).filter(
            TROUBLED, status__in=act.states, error_reason=request.POST.get("reason", "")[:20].replace("\0", "")
        )
        with transaction.atomic():
            ids = list(meant.values_list("pk", flat=True)[:MOST_AT_ONCE])
            held = [document for document in self.held(request, ids) if document.status in act.states]
            self._do(request, held, act)
        self._tell(request, len(held), meant.count())
        return HttpResponseRedirect(f"{reverse('admin:ingestion_document_failures')}?{narrowing.address}")

    def _tell(self, request: HttpRequest, done: int, left: int) -> None:
        """What became of a press of the button."""
        if not done:
            self.message_user(request, "There is nothing of that kind any more.", messages.INFO)
            return
        rest = f" {left} more are left; press again for the next ones." if left else ""
        said = f"{done} document{'' if done == 1 else 's'} queued again.{rest}"
        self.message_user(request, said, messages.SUCCESS)

    def _narrowing(self, request: HttpRequest, said: QueryDict) -> Narrowing:
        """What is asked for. Departments and uploads that the person cannot have chosen here narrow to nothing else."""
        department, upload = said.get("department", ""), said.get("upload", "")
        is_number = department.isascii() and department.isdigit() and len(department) < 10
        return Narrowing(
            Department.objects.filter(pk=department).first() if is_number else None, chosen_batch(request, upload)
        )


def _groups(documents: QuerySet[Document], narrowing: Narrowing) -> list[Group]:
    """One a state and reason, the largest first."""
    found = documents.filter(TROUBLED)
    counted = found.values_list("status", "error_reason").annotate(Count("pk"), Max("updated_at"))
    place = Window(RowNumber(), partition_by=[F("status"), F("error_reason")], order_by=[F("updated_at").desc(), "pk"])
    newest: dict[tuple[str, str], list[Document]] = {}
    shown = found.select_related("department").annotate(place=place).filter(place__lte=NEWEST)
    for document in shown.order_by("-updated_at", "pk"):
        newest.setdefault((document.status, document.error_reason), []).append(document)
    return [
        Group(status, reason, number, latest, newest.get((status, reason), []), _list_of(status, reason, narrowing))
        for status, reason, number, latest in sorted(counted, key=lambda row: (-row[2], row[1]))
    ]


def _list_of(status: str, reason: str, narrowing: Narrowing) -> str:
    """The address of the list of a group."""
    said: dict[str, Any] = {"state": "failed" if status == Status.FAILED else "flagged", "reason": reason or "none"}
    address = QueryDict(mutable=True)
    address.update(said)
    more = f"&{narrowing.address}" if narrowing.address else ""
    return f"{reverse('admin:ingestion_document_changelist')}?{address.urlencode()}{more}"
