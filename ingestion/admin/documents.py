"""Documents in the admin site.

Everything here starts from `get_queryset`, which is `manageable_by`: list, counts, filters, change, history, actions
and autocompletes know only the documents that the person curates. Any other answers as one that does not exist.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from accounts.arrival import viewer_of
from accounts.clearance import Audience
from accounts.reauthentication import proof_required
from ingestion import pipeline
from ingestion.admin.acts import DocumentActs
from ingestion.admin.filters import (
    AudienceFilter,
    CampusFilter,
    ClearanceFilter,
    DepartmentFilter,
    LanguageFilter,
    ReviewFilter,
    StateFilter,
    TypeFilter,
    UploadFilter,
)
from ingestion.admin.readers import CONFIRMED, GOING_BACK
from ingestion.audience import access_of, note_changes, sight_of
from ingestion.forms import LANGUAGES, WHO_READS, DocumentForm, ReplacementForm
from ingestion.models import WORKING, Chunk, Document, Status
from ingestion.originals import discard, original_response

PREVIEWED = 5
"""Chunks shown on a document's page."""


@admin.register(Document)
class DocumentAdmin(DocumentActs):
    """The documents that a person curates."""

    actions = (*DocumentActs.actions, "delete_selected")
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
        ReviewFilter,
        UploadFilter,
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
            {"fields": ("title", ("doc_type", "language"), ("campus", "priority"), "tags", "last_reviewed")},
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
        managed = Document.objects.manageable_by(viewer_of(request))
        return managed.order_by(*self.get_ordering(request)) if self.get_ordering(request) else managed

    def get_urls(self) -> list[URLPattern]:
        """A document's own pages beside Django's."""
        view = self.admin_site.admin_view
        return [
            path(f"<uuid:object_id>/{name}/", view(handler), name=f"ingestion_document_{name}")
            for name, handler in (
                ("replace", self.replace_view),
                ("original", self.original_view),
            )
        ] + super().get_urls()

    # --- The list ------------------------------------------------------------------------------------------------

    @admin.display(description="Title", ordering="title")
    def name(self, document: Document) -> str:
        """The title, or the file's name until there is one."""
        return document.title or document.file_name

    @admin.display(description="State", ordering="status")
    def state(self, document: Document) -> SafeString:
        """The state, with a bar while something is going on."""
        return render_to_string("admin/ingestion/document/state.html", {"document": document})

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
        """The form with what is known about the file, and the first of its chunks; or the question before a change."""
        document, form = context["original"], context["adminform"].form
        if form.question:
            return self.ask(request, form.question, title="Change who sees it?", document=document)
        managed = Document.objects.manageable_by(viewer_of(request)).filter(pk=document.pk)
        chunks = Chunk.objects.filter(document__in=managed, staged=False).order_by("position")
        context |= {
            "page_title": self.name(document),
            "show_save_and_add_another": False,
            "working": document.status in WORKING,
            # As it is stored: a form that was refused has written what it asks for into its own document.
            "sight": sight_of(managed.get()),
            "chunks": chunks.only("position", "page_number", "section_title", "text")[:PREVIEWED],
            "language_name": LANGUAGES.get(document.language, document.language),
        }
        page: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return page

    def save_model(self, request: HttpRequest, obj: Document, form: Any, change: bool) -> None:
        """Write only what was edited, so that a worker that is busy with the document is not undone."""
        columns = {field.name for field in Document._meta.concrete_fields}
        obj.save(update_fields=[*columns.intersection(form.changed_data), "updated_at"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """After everything is written: who sees it now is noted, and chunks that come out differently are remade."""
        super().save_related(request, form, formsets, change)
        if WHO_READS.intersection(form.changed_data):
            note_changes((form.instance, form.access), actor=request.user, request=request)
        saved = Document.objects.get(pk=form.instance.pk)  # access: shows nothing; who saved it managed it
        pipeline.metadata_changed(saved)

    def replace_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a document a new original."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, object_id)
        if document.status == Status.ARCHIVED:
            self.message_user(request, "It is archived. Restore it before you replace its file.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))
        form = ReplacementForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                document = pipeline.replace_file(document, file, file_name=file.name)
            except pipeline.UploadRejected as rejected:
                form.add_error("file", str(rejected))
            else:
                self.log_change(request, document, f"Replaced the file by {file.name}.")
                self.message_user(request, "The new file is queued.", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))
        context = {"title": "Replace the file", "document": document, "original": document, "form": form}
        return self._page(request, "admin/ingestion/document/replace.html", context)

    def original_view(self, request: HttpRequest, object_id: str) -> HttpResponse | FileResponse:
        """The original file, as a download: whatever is in it, the browser does not run it. 404 when it is lost."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, object_id)
        return original_response(document)

    # --- Deletion ------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators only; librarians archive."""
        return bool(request.user.is_superuser)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
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
        documents = list(objs)
        chunks = Chunk.objects.filter(document__in=documents).count()  # access: how many go with what they manage
        counts = {str(self.opts.verbose_name_plural): len(documents), "chunks": chunks}
        return [self.name(document) for document in documents], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        """Delete the document, and its originals once that holds."""
        self._delete(request, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Delete these documents with their originals."""
        self._delete(request, list(queryset.values_list("pk", flat=True)))

    def _delete(self, request: HttpRequest, ids: list[UUID]) -> None:
        with transaction.atomic():
            held = self.held(request, ids)
            note_changes(
                *((document, access_of(document)) for document in held),
                actor=request.user,
                request=request,
                deleted=True,
            )
            for document in held:
                files = (document.file, document.next_file)
                document.delete()
                discard(*files)
