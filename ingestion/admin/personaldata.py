"""The warning of personal data on a document's page, and the button of whoever has looked at it."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from accounts.arrival import viewer_of
from accounts.models import User
from ingestion.admin.pages import DocumentPages
from ingestion.models import Chunk, Document
from ingestion.personaldata import Held, acknowledge, held_by


class PersonalDataPages(DocumentPages):
    """What a document's page says of personal data in it."""

    def get_urls(self) -> list[URLPattern]:
        """Where the button leads."""
        view = self.admin_site.admin_view(self.acknowledge_view)
        name = "ingestion_document_personal_data"
        return [path("<uuid:object_id>/personal-data/", view, name=name), *super().get_urls()]

    def acknowledge_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Notes that this person has looked at it, and goes back."""
        document = cast("Document | None", self.get_object(request, str(object_id)))
        if document is None:
            return self.unknown(request, str(object_id))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with transaction.atomic():
            held = self.personal_data(request, document)
            if held.warns:
                acknowledge(document, held, actor=cast(User, request.user), request=request)
        self.message_user(request, "It is noted that you have looked at the personal data in it.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))

    def personal_data(self, request: HttpRequest, document: Document) -> Held:
        """What the document holds, as far as the person manages it."""
        managed = Document.objects.manageable_by(viewer_of(request)).filter(pk=document.pk)
        return held_by(document, Chunk.objects.filter(document__in=managed, staged=False))

    def personal_data_context(self, request: HttpRequest, document: Document) -> dict[str, Any]:
        """For the page's template."""
        return {"personal_data": self.personal_data(request, document)}
