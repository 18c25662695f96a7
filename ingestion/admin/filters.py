"""Filters of the documents' list. Each offers only what stands in documents that the person manages, with its count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.clearance import Audience, Clearance
from accounts.models import Campus, Department
from ingestion.admin.advice import advice_for
from ingestion.admin.batches import chosen_batch, chosen_id, own_batches
from ingestion.admin.states import FLAGGED, TROUBLED
from ingestion.attention import review_due
from ingestion.forms import LANGUAGES
from ingestion.models import WORKING, Document, DocumentType, Status
from ingestion.reviews import AHEAD

COUNTED = ("status", "department", "doc_type", "campus", "clearance", "audience", "language", "error_reason")
NOTHING = "none"
"""Stands in an address for 'has no value'."""
OFFERED = 10
"""Uploads, and files that hold other files, that a filter offers, newest first."""


def _counts(request: HttpRequest, model_admin: admin.ModelAdmin) -> dict[str, Counter[Any]]:
    """Column -> value -> number of managed documents, from one query a request, however many filters ask.

    `trouble` counts what failed or is flagged by state and reason.
    Django's own filter counts take a query and a table scan each; with 100,000 documents the list took six seconds.
    """
    known: dict[str, Counter[Any]] | None = getattr(request, "managed_counts", None)
    if known is None:
        known = {column: Counter() for column in (*COUNTED, "trouble")}
        managed = model_admin.get_queryset(request).order_by()
        for *values, number in managed.values_list(*COUNTED).annotate(Count("pk")):
            for column, value in zip(COUNTED, values, strict=True):
                known[column][value] += number
            state, reason = values[0], values[-1]
            if state == Status.FAILED or (state == Status.READY and reason):
                known["trouble"][state, reason] += number
        request.managed_counts = known  # type: ignore[attr-defined]
    return known


class StateFilter(admin.SimpleListFilter):
    """By state; the three states of a document on its way are one to a librarian."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """In the order in which they matter."""
        counts = _counts(request, model_admin)["status"]
        working = sum(counts[state] for state in WORKING)
        trouble = _counts(request, model_admin)["trouble"]
        flagged = sum(number for (state, _reason), number in trouble.items() if state == Status.READY)
        return [
            ("failed", f"Failed ({counts[Status.FAILED]})"),
            ("working", f"In progress ({working})"),
            ("ready", f"Ready ({counts[Status.READY]})"),
            ("flagged", f"Ready, flagged ({flagged})"),
            ("archived", f"Archived ({counts[Status.ARCHIVED]})"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """Documents in the chosen state. Archived ones are shown like any other until one is chosen."""
        match self.value():
            case "working":
                return queryset.filter(status__in=WORKING)
            case "flagged":
                return queryset.filter(FLAGGED)
            case None:
                return queryset
            case state if state in Status.values:
                return queryset.filter(status=state)
            case _:
                return queryset.none()


class ReviewFilter(admin.SimpleListFilter):
    """Documents whose review is due."""

    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Due, or never reviewed at all."""
        return [("due", "Due"), ("soon", f"Due within {AHEAD.days} days"), ("never", "Never reviewed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The chosen documents."""
        match self.value():
            case "due":
                return queryset.filter(review_due())
            case "soon":
                return queryset.filter(review_due(ahead=AHEAD))
            case "never":
                return queryset.filter(last_reviewed__isnull=True)
            case _:
                return queryset


class WindowFilter(admin.SimpleListFilter):
    """By what a document's dates do to it now."""

    title = "visibility"
    parameter_name = "window"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Not shown yet, or not any more."""
        return [("ahead", "Not yet visible"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The chosen documents."""
        match self.value():
            case "ahead":
                return queryset.filter(visible_from__gt=timezone.now())
            case "expired":
                return queryset.filter(visible_until__lte=timezone.now())
            case _:
                return queryset


class ChosenAnyway(admin.SimpleListFilter):
    """A filter that holds even where it has nothing to offer: an old link to what is gone lists nothing, not all."""

    def has_output(self) -> bool:
        """Whether it is there."""
        return self.value() is not None or super().has_output()


class ReasonFilter(ChosenAnyway):
    """By why a document failed or is flagged."""

    title = "failures"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Any, and the reasons that occur; nothing where nothing is wrong."""
        numbers: Counter[str] = Counter()
        for (_state, reason), number in _counts(request, model_admin)["trouble"].items():
            numbers[reason] += number
        if not numbers:
            return []
        reasons = sorted((advice_for(reason).title, reason, number) for reason, number in numbers.items())
        return [
            ("any", f"Any ({numbers.total()})"),
            *((reason or NOTHING, f"{title} ({number})") for title, reason, number in reasons),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """What failed or is flagged, for the chosen reason."""
        chosen = self.value()
        if chosen is None:
            return queryset
        troubled = queryset.filter(TROUBLED)
        return troubled if chosen == "any" else troubled.filter(error_reason="" if chosen == NOTHING else chosen)


class UploadFilter(ChosenAnyway):
    """What one of the person's own uploads brought."""

    title = "my uploads"
    parameter_name = "upload"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The latest uploads, newest first, and the chosen one."""
        latest = list(own_batches(request)[:OFFERED])
        chosen = chosen_batch(request, str(self.value() or ""))
        offered = latest if chosen is None or chosen in latest else [*latest, chosen]
        return [(str(batch.pk), f"{timezone.localtime(batch.created_at):%-d %b %Y, %H:%M}") for batch in offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The documents of the chosen upload; none for one that is somebody else's."""
        if self.value() is None:
            return queryset
        batch = chosen_batch(request, str(self.value()))
        return queryset.filter(batch=batch) if batch else queryset.none()


class ContainerFilter(ChosenAnyway):
    """What came within one file: the attachments of a mail, the files of a ZIP archive."""

    title = "came within"
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The latest of the managed documents that others came in, and the chosen one."""
        managed = model_admin.get_queryset(request).order_by()
        holding = managed.filter(Exists(managed.filter(parent=OuterRef("pk"))))
        latest = list(holding.order_by("-created_at", "pk")[:OFFERED])
        chosen = holding.filter(pk=chosen_id(self.value())).first()
        offered = latest if chosen is None or chosen in latest else [*latest, chosen]
        return [(str(document.pk), str(document)) for document in offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """What came within the chosen one; none for one that the person does not manage."""
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen not in {value for value, _name in self.lookup_choices}:
            return queryset.none()
        return queryset.filter(parent__in=[chosen])


class ValueFilter(admin.SimpleListFilter):
    """By one column, with the values that occur and their counts."""

    column: str

    def names(self, values: Iterable[Any]) -> dict[Any, str]:
        """What people read for each of these values: the value, where a subclass knows nothing better."""
        return {value: str(value) for value in values}

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The values that occur, in the order of their names."""
        counts = _counts(request, model_admin)[self.column]
        names = self.names(counts)
        return [
            (NOTHING if value in (None, "") else str(value), f"{name} ({counts[value]})")
            for value, name in sorted(names.items(), key=lambda pair: pair[1])
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """Documents with the chosen value; none for a value that was never offered."""
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen not in {value for value, _name in self.lookup_choices}:
            return queryset.none()
        if chosen != NOTHING:
            return queryset.filter(**{self.column: chosen})
        return queryset.filter(campus__isnull=True) if self.column == "campus" else queryset.filter(**{self.column: ""})


class RowFilter(ValueFilter):
    """By something that the administrator edits."""

    rows: QuerySet[Any]
    nothing = "None"

    def names(self, values: Iterable[Any]) -> dict[Any, str]:
        """The names of the rows."""
        rows = self.rows.in_bulk([value for value in values if value is not None])
        return {value: str(rows[value]) if value is not None else self.nothing for value in values}


class DepartmentFilter(RowFilter):
    """By owning department."""

    title = parameter_name = column = "department"
    rows = Department.objects.all()


class TypeFilter(RowFilter):
    """By type."""

    title = parameter_name = "type"
    column = "doc_type"
    rows = DocumentType.objects.all()


class CampusFilter(RowFilter):
    """By campus."""

    title = parameter_name = column = "campus"
    rows = Campus.objects.all()
    nothing = "All campuses"


class ClearanceFilter(ValueFilter):
    """By clearance."""

    title = parameter_name = column = "clearance"

    def names(self, values: Iterable[Any]) -> dict[Any, str]:
        """As the forms have them."""
        return {value: str(Clearance(value).label) for value in values}


class AudienceFilter(ValueFilter):
    """By audience."""

    title = parameter_name = column = "audience"

    def names(self, values: Iterable[Any]) -> dict[Any, str]:
        """As the forms have them."""
        return {value: str(Audience(value).label) for value in values}


class LanguageFilter(ValueFilter):
    """By language."""

    title = parameter_name = column = "language"

    def names(self, values: Iterable[Any]) -> dict[Any, str]:
        """English names; the code where there is none."""
        return {value: LANGUAGES.get(value, value) or "Not known yet" for value in values}
