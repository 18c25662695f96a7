"""Uploading files and watching them arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.admin import OfferedFiltersOnly, PlainChoices
from accounts.arrival import viewer_of
from accounts.models import User
from ingestion import pipeline
from ingestion.admin.batches import Batch, Rejection, batch_of, remember
from ingestion.forms import Upload, UploadForm
from ingestion.models import WORKING, Document, Status


class UploadPages(OfferedFiltersOnly, PlainChoices):
    """The pages on which documents come in. Adding one by one is the same page."""

    def get_urls(self) -> list[URLPattern]:
        """The upload pages, before the addresses that take anything for a document's id."""
        view = self.admin_site.admin_view
        return [
            path("upload/", view(self.upload_view), name="ingestion_document_upload"),
            path("upload/<str:batch_id>/", view(self.progress_view), name="ingestion_document_progress"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Documents come in as files, so adding one is uploading it."""
        return HttpResponseRedirect(reverse("admin:ingestion_document_upload"))

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """The form for several files, and their taking in."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        viewer = viewer_of(request)
        form = UploadForm(request.POST or None, request.FILES or None, viewer=viewer)
        if request.method == "POST" and form.is_valid():
            batch = self._take_in(request, form.upload())
            remember(request.session, batch)
            return HttpResponseRedirect(reverse("admin:ingestion_document_progress", args=[batch.id]))
        context = {
            "title": "Upload documents",
            "form": form,
            "can_upload": viewer.every_department or bool(viewer.curated),
            "max_files": settings.MAX_FILES_PER_UPLOAD,
            "max_megabytes": settings.MAX_UPLOAD_BYTES // (1024 * 1024),
        }
        return self._page(request, "admin/ingestion/document/upload.html", context)

    def _take_in(self, request: HttpRequest, upload: Upload) -> Batch:
        """Register each file on its own: what is refused leaves nothing behind and stops no other."""
        batch = Batch()
        for file in upload.files:
            try:
                document = pipeline.register_upload(
                    file, file_name=_name(file), uploader=cast(User, request.user), metadata=upload.metadata
                )
            except pipeline.UploadRejected as rejected:
                batch.rejections.append(_rejection(_name(file), rejected))
            else:
                batch.document_ids.append(str(document.pk))
                self.log_addition(request, document, f"Uploaded {document.file_name}.")
        return batch

    def progress_view(self, request: HttpRequest, batch_id: str) -> HttpResponse:
        """How far an upload is. The page fetches itself anew while something is going on."""
        batch = batch_of(request.session, batch_id)
        if batch is None:
            messages.info(request, "That upload is not remembered any more. Its documents are in the list.")
            return HttpResponseRedirect(reverse("admin:ingestion_document_changelist"))
        documents = list(self.get_queryset(request).filter(pk__in=batch.document_ids))
        place = {document_id: position for position, document_id in enumerate(batch.document_ids)}
        documents.sort(key=lambda document: place[str(document.pk)])
        context = {
            "title": "Upload",
            "batch": batch,
            "documents": documents,
            "progress": Progress(documents),
            "refused": self._refused(request, batch),
        }
        return self._page(request, "admin/ingestion/document/progress.html", context)

    def _refused(self, request: HttpRequest, batch: Batch) -> list[Refused]:
        """The files that were refused. A document that is here already is known only to who manages it now."""
        twins = {rejection.existing for rejection in batch.rejections if rejection.existing}
        managed = {str(document.pk): document for document in self.get_queryset(request).filter(pk__in=twins)}
        return [Refused(rejection, managed.get(rejection.existing)) for rejection in batch.rejections]

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """A page of the admin site about documents."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {**self.admin_site.each_context(request), "opts": self.opts, "page_title": context["title"], **context},
        )


@dataclass(frozen=True)
class Refused:
    """A file that was refused, and the document that is here already if the person manages it."""

    rejection: Rejection
    existing: Document | None


class Progress:
    """How many of some documents are where."""

    def __init__(self, documents: list[Document]) -> None:
        self.total = len(documents)
        self.working = sum(document.status in WORKING for document in documents)
        self.ready = sum(document.status == Status.READY for document in documents)
        self.failed = sum(document.status == Status.FAILED for document in documents)
        done = sum(100 if document.status not in WORKING else document.progress for document in documents)
        self.percent = done // self.total if self.total else 100


def _rejection(file_name: str, rejected: pipeline.UploadRejected) -> Rejection:
    """What is remembered of a refusal: of a duplicate not the sentence, because it names the other document."""
    if rejected.existing is not None:
        return Rejection(file_name, rejected.reason, existing=str(rejected.existing.pk))
    return Rejection(file_name, rejected.reason, explanation=str(rejected))


def _name(file: UploadedFile) -> str:
    return file.name or "unnamed"
