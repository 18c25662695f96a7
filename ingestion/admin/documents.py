"""Documents in the admin site.

Everything here starts from `get_queryset`, which is `manageable_by`: list, counts, filters, change, history, actions
and autocompletes know only the documents that the person curates. Any other answers as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from accounts.clearance import Audience, Clearance, viewer_for
from ingestion import pipeline
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
from ingestion.admin.uploads import UploadPages
from ingestion.forms import LANGUAGES, DocumentForm, ReplacementForm
from ingestion.models import WORKING, Chunk, Document, Status
from ingestion.originals import discard, original_response

PREVIEWED = 5
"""Chunks shown on a document's page."""

READERS = {
    Clearance.PUBLIC: ("everybody, also without signing in", "people"),
    Clearance.MEMBERS: ("all students and staff", "people"),
    Clearance.STAFF: ("staff and academics with a department", "staff and academics"),
    Clearance.RESTRICTED: ("academics with a department", "academics"),
}
"""Who reads a document of this clearance: of the whole institution, and of a department."""


@admin.register(Document)
class DocumentAdmin(UploadPages):
    """The documents that a person curates."""

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
    actions = ("retry_failed", "archive", "restore")
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
        managed = Document.objects.manageable_by(viewer_for(request.user))
        return managed.order_by(*self.get_ordering(request)) if self.get_ordering(request) else managed

    def get_urls(self) -> list[URLPattern]:
        """A document's own pages beside Django's."""
        view = self.admin_site.admin_view
        return [
            path(f"<uuid:object_id>/{name}/", view(handler), name=f"ingestion_document_{name}")
            for name, handler in (
                ("retry", self.retry_view),
                ("archive", self.archive_view),
                ("restore", self.restore_view),
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

    # --- Actions on several --------------------------------------------------------------------------------------

    @admin.action(description="Retry the failed ones", permissions=["change"])
    def retry_failed(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        """Ingest the failed ones among these again."""
        self._each(request, documents.filter(status=Status.FAILED), pipeline.retry, "Retried.", "queued again")

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        """Take these out of every search."""
        live = documents.exclude(status=Status.ARCHIVED)
        self._each(request, live, pipeline.archive, "Archived.", "archived; nobody finds them any more")

    @admin.action(description="Restore from the archive", permissions=["change"])
    def restore(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        """Bring the archived ones among these back."""
        archived = documents.filter(status=Status.ARCHIVED)
        self._each(request, archived, pipeline.restore, "Restored.", "restored")

    def _each(
        self,
        request: HttpRequest,
        documents: QuerySet[Document],
        act: Callable[[Document], None],
        note: str,
        outcome: str,
    ) -> None:
        """Do this to each document, note it in its history, and say how many there were."""
        chosen = list(documents)
        for document in chosen:
            with transaction.atomic():
                act(document)
                self.log_change(request, document, note)
        if chosen:
            plural = "" if len(chosen) == 1 else "s"
            self.message_user(request, f"{len(chosen)} document{plural} {outcome}.", messages.SUCCESS)
        else:
            self.message_user(request, "That concerns none of the chosen documents.", messages.WARNING)

    # --- One document --------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> type[forms.ModelForm]:
        """The form, which knows who fills it in."""
        form = super().get_form(request, obj, **kwargs)
        return type(form.__name__, (form,), {"viewer": viewer_for(request.user)})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The form with what is known about the file, and the first of its chunks."""
        document = context["original"]
        chunks = Chunk.objects.filter(document=document, staged=False).order_by("position")
        context |= {
            "page_title": self.name(document),
            "show_save_and_add_another": False,
            "working": document.status in WORKING,
            "readers": _readers(document),
            "chunks": chunks.only("position", "page_number", "section_title", "text")[:PREVIEWED],
            "language_name": LANGUAGES.get(document.language, document.language),
        }
        page: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return page

    def save_model(self, request: HttpRequest, obj: Document, form: forms.ModelForm, change: bool) -> None:
        """Write only what was edited, so that a worker that is busy with the document is not undone."""
        columns = {field.name for field in Document._meta.concrete_fields}
        obj.save(update_fields=[*columns.intersection(form.changed_data), "updated_at"])

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool) -> None:
        """After everything is written: chunks that are made differently now are made again."""
        super().save_related(request, form, formsets, change)
        pipeline.metadata_changed(Document.objects.get(pk=form.instance.pk))

    def _unknown(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What Django's own pages answer for a document that does not exist."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        return answer

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ingest a failed document again."""
        return self._act(request, object_id, (Status.FAILED,), pipeline.retry, "Retried.", "It is queued again.")

    def archive_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a document out of every search."""
        live = tuple(state for state in Status if state != Status.ARCHIVED)
        return self._act(request, object_id, live, pipeline.archive, "Archived.", "Archived: nobody finds it any more.")

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring an archived document back."""
        return self._act(request, object_id, (Status.ARCHIVED,), pipeline.restore, "Restored.", "It is back.")

    def _act(
        self,
        request: HttpRequest,
        object_id: str,
        states: tuple[Status, ...],
        act: Callable[[Document], None],
        note: str,
        outcome: str,
    ) -> HttpResponse:
        """Do this to a document in one of these states, and go back to where the button was."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return self._unknown(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if document.status in states:
            with transaction.atomic():
                act(document)
                self.log_change(request, document, note)
            self.message_user(request, f"{self.name(document)}: {outcome}", messages.SUCCESS)
        else:
            self.message_user(request, f"{self.name(document)} is {document.get_status_display()}.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[object_id]))

    def replace_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a document a new original."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return self._unknown(request, object_id)
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
            return self._unknown(request, object_id)
        return original_response(document)

    # --- Deletion ------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators only; librarians archive."""
        return bool(request.user.is_superuser)

    def get_deleted_objects(
        self, objs: QuerySet[Document] | list[Document], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What a deletion takes with it, without naming thousands of chunks."""
        documents = list(objs)
        chunks = Chunk.objects.filter(document__in=documents).count()
        counts = {str(self.opts.verbose_name_plural): len(documents), "chunks": chunks}
        return [self.name(document) for document in documents], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        """Delete the document, and its originals once that holds."""
        files = (obj.file, obj.next_file)
        obj.delete()
        discard(*files)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Delete these documents one by one, with their originals."""
        for document in queryset:
            self.delete_model(request, document)


def _readers(document: Document) -> str:
    """Who reads the document, in words, apart from its dates and state."""
    everybody, of_department = READERS[Clearance(document.clearance)]
    if document.audience == Audience.INSTITUTION:
        return everybody
    departments = [document.department, *document.shared_with.all()]
    return f"{of_department} of {' or '.join(department.name for department in departments)}"
