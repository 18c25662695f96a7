"""Documents in the admin site.

Everything here starts from `get_queryset`, which is `manageable_by`: list, counts, filters, change, history, actions
and autocompletes know only the documents that the person curates. Any other answers as one that does not exist.
"""

from __future__ import annotations

from math import floor
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from accounts.arrival import viewer_of
from accounts.clearance import Audience
from accounts.models import User
from ingestion import pipeline
from ingestion.admin.bulk import BulkPages
from ingestion.admin.chunks import ChunkPages
from ingestion.admin.collection import CollectionPages
from ingestion.admin.deletion import DeletionPages
from ingestion.admin.failures import FailurePages
from ingestion.admin.filters import (
    AudienceFilter,
    CampusFilter,
    ClearanceFilter,
    ContainerFilter,
    DepartmentFilter,
    LanguageFilter,
    ReasonFilter,
    ReviewFilter,
    StateFilter,
    TypeFilter,
    UploadFilter,
    WindowFilter,
)
from ingestion.admin.kinds import kind_in_words
from ingestion.admin.personaldata import PersonalDataPages
from ingestion.admin.readers import CONFIRMED, GOING_BACK
from ingestion.admin.versions import VersionPages
from ingestion.attention import review_day, review_due
from ingestion.audience import note_changes, sight_of
from ingestion.forms import LANGUAGES, DocumentForm
from ingestion.likeness import alike
from ingestion.metadata import WHO_READS
from ingestion.models import WORKING, Chunk, Document
from ingestion.personaldata import acknowledge
from ingestion.trail import note_edits

PREVIEWED = 5
"""Chunks shown on a document's page."""
PARTS_SHOWN = 20
"""Attachments, or files of a ZIP file, named on a document's page."""


def window_of(document: Document) -> str:
    """What a document's dates do to it, in a word or two; empty where they do nothing."""
    now = timezone.now()
    if document.visible_until and document.visible_until <= now:
        return "expired"
    if document.visible_from and document.visible_from > now:
        return f"from {date_format(timezone.localtime(document.visible_from), 'j M Y')}"
    if document.visible_until:
        return f"until {date_format(timezone.localtime(document.visible_until), 'j M Y')}"
    return ""


@admin.register(Document)
class DocumentAdmin(
    FailurePages, CollectionPages, ChunkPages, PersonalDataPages, BulkPages, VersionPages, DeletionPages
):
    """The documents that a person curates."""

    actions = (*BulkPages.actions, "delete_selected")
    form = DocumentForm
    change_form_template = "admin/ingestion/document/change.html"
    list_display = (
        "name",
        "state",
        "department",
        "campus",
        "doc_type",
        "cleared_for",
        "meant_for",
        "written_in",
        "updated",
    )
    list_select_related = ("department", "campus", "doc_type")
    list_filter = (
        StateFilter,
        ReasonFilter,
        ReviewFilter,
        WindowFilter,
        UploadFilter,
        ContainerFilter,
        DepartmentFilter,
        TypeFilter,
        CampusFilter,
        ClearanceFilter,
        AudienceFilter,
        LanguageFilter,
    )
    ordering = ("-created_at", "pk")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    list_per_page = 50
    list_fullwidth = True
    search_fields = ("title", "file_name")
    search_help_text = "Title or file name"
    view_on_site = False
    fieldsets = (
        (
            "About the document",
            {
                "fields": (
                    "title",
                    ("doc_type", "language"),
                    ("campus", "priority"),
                    "tags",
                    ("last_reviewed", "review_by"),
                )
            },
        ),
        (
            "Who may read it, and when",
            {
                "fields": (
                    "department",
                    "clearance",
                    "audience",
                    "shared_with",
                    ("visible_from", "visible_until"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """What this person manages: the one door to documents."""
        managed: QuerySet[Document] = Document.objects.manageable_by(viewer_of(request))
        return managed.order_by(*self.get_ordering(request)) if self.get_ordering(request) else managed

    # --- The list ------------------------------------------------------------------------------------------------

    @admin.display(description="Title", ordering="title")
    def name(self, document: Document) -> str:
        """The title, or the file's name until there is one."""
        return document.title or document.file_name

    @admin.display(description="State", ordering="status")
    def state(self, document: Document) -> SafeString:
        """The state, with a bar while something is going on, and whether its dates hide it."""
        context = {"document": document, "window": window_of(document)}
        return render_to_string("admin/ingestion/document/state_and_window.html", context)

    @admin.display(description="Clearance", ordering="clearance")
    def cleared_for(self, document: Document) -> SafeString:
        """The clearance as a badge."""
        return render_to_string(
            "admin/ingestion/document/clearance.html",
            {"clearance": document.clearance, "label": document.get_clearance_display()},
        )

    @admin.display(description="Audience", ordering="audience")
    def meant_for(self, document: Document) -> str:
        """The audience in a word."""
        return "institution" if document.audience == Audience.INSTITUTION else "department"

    @admin.display(description="Language", ordering="language")
    def written_in(self, document: Document) -> str:
        """The language's name."""
        return LANGUAGES.get(document.language, document.language)

    @admin.display(description="Updated", ordering="updated_at")
    def updated(self, document: Document) -> SafeString:
        """When anything about it last changed."""
        return render_to_string("admin/ingestion/document/updated.html", {"moment": document.updated_at})

    # --- One document --------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> type[forms.ModelForm]:
        """The form, which knows who fills it in."""
        form = super().get_form(request, obj, **kwargs)
        said = {"confirmed": request.POST.get(CONFIRMED, ""), "going_back": GOING_BACK in request.POST}
        return type(form.__name__, (form,), {"viewer": viewer_of(request), **said})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Django's own. What is posted is checked against the document as it stands, which nobody changes meanwhile."""
        with transaction.atomic():
            if request.method == "POST" and object_id is not None:
                document = self.get_object(request, unquote(object_id))
                self.held(request, [document.pk] if document else [])
            page: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            return page

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The form with what is known about the file, and the first of its chunks; or the question before a change.

        While something is going on the page fetches the part with the state anew, and gets that part alone.
        """
        document, form = context["original"], context["adminform"].form
        if form.question:
            held = self.personal_data(request, document)
            return self.ask(request, form.question, title="Change who sees it?", document=document, personal_data=held)
        context |= {
            "working": document.status in WORKING,
            "kind": kind_in_words(document.mime_type),
            "language_name": LANGUAGES.get(document.language, document.language),
            "window": window_of(document),
            "earlier_count": document.earlier_versions.count(),
            "has_change_permission": self.has_change_permission(request, document),
            **self._review(request, document),
        }
        if request.headers.get("HX-Request"):
            return self._page(request, "admin/ingestion/document/state_panel.html", context | {"refreshed": True})
        managed = Document.objects.manageable_by(viewer_of(request)).filter(pk=document.pk)
        chunks = Chunk.objects.filter(document__in=managed, staged=False).order_by("position")
        context |= {
            "page_title": self.name(document),
            "show_save_and_add_another": False,
            # As it is stored: a form that was refused has written what it asks for into its own document.
            "sight": sight_of(managed.get()),
            "chunks": chunks.only("position", "page_number", "section_title", "text")[:PREVIEWED],
            **self._family(request, document),
            **self.personal_data_context(request, document),
            "alike": [
                {"document": one.document, "kind": one.kind, "percent": floor(one.likeness * 100)}
                for one in alike(document, viewer_of(request))
            ],
        }
        page: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return page

    def _review(self, request: HttpRequest, document: Document) -> dict[str, Any]:
        """When the document is to be reviewed next, and whether it is time."""
        due = self.get_queryset(request).filter(review_due(), pk=document.pk).exists()
        return {"review_day": review_day(document), "review_due": due}

    def _family(self, request: HttpRequest, document: Document) -> dict[str, Any]:
        """What the document came with, and what came with it, as far as the person manages these."""
        managed = self.get_queryset(request).order_by("part")
        parts = managed.filter(parent=document.pk)
        return {
            "parent": managed.filter(pk=document.parent_id).first() if document.parent_id else None,
            "parts": parts[:PARTS_SHOWN],
            "part_count": parts.count(),
        }

    def save_model(self, request: HttpRequest, obj: Document, form: Any, change: bool) -> None:
        """Write only what was edited, so that a worker that is busy with the document is not undone."""
        columns = {field.name for field in Document._meta.concrete_fields}
        obj.save(update_fields=[*columns.intersection(form.changed_data), "updated_at"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """After everything is written: who sees it now is noted, and chunks that come out differently are remade."""
        super().save_related(request, form, formsets, change)
        note_edits("document_changed", form.before, actor=request.user, request=request)
        if WHO_READS.intersection(form.changed_data):
            note_changes((form.instance, form.access), actor=request.user, request=request)
        saved = Document.objects.get(pk=form.instance.pk)  # access: shows nothing; who saved it managed it
        if form.confirmed and (held := self.personal_data(request, saved)).warns_of_many:
            # The question said so, and they said yes.
            acknowledge(saved, held, actor=cast(User, request.user), request=request)
        pipeline.metadata_changed(saved)
