"""Who sees a document, and the question that is asked before that changes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from accounts.models import User
from accounts.readership import conditions_for
from accounts.seeing_pages import named
from ingestion.admin.uploads import UploadPages
from ingestion.audience import AudienceChange, access_of, sight_of
from ingestion.models import Document
from ingestion.personaldata import Held

CONFIRMED, GOING_BACK = "_confirmed", "_back"
"""What the buttons of the question are called when they are sent."""

FOUND_PEOPLE = 10
"""How many people of a name are offered."""


class ReadersPages(UploadPages):
    """The pages about who sees a document."""

    def get_urls(self) -> list[URLPattern]:
        """The page with all numbers."""
        view = self.admin_site.admin_view(self.readers_view)
        return [path("<uuid:object_id>/readers/", view, name="ingestion_document_readers"), *super().get_urls()]

    def readers_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Who sees the document, with all numbers; for administrators also whether a certain person does, and why."""
        document: Document | None = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, object_id)
        context: dict[str, Any] = {"title": "Who can see it", "original": document, "sight": sight_of(document)}
        if request.user.is_superuser and (
            name := " ".join(request.GET.get("name", "")[:150].replace("\0", "").split())
        ):
            people = list(User.objects.filter(username=name) or named(User.objects.all(), name)[:FOUND_PEOPLE])
            context |= {"name": name, "people": people if len(people) != 1 else []}
            if len(people) == 1:
                conditions = conditions_for(people[0], access_of(document))
                context |= {"person": people[0], "conditions": conditions, "sees": all(one.met for one in conditions)}
        return self._page(request, "admin/ingestion/document/readers_page.html", context)

    def ask(
        self,
        request: HttpRequest,
        change: AudienceChange,
        *,
        title: str,
        document: Document | None,
        personal_data: Held | None = None,
    ) -> HttpResponse:
        """The question whether this shall be done. It carries along all that was sent, and comes back to this address.

        `document` is None where there are several; the way back is then the list. What it holds of personal data is
        said where many are to read it and nobody has looked at it.
        """
        control = ("csrfmiddlewaretoken", CONFIRMED, GOING_BACK)
        sent = [(name, value) for name, values in request.POST.lists() if name not in control for value in values]
        back = reverse("admin:ingestion_document_changelist")
        if document is not None:
            back = reverse("admin:ingestion_document_change", args=[document.pk])
        context = {
            "title": title,
            "original": document,
            "change": change,
            "sent": sent,
            "confirmed": CONFIRMED,
            "personal_data": personal_data if personal_data and personal_data.warns_of_many else None,
            # A form that was filled in must not be lost; a button is pressed again.
            "going_back": GOING_BACK if request.path == back and document is not None else "",
            "back": back,
        }
        return self._page(request, "admin/ingestion/document/confirm.html", context)
