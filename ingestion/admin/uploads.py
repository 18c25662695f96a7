"""Uploading files: all in one form, or sent by the browser one after another."""

from __future__ import annotations

import csv
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import URLPattern, path, reverse

from accounts.arrival import viewer_of
from accounts.models import Campus, User
from ingestion import pipeline
from ingestion.admin.batches import BatchPages, all_sent, announce, note_refusal, own_batch
from ingestion.admin.pages import ORIGINALS_AWAY
from ingestion.folder import COLUMNS
from ingestion.forms import MAX_FILES_PER_BATCH, AnnouncedUploadForm, UploadForm
from ingestion.models import Document, DocumentType, UploadBatch
from ingestion.registration import DocumentMetadata, clean_file_name
from ingestion.storage import StorageAway
from ingestion.trail import note_uploads


class UploadPages(BatchPages):
    """The pages on which documents come in. Adding one by one is the same page."""

    def get_urls(self) -> list[URLPattern]:
        """The upload's addresses, before those that take anything for a document's id."""
        view = self.admin_site.admin_view
        return [
            path("upload/", view(self.upload_view), name="ingestion_document_upload"),
            path("upload/begin/", view(self.begin_view), name="ingestion_document_begin"),
            path("upload/manifest.csv", view(self.manifest_view), name="ingestion_document_manifest"),
            path("upload/<uuid:batch_id>/file/", view(self.file_view), name="ingestion_document_file"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Documents come in as files, so adding one is uploading it."""
        return HttpResponseRedirect(reverse("admin:ingestion_document_upload"))

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """The form for several files, and their taking in where the browser sends them all at once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        viewer = viewer_of(request)
        form = UploadForm(request.POST or None, request.FILES or None, viewer=viewer)
        if request.method == "POST" and form.is_valid():
            upload, batch = form.upload(), _begun(request)
            for file in upload.files:
                try:
                    self._take_in(request, batch, file, upload.metadata)
                except StorageAway:
                    note_refusal(batch, file.name or "unnamed", pipeline.UploadRejected("away", ORIGINALS_AWAY))
            return HttpResponseRedirect(_page_of(batch))
        context = {
            "title": "Upload documents",
            "form": form,
            "can_upload": viewer.every_department or bool(viewer.curated),
            "max_files": settings.MAX_FILES_PER_UPLOAD,
            "max_files_sent": MAX_FILES_PER_BATCH,
            "max_bytes": settings.MAX_UPLOAD_BYTES,
            "max_megabytes": settings.MAX_UPLOAD_BYTES // (1024 * 1024),
            "columns": COLUMNS,
        }
        return self._page(request, "admin/ingestion/document/upload.html", context)

    def begin_view(self, request: HttpRequest) -> HttpResponse:
        """What is said about all files, checked before any is sent: answers where to send them, as JSON."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AnnouncedUploadForm(request.POST, viewer=viewer_of(request))
        if not form.is_valid():
            return _faults(form)
        batch = _begun(request)
        announce(batch, form.cleaned_data["announced"])
        most = f"{settings.MAX_UPLOAD_BYTES // (1024 * 1024)} MB"
        for name in request.POST.getlist("too_large")[:MAX_FILES_PER_BATCH]:
            refusal = pipeline.UploadRejected("too_large", f"It is larger than {most}. Split it, or make it smaller.")
            note_refusal(batch, clean_file_name(name), refusal)
        send = reverse("admin:ingestion_document_file", args=[batch.pk])
        return JsonResponse({"send": send, "watch": _page_of(batch)}, status=HTTPStatus.CREATED)

    def file_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """One file of an upload. Sent again because no answer came, it is known; asked with GET, a token to send with.

        The answer is JSON: 201 with the document's address, 422 with why the file is refused, 400 with what is wrong
        with what is said about it, 503 where it cannot be stored now. With `finished` instead of a file, the browser
        says that it has sent them all.
        """
        batch = own_batch(request, batch_id)
        if request.method != "POST":
            return JsonResponse({"token": get_token(request)})
        if not self.has_add_permission(request):
            raise PermissionDenied
        if "finished" in request.POST:
            all_sent(batch)
            return JsonResponse({"watch": _page_of(batch)})
        form = UploadForm(request.POST, request.FILES, viewer=viewer_of(request))
        if not form.is_valid():
            return _faults(form)
        upload = form.upload()
        try:
            taken = self._take_in(request, batch, upload.files[0], upload.metadata)
        except StorageAway:
            return JsonResponse({"away": ORIGINALS_AWAY}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        if isinstance(taken, pipeline.UploadRejected):
            existing = taken.existing
            there = reverse("admin:ingestion_document_change", args=[existing.pk]) if existing else ""
            refusal = {"refused": str(taken), "document": there}
            return JsonResponse(refusal, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        page = reverse("admin:ingestion_document_change", args=[taken.pk])
        return JsonResponse({"document": page}, status=HTTPStatus.CREATED)

    def _take_in(
        self, request: HttpRequest, batch: UploadBatch, file: UploadedFile, metadata: DocumentMetadata
    ) -> Document | pipeline.UploadRejected:
        """Register one file. What is refused leaves nothing behind but its name and the reason, and stops no other."""
        name = file.name or "unnamed"
        try:
            document = pipeline.register_upload(
                file, file_name=name, uploader=cast(User, request.user), metadata=metadata, batch=batch
            )
        except pipeline.UploadRejected as rejected:
            twin = rejected.existing
            if twin is not None and twin.batch_id == batch.pk and twin.file_name == clean_file_name(name):
                return twin  # its answer was lost on the way
            note_refusal(batch, name, rejected)
            return rejected
        self.log_addition(request, document, f"Uploaded {document.file_name}.")
        note_uploads(document, actor=request.user, request=request)
        return document

    def manifest_view(self, request: HttpRequest) -> HttpResponse:
        """An example of a ZIP file's manifest, with a department and the types that the person can use as they are."""
        viewer = viewer_of(request)
        departments = list(filter(None, map(_cell, UploadForm(viewer=viewer).departments)))
        campus = Campus.objects.first()
        answer = HttpResponse(
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="manifest.csv"'},
        )
        answer.write("\ufeff")  # without it Excel takes the file for one in an encoding of its own
        lines = csv.DictWriter(answer, COLUMNS)
        lines.writeheader()
        for number, doc_type in enumerate(DocumentType.objects.order_by("slug"), 1):
            lines.writerow(
                {
                    "path": f"folder/example-{number}.pdf",
                    "title": f"Example of the type {doc_type}",
                    "department": departments[(number - 1) % len(departments)] if departments else "",
                    "campus": _cell(campus or ""),
                    "doc_type": doc_type.slug,
                    "clearance": viewer.effective_clearance,
                    "audience": "department",
                    "language": "en",
                    "priority": 3,
                    "last_reviewed": "2026-01-31",
                }
            )
        return answer


def _cell(value: object) -> str:
    """As text in a table; empty where a spreadsheet program would take it for a formula."""
    text = str(value)
    return "" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _begun(request: HttpRequest) -> UploadBatch:
    """A new upload of the person who asks."""
    return UploadBatch.objects.create(owner=cast(User, request.user))


def _page_of(batch: UploadBatch) -> str:
    return reverse("admin:ingestion_document_progress", args=[batch.pk])


def _faults(form: BaseForm) -> JsonResponse:
    """What is wrong with a form, for the script that sent it: field -> sentences."""
    return JsonResponse({"faults": form.errors}, status=HTTPStatus.BAD_REQUEST)
