"""The trail of acts, where those that concern a document name it and lead to its page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.trail import AuditEventAdmin
from accounts.arrival import viewer_of
from accounts.models import AuditEvent
from ingestion.metadata import LABELS, in_words
from ingestion.models import Document

OTHER_LABELS = {
    "archived": "Archived",
    "file_name": "File",
    "next_file_name": "New file",
    "next_sha256": "SHA-256 of the new file",
    "readers": "Readers",
    "searchable": "Can be found",
    "sha256": "SHA-256",
    "version": "Version",
}
"""What the trail keeps of a document beside the fields that people fill in."""

admin.site.unregister(AuditEvent)


def noted_changes(event: AuditEvent) -> list[tuple[str, str, str]]:
    """What an act on a document changed: label, before, after, in the forms' order; empty where it noted no fields."""
    before, after = (event.details.get(when) for when in ("before", "after"))
    before, after = (one if isinstance(one, dict) else {} for one in (before, after))
    labels = LABELS | OTHER_LABELS
    fields = sorted({*before, *after} & set(labels), key=list(labels).index)
    return [(labels[one], in_words(one, before.get(one)), in_words(one, after.get(one))) for one in fields]


def document_id(event: AuditEvent) -> UUID | None:
    """The document that an act concerns, if it concerns one."""
    noted = event.subject if event.action == "document_seen_as" else event.details.get("document")
    try:
        return UUID(noted)
    except (TypeError, ValueError, AttributeError):
        return None


@admin.register(AuditEvent)
class DocumentTrailAdmin(AuditEventAdmin):
    """The trail of acts. A document is named by its title as far as who reads the trail manages it now."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with the titles for all of the page by one query."""
        listed = super().get_changelist_instance(request)
        self._find_documents(request, listed.result_list)
        return listed

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> AuditEvent | None:
        """One act, with its document."""
        event: AuditEvent | None = super().get_object(request, *args, **kwargs)
        if event is not None:
            self._find_documents(request, [event])
        return event

    @staticmethod
    def _find_documents(request: HttpRequest, events: Iterable[Any]) -> None:
        ids = {event.pk: document_id(event) for event in events}
        managed = Document.objects.manageable_by(viewer_of(request))
        documents = managed.only("title", "file_name").in_bulk([pk for pk in ids.values() if pk])
        for event in events:
            event.document = documents.get(ids[event.pk])

    @admin.display(description="Subject", ordering="subject")
    def whom_or_what(self, event: Any) -> str:
        """Whom or what it was done to; a document that changed since by the name that it had then."""
        if event.document is None:
            return str(event.subject)
        name = event.subject if event.action != "document_seen_as" else str(event.document)
        address = reverse("admin:ingestion_document_change", args=[event.document.pk])
        return format_html('<a class="named" href="{}">{}</a>', address, name)

    @admin.display(description="Details")
    def said(self, event: AuditEvent) -> SafeString:
        """What was noted beside it: for an act on a document a line for each field, then all of it as it is kept."""
        whole: SafeString = super().said(event)
        changed = noted_changes(event) if document_id(event) else []
        context = {"changed": changed, "whole": whole}
        return render_to_string("admin/ingestion/document/noted.html", context) if changed else whole
