"""The trail of acts, where those that concern a document name it and lead to its page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.trail import AuditEventAdmin
from accounts.arrival import viewer_of
from accounts.models import AuditEvent
from ingestion.models import Document

admin.site.unregister(AuditEvent)


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
