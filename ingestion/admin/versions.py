"""A document's originals: the one that is served, a new one in its place, the earlier ones, and bringing one back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from accounts.audit import DOWNLOADED, note_reading
from ingestion import versions
from ingestion.admin.acts import DocumentActs
from ingestion.admin.pages import ORIGINALS_AWAY
from ingestion.forms import ReplacementForm
from ingestion.models import Document, EarlierVersion, Status
from ingestion.originals import original_response
from ingestion.registration import UploadRejected
from ingestion.storage import StorageAway
from ingestion.trail import note_edits, state_of


class VersionPages(DocumentActs):
    """The pages about a document's files. Who does not manage the document gets what an unknown one answers."""

    def get_urls(self) -> list[URLPattern]:
        """A document's own pages beside Django's."""
        view = self.admin_site.admin_view
        pages = (
            ("replace/", "replace", self.replace_view),
            ("original/", "original", self.original_view),
            ("versions/", "versions", self.versions_view),
            ("versions/<int:number>/", "version", self.version_view),
            ("versions/<int:number>/restore/", "restore_version", self.restore_version_view),
        )
        return [
            path(f"<uuid:object_id>/{address}", view(handler), name=f"ingestion_document_{name}")
            for address, name, handler in pages
        ] + super().get_urls()

    def original_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse | FileResponse:
        """The original file, as a download: whatever is in it, the browser does not run it. 404 when it is lost."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, str(object_id))
        response = original_response(document)
        note_reading(DOWNLOADED, document.pk, str(document), request=request)
        return response

    def replace_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Give a document a new original."""
        document: Document | None = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, str(object_id))
        if document.status == Status.ARCHIVED:
            self.message_user(request, "It is archived. Restore it before you replace its file.", messages.WARNING)
            return _back_to(document)
        form = ReplacementForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file, before = form.cleaned_data["file"], state_of(document)

            def insist() -> None:
                # Rights may have been taken away while the file was stored.
                if not self.held(request, [object_id]):
                    raise PermissionDenied

            try:
                document = versions.replace_file(document, file, file_name=file.name, insist=insist)
            except PermissionDenied:
                return self.unknown(request, str(object_id))
            except UploadRejected as rejected:
                form.add_error("file", str(rejected))
            except StorageAway:
                form.add_error("file", ORIGINALS_AWAY)
            else:
                note_edits("document_file_replaced", before, actor=request.user, request=request)
                self.log_change(request, document, f"Replaced the file by {file.name}.")
                self.message_user(request, "The new file is queued.", messages.SUCCESS)
                return _back_to(document)
        context = {"title": "Replace the file", "document": document, "original": document, "form": form}
        return self._page(request, "admin/ingestion/document/replace.html", context)

    def versions_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The files that the document had before, newest first."""
        document: Document | None = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, str(object_id))
        held = {document.sha256, document.next_sha256}
        context = {
            "title": "Versions",
            "original": document,
            "versions": [(one, one.sha256 in held) for one in versions.earlier(document)],
            "may_restore": self.has_change_permission(request, document) and document.status != Status.ARCHIVED,
        }
        return self._page(request, "admin/ingestion/document/versions.html", context)

    def version_view(self, request: HttpRequest, object_id: UUID, number: int) -> HttpResponse | FileResponse:
        """An earlier file, as a download like the original."""
        document: Document | None = self.get_object(request, str(object_id))
        if document is None:
            return self.unknown(request, str(object_id))
        response = original_response(_version(document, number))
        note_reading(DOWNLOADED, document.pk, str(document), request=request, version=number)
        return response

    def restore_version_view(self, request: HttpRequest, object_id: UUID, number: int) -> HttpResponse:
        """Asks whether this earlier file shall be the document's again, and makes it so."""
        if self.get_object(request, str(object_id)) is None:
            return self.unknown(request, str(object_id))
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        with transaction.atomic():
            held = self.held(request, [object_id])
            if not held:
                return self.unknown(request, str(object_id))
            (document,) = held
            version = _version(document, number)
            if request.method != "POST":
                context = {"title": "Bring an earlier version back", "original": document, "version": version}
                return self._page(request, "admin/ingestion/document/restore_version.html", context)
            before = state_of(document)
            try:
                versions.restore_version(document, number)
            except UploadRejected as rejected:
                self.message_user(request, str(rejected), messages.WARNING)
            else:
                note_edits(
                    "document_version_restored", before, actor=request.user, request=request, version_restored=number
                )
                self.log_change(request, document, f"Brought version {number} back ({version.file_name}).")
                text = f"Version {number} is queued. What is searched now stays until it has been read."
                self.message_user(request, text, messages.SUCCESS)
        return _back_to(document)


def _version(document: Document, number: int) -> EarlierVersion:
    """An earlier version of this document. Raises Http404 for a number that there is not."""
    # Beyond what the column holds is an error of the database.
    found = versions.earlier(document).filter(number=number).first() if number < 2**31 else None
    if found is None:
        raise Http404
    return found


def _back_to(document: Document) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:ingestion_document_change", args=[document.pk]))
