"""Filters of the documents' list. Each offers only what stands in documents that the person manages, with its count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.clearance import Audience, Clearance
from accounts.models import Campus, Department
from ingestion.admin.batches import batch_of, batches
from ingestion.attention import review_due
from ingestion.forms import LANGUAGES
from ingestion.models import WORKING, Document, DocumentType, Status

COUNTED = ("status", "department", "doc_type", "campus", "clearance", "audience", "language")
NOTHING = "none"
"""Stands in an address for 'has no value'."""


def _counts(request: HttpRequest, model_admin: admin.ModelAdmin) -> dict[str, Counter[Any]]:
    """Column -> value -> number of managed documents, from one query a request, however many filters ask.

    Django's own filter counts take a query and a table scan each; with 100,000 documents the list took six seconds.
    """
    known: dict[str, Counter[Any]] | None = getattr(request, "managed_counts", None)
    if known is None:
        known = {column: Counter() for column in COUNTED}
        managed = model_admin.get_queryset(request).order_by()
        for *values, number in managed.values_list(*COUNTED).annotate(Count("pk")):
            for column, value in zip(COUNTED, values, strict=True):
                known[column][value] += number
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
        return [
            ("failed", f"Failed ({counts[Status.FAILED]})"),
            ("working", f"In progress ({working})"),
            ("ready", f"Ready ({counts[Status.READY]})"),
            ("archived", f"Archived ({counts[Status.ARCHIVED]})"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """Documents in the chosen state. Archived ones are shown like any other until one is chosen."""
        match self.value():
            case "working":
                return queryset.filter(status__in=WORKING)
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
        return [("due", "Due (older than 24 months)"), ("never", "Never reviewed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The chosen documents."""
        match self.value():
            case "due":
                return queryset.filter(review_due())
            case "never":
                return queryset.filter(last_reviewed__isnull=True)
            case _:
                return queryset


class UploadFilter(admin.SimpleListFilter):
    """What one of this session's uploads brought."""

    title = "my uploads"
    parameter_name = "upload"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """This session's uploads, newest first."""
        return [(batch.id, str(batch)) for batch in batches(request.session) if batch.document_ids]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The documents of the chosen upload."""
        if self.value() is None:
            return queryset
        batch = batch_of(request.session, str(self.value()))
        return queryset.filter(pk__in=batch.document_ids) if batch else queryset.none()


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
