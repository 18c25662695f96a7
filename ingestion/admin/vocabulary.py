"""Document types and tags: the words that documents are sorted by."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from accounts.admin import RefusedWhileInUse
from accounts.clearance import viewer_for
from ingestion.admin.lookups import OfferedFiltersOnly
from ingestion.models import Document, DocumentType, Tag


def _with_managed_counts(words: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Each word with the number of documents that this person manages: other documents are not betrayed by a count."""
    managed = Document.objects.manageable_by(viewer_for(request.user)).order_by().values("pk")
    counted: QuerySet[Any] = words.annotate(
        managed_count=Count("documents", filter=Q(documents__in=managed), distinct=True)
    )
    return counted


@admin.register(DocumentType)
class DocumentTypeAdmin(OfferedFiltersOnly, RefusedWhileInUse):
    """The kinds of documents. The short name is what filters, manifests and the API use."""

    list_display = ("name", "slug", "document_count")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[DocumentType]:
        """Types with their counts."""
        return _with_managed_counts(super().get_queryset(request), request)

    @admin.display(description="Documents", ordering="managed_count")
    def document_count(self, word: Any) -> int:
        """How many documents are of this type."""
        return int(word.managed_count)


@admin.register(Tag)
class TagAdmin(OfferedFiltersOnly):
    """Free key words. Librarians see and add them, and administrators rename and delete them, for everybody.

    A tag that is deleted goes from its documents too.
    """

    list_display = ("name", "document_count")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Tags with their counts. A tag can betray what a document is about, so librarians see only those that a
        document of theirs bears, or none at all.
        """
        tags = _with_managed_counts(super().get_queryset(request), request)
        viewer = viewer_for(request.user)
        if viewer.every_department:
            return tags
        borne = Document.tags.through.objects.filter(tag=OuterRef("pk"))
        managed = Document.objects.manageable_by(viewer).order_by().values("pk")
        return tags.filter(Q(Exists(borne.filter(document__in=managed))) | ~Exists(borne))

    @admin.display(description="Documents", ordering="managed_count")
    def document_count(self, word: Any) -> int:
        """How many of the documents that this person manages bear the tag."""
        return int(word.managed_count)
