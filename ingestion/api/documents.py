"""One document by machine: look at it, change it, archive and restore it, try it again."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.arrival import viewer_of
from accounts.parsing import BoundedJSONParser
from accounts.permissions import ReadOrCurate
from ingestion import pipeline
from ingestion.api.entity import etag_of, insist, is_known
from ingestion.api.listing import readable, related
from ingestion.api.refusals import Conflict
from ingestion.api.shapes import DocumentSerializer, refuse_beyond_rights
from ingestion.audience import access_of, note_changes
from ingestion.metadata import with_attachments
from ingestion.models import Document, Status
from ingestion.runs import lock_all
from ingestion.tags import tags_named
from ingestion.trail import note_edits, state_of
from ingestion.upkeep import WITH_ITS_MAIL

ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="Which state of the document this is."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The ETag that the client has: then 304 if it holds."
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag that the change is about: 412 if it holds no more."
)


class DocumentView(generics.RetrieveUpdateDestroyAPIView[Document]):
    """One document: look at it, change what is said about it, archive it."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BoundedJSONParser]
    serializer_class = DocumentSerializer
    http_method_names = ["get", "patch", "delete", "head", "options"]

    @extend_schema(parameters=[ETAG, IF_NONE_MATCH], responses={200: DocumentSerializer, 304: None})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The document; 304 without a body where it is still the one that the client has."""
        answer = super().get(request, *args, **kwargs)
        etag = etag_of(answer.data)
        if is_known(request, etag):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
        return answer

    @extend_schema(parameters=[ETAG, IF_MATCH])
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change what is said about it. With `If-Match`, only if nobody has changed it since it was read."""
        return super().patch(request, *args, **kwargs)

    @extend_schema(parameters=[IF_MATCH])
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Archive it. With `If-Match`, only if nobody has changed it since it was read."""
        return super().delete(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Says which state of the document an answer shows."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        if answer.status_code == status.HTTP_200_OK and answer.data is not None and "sha256" in answer.data:
            answer["ETag"] = etag_of(answer.data)
        return answer

    def get_queryset(self) -> QuerySet[Document]:
        if self.request.method in SAFE_METHODS:
            return readable(self.request)
        return related(Document.objects.manageable_by(viewer_of(self.request)))

    def held(self, document: Document) -> Document:
        """The document as it stands, held until the transaction ends.

        Somebody may have restricted it since it was loaded. Raises Http404 where the person manages it no longer, and
        PreconditionFailed where the request is about another state of it.
        """
        managed = Document.objects.manageable_by(viewer_of(self.request))
        # With the mail of an attachment, in the order in which everybody locks (ingestion.runs).
        held: Document = get_object_or_404(managed, pk__in=lock_all(managed.filter(pk=document.pk)))
        insist(self.request, self.get_serializer(held).data)
        return held

    def perform_update(self, serializer: serializers.BaseSerializer[Document]) -> None:
        """Write only what was sent, so that a running ingestion's own fields are left alone."""
        document = cast(Document, serializer.instance)
        given = dict(serializer.validated_data)
        shared_with, tags = given.pop("shared_with", None), given.pop("tags", None)
        with transaction.atomic():
            held = self.held(document)
            refuse_beyond_rights(viewer_of(self.request), held, serializer.validated_data)
            states = state_of(held)
            for name, value in given.items():
                setattr(document, name, value)
            document.save(update_fields=[*given, "updated_at"])
            if shared_with is not None:
                document.shared_with.set(shared_with)
            if tags is not None:
                document.tags.set(tags_named(tags, viewer_of(self.request)))
            note_edits("document_changed", states, actor=self.request.user, request=self.request._request)
            note_changes((document, access_of(held)), actor=self.request.user, request=self.request._request)
            # A worker may have finished since the document was read.
            document.refresh_from_db()
            pipeline.metadata_changed(document)
        document.refresh_from_db()

    def perform_destroy(self, instance: Document) -> None:
        """Archive: it leaves every search at once, and can be restored."""
        with transaction.atomic():
            held = self.held(instance)
            before = [(document, access_of(document)) for document in with_attachments(held)]
            states = state_of(*(document for document, _ in before))
            pipeline.archive(held)
            note_edits("document_archived", states, actor=self.request.user, request=self.request._request)
            note_changes(*before, actor=self.request.user, request=self.request._request)


class RestoreView(APIView):
    """Bring an archived document back."""

    permission_classes = [ReadOrCurate]

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """What it served is found again at once; whether it is as it should be is looked at anew."""
        document = get_object_or_404(related(Document.objects.manageable_by(viewer_of(request))), pk=pk)
        if document.status != Status.ARCHIVED:
            raise Conflict("This document is not archived.")
        if document.is_attachment and document.error_reason == WITH_ITS_MAIL:
            raise Conflict("This document was archived with the mail that it came with: restore that one.")
        with transaction.atomic():
            before = [(one, access_of(one)) for one in with_attachments(document)]
            states = state_of(*(one for one, _ in before))
            pipeline.restore(document)
            note_edits("document_restored", states, actor=request.user, request=request._request)
            note_changes(*before, actor=request.user, request=request._request)
        document.refresh_from_db()
        body = DocumentSerializer(document, context={"request": request}).data
        return Response(body, status=status.HTTP_202_ACCEPTED)


class RetryView(APIView):
    """Try a document again that failed, or that is not wholly read or embedded."""

    permission_classes = [ReadOrCurate]

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Queue the document again."""
        document = get_object_or_404(related(Document.objects.manageable_by(viewer_of(request))), pk=pk)
        if document.status == Status.ARCHIVED:
            raise Conflict("This document is archived. Restore it first.")
        if not document.error_reason:
            raise Conflict("There is nothing to retry: nothing is wrong with this document.")
        with transaction.atomic():
            pipeline.retry(document)
            note_edits("document_retried", state_of(document), actor=request.user, request=request._request)
        document.refresh_from_db()
        body = DocumentSerializer(document, context={"request": request}).data
        return Response(body, status=status.HTTP_202_ACCEPTED)
