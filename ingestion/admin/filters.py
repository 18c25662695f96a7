"""Filters of the documents' list. Each offers only what stands in documents that the person manages."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ingestion.admin.batches import batch_of, batches
from ingestion.attention import review_due
from ingestion.forms import LANGUAGES
from ingestion.models import WORKING, Document, Status


class StateFilter(admin.SimpleListFilter):
    """By state; the three states of a document on its way are one to a librarian."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """In the order in which they matter."""
        return [("failed", "Failed"), ("working", "In progress"), ("ready", "Ready"), ("archived", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """Documents in the chosen state. Archived ones are shown like any other until one is chosen."""
        match self.value():
            case "working":
                return queryset.filter(status__in=WORKING)
            case None:
                return queryset
            case state:
                return queryset.filter(status=state) if state in Status.values else queryset.none()


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


class LanguageFilter(admin.AllValuesFieldListFilter):
    """By language, with its name."""

    def choices(self, changelist: admin.views.main.ChangeList):  # type: ignore[name-defined,no-untyped-def]
        """As Django makes them, with names in place of codes."""
        for choice in super().choices(changelist):
            code, _, count = str(choice["display"]).partition(" ")
            yield {**choice, "display": f"{LANGUAGES.get(code, code)} {count}".strip()}


class UploadFilter(admin.SimpleListFilter):
    """What one of this session's uploads brought."""

    title = "my uploads"
    parameter_name = "upload"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """This session's uploads, newest first."""
        return [(batch.id, str(batch)) for batch in batches(request.session) if batch.documents]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        """The documents of the chosen upload."""
        if self.value() is None:
            return queryset
        batch = batch_of(request.session, str(self.value()))
        return queryset.filter(pk__in=batch.documents) if batch else queryset.none()
