"""Deleting documents for good: administrators only, who have just proved who they are."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.reauthentication import proof_required
from ingestion.admin.acts import DocumentActs
from ingestion.audience import access_of, note_changes
from ingestion.metadata import with_attachments
from ingestion.models import Chunk, Document
from ingestion.trail import note_deletions
from ingestion.upkeep import delete


class DeletionPages(DocumentActs):
    """Django's pages for it. A mail's attachments go with it; the files of a ZIP file stay."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators only; librarians archive."""
        return bool(request.user.is_superuser)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: object = None) -> HttpResponse:
        """Django's own, for administrators who have just proved who they are."""
        view = super().delete_view
        may = self.has_delete_permission(request)
        page: HttpResponse = (proof_required(view) if may else view)(request, object_id, extra_context)
        return page

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Django's own, for as many as can be done at once."""
        return None if self.too_many(request, documents.count()) else delete_selected(self, request, documents)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Document]) -> HttpResponse | None:
        """What an action answers; deleting several needs a recent proof as well."""
        view = super().response_action
        deleting = "delete_selected" in request.POST.getlist("action")
        answer: HttpResponse | None = (proof_required(view) if deleting else view)(request, queryset)
        return answer

    def get_deleted_objects(
        self, objs: QuerySet[Document] | list[Document], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What a deletion takes with it, without naming thousands of chunks."""
        documents = with_attachments(*objs)
        chunks = Chunk.objects.filter(document__in=documents).count()  # access: how many go with what they manage
        counts = {str(self.opts.verbose_name_plural): len(documents), "chunks": chunks}
        return [str(document) for document in documents], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        """Delete the document, and its originals once that holds."""
        self._delete(request, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Delete these documents with their originals."""
        self._delete(request, list(queryset.values_list("pk", flat=True)))

    def _delete(self, request: HttpRequest, ids: list[UUID]) -> None:
        with transaction.atomic():
            held = self.held(request, ids)
            going = with_attachments(*held)
            note_deletions(*going, actor=request.user, request=request)
            accesses = [(document, access_of(document)) for document in going]
            note_changes(*accesses, actor=request.user, request=request, deleted=True)
            delete(*held)
