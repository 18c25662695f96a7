"""Retrying, archiving and restoring documents: one from its page, several from the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from accounts.arrival import viewer_of
from accounts.models import User
from ingestion import pipeline
from ingestion.admin.readers import CONFIRMED, ReadersPages
from ingestion.audience import AudienceChange, access_of, archiving, note_changes, restoring
from ingestion.metadata import with_attachments
from ingestion.models import Document, Status
from ingestion.runs import lock_all
from ingestion.trail import note_edits, state_of


@dataclass(frozen=True)
class Act:
    """Something that is done to a document in one of these states."""

    states: tuple[Status, ...]
    do: Callable[..., None]
    """Does it to the documents that it is called with."""
    history: str
    """What stands in the document's history."""
    outcome: str
    """What is said of one document, and of several after their number."""
    outcome_of_several: str
    question: str = ""
    change: Callable[[Iterable[Document]], AudienceChange] | None = None
    """What it does to who sees the documents, if anything."""
    noted: str = "document_retried"
    """Its word in the trail of acts."""


MOST_AT_ONCE = 500
"""Documents that one action is done to: about two seconds' work, which a person waits for."""

LIVE = tuple(state for state in Status if state != Status.ARCHIVED)

RETRY = Act((Status.FAILED,), pipeline.retry, "Retried.", "It is queued again.", "queued again")
ARCHIVE = Act(
    LIVE,
    pipeline.archive,
    "Archived.",
    "Archived: nobody finds it any more.",
    "archived; nobody finds them any more",
    "Archive?",
    archiving,
    "document_archived",
)
RESTORE = Act(
    (Status.ARCHIVED,),
    pipeline.restore,
    "Restored.",
    "It is back.",
    "restored",
    "Restore from the archive?",
    restoring,
    "document_restored",
)


class DocumentActs(ReadersPages):
    """The buttons of a document's page and the actions of the list."""

    actions: tuple[str, ...] = ("retry_failed", "archive", "restore")

    def get_urls(self) -> list[URLPattern]:
        """Where the buttons lead."""
        view = self.admin_site.admin_view
        buttons = (("retry", self.retry_view), ("archive", self.archive_view), ("restore", self.restore_view))
        return [
            path(f"<uuid:object_id>/{name}/", view(handler), name=f"ingestion_document_{name}")
            for name, handler in buttons
        ] + super().get_urls()

    @admin.action(description="Retry the failed ones", permissions=["change"])
    def retry_failed(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Ingest the failed ones among these again."""
        return self._each(request, documents, RETRY)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Take these out of every search."""
        return self._each(request, documents, ARCHIVE)

    @admin.action(description="Restore from the archive", permissions=["change"])
    def restore(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Bring the archived ones among these back."""
        return self._each(request, documents, RESTORE)

    def _each(self, request: HttpRequest, documents: QuerySet[Document], act: Act) -> HttpResponse | None:
        """Do this to each document that it concerns, once it is confirmed, and say how many there were."""
        ids = list(documents.filter(status__in=act.states).order_by("pk").values_list("pk", flat=True))
        if self.too_many(request, len(ids)):
            return None
        with transaction.atomic():
            chosen = [document for document in self.held(request, ids) if document.status in act.states]
            if question := self._question(request, chosen, act):
                return self.ask(request, question, title=act.question, document=None)
            self._do(request, chosen, act)
        if chosen:
            plural = "" if len(chosen) == 1 else "s"
            self.message_user(request, f"{len(chosen)} document{plural} {act.outcome_of_several}.", messages.SUCCESS)
        else:
            self.message_user(request, "That concerns none of the chosen documents.", messages.WARNING)
        return None

    def too_many(self, request: HttpRequest, number: int) -> bool:
        """Whether these are more documents than one action is done to; then the person is told so."""
        if number <= MOST_AT_ONCE:
            return False
        text = (
            f"These are {number} documents. Up to {MOST_AT_ONCE} can be done at once; choose fewer. Nothing was done."
        )
        self.message_user(request, text, messages.ERROR)
        return True

    def _question(self, request: HttpRequest, documents: list[Document], act: Act) -> AudienceChange | None:
        """What has to be confirmed first; None where it is, or where nobody sees more or less."""
        change = act.change(documents) if act.change else None
        return change if change and change.effects and request.POST.get(CONFIRMED) != change.token else None

    def held(self, request: HttpRequest, ids: Iterable[UUID]) -> list[Document]:
        """Those of these documents that the person manages, as they stand, held until the transaction ends."""
        managed = Document.objects.manageable_by(viewer_of(request)).filter(pk__in=ids)
        return list(managed.filter(pk__in=lock_all(managed)).order_by("pk"))

    def _do(self, request: HttpRequest, held: list[Document], act: Act) -> None:
        """Do this, and note it in each document's history and in the trail of acts, there also who sees it now."""
        concerned = with_attachments(*held) if act.change else held
        states = state_of(*concerned)
        act.do(*held)
        before = ((document, access_of(document)) for document in concerned)
        note_edits(act.noted, states, actor=request.user, request=request)
        note_changes(*before, actor=request.user, request=request)
        LogEntry.objects.log_actions(cast(User, request.user).pk, held, CHANGE, act.history)

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ingest a failed document again."""
        return self._act(request, object_id, RETRY)

    def archive_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a document out of every search."""
        return self._act(request, object_id, ARCHIVE)

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring an archived document back."""
        return self._act(request, object_id, RESTORE)

    def _act(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """Do this to a document that it concerns, once it is confirmed, and go back to where the button was."""
        if self.get_object(request, str(object_id)) is None:
            return self.unknown(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with transaction.atomic():
            held = self.held(request, [UUID(str(object_id))])
            if not held:
                return self.unknown(request, object_id)
            (document,) = held
            if document.status not in act.states:
                self.message_user(request, f"{document} is {document.get_status_display()}.", messages.WARNING)
            elif question := self._question(request, held, act):
                return self.ask(request, question, title=act.question, document=document)
            else:
                self._do(request, held, act)
                self.message_user(request, f"{document}: {act.outcome}", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))
