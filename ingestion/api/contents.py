"""What is in a document, by machine: its text, its original, a new original, and the earlier ones."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.arrival import viewer_of
from accounts.audit import DOWNLOADED, VIEWED, note_reading
from accounts.parsing import BoundedMultiPartParser, TooLarge
from accounts.permissions import MaySearch, ReadOrCurate
from ingestion import pipeline, versions
from ingestion.api.documents import IF_MATCH
from ingestion.api.entity import insist
from ingestion.api.listing import InOrder, readable, related
from ingestion.api.refusals import Conflict, StorageUnavailable
from ingestion.api.shapes import ChunkSerializer, DocumentSerializer
from ingestion.downloads import note_download
from ingestion.models import Chunk, Document, EarlierVersion
from ingestion.originals import original_response, stretch_response
from ingestion.runs import lock_all
from ingestion.storage import StorageAway
from ingestion.trail import note_edits, state_of


class ChunksView(generics.ListAPIView[Chunk]):
    """The text of a document, in order."""

    permission_classes = [MaySearch]
    serializer_class = ChunkSerializer
    pagination_class = InOrder

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of the text."""
        answer = super().get(request, *args, **kwargs)
        title = str(get_object_or_404(readable(request), pk=self.kwargs["pk"]))
        note_reading(VIEWED, self.kwargs["pk"], title, request=request)
        return answer

    def get_queryset(self) -> QuerySet[Chunk]:
        viewer = viewer_of(self.request)
        document_id = self.kwargs["pk"]
        if Document.objects.visible_to(viewer).filter(pk=document_id).exists():
            return Chunk.objects.visible_to(viewer).filter(document=document_id, staged=False)
        get_object_or_404(Document.objects.manageable_by(viewer), pk=document_id)
        managed = Document.objects.manageable_by(viewer).filter(pk=document_id)
        return Chunk.objects.filter(document__in=managed, staged=False)


class NewFileSerializer(serializers.Serializer[Any]):
    """A new original."""

    file = serializers.FileField(allow_empty_file=True, max_length=255)


class FileView(APIView):
    """The original, and a new one in its place."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BoundedMultiPartParser]

    @extend_schema(
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="Such as `bytes=0-1023`.")],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            416: OpenApiResponse(description="Nothing of what `Range` asks for lies inside the file."),
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """The original file, as an attachment; of a large one the stretch that `Range` asks for."""
        try:
            document = get_object_or_404(readable(request), pk=pk)
            response = stretch_response(document, request._request)
        except StorageAway:
            raise StorageUnavailable from None
        note_download(document, response, request=request)
        return response

    @extend_schema(parameters=[IF_MATCH], request=NewFileSerializer, responses={202: DocumentSerializer})
    def put(self, request: Request, pk: UUID) -> Response:
        """Give the document a new original. What is served now stays until the new one is read; it is kept as an
        earlier version."""
        managed = Document.objects.manageable_by(viewer_of(request))
        document = get_object_or_404(related(managed), pk=pk)
        given = NewFileSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        file, before = given.validated_data["file"], state_of(document)

        def still_theirs() -> None:
            # Rights may have been taken away while the file was stored, and somebody else may have replaced it.
            held = get_object_or_404(managed, pk__in=lock_all(managed.filter(pk=pk)))
            insist(request, DocumentSerializer(held, context={"request": request}).data)

        try:
            versions.replace_file(document, file, file_name=file.name, insist=still_theirs)
        except StorageAway:
            raise StorageUnavailable from None
        except pipeline.UploadRejected as error:
            raise _refusal(error) from None
        note_edits("document_file_replaced", before, actor=request.user, request=request._request)
        return _queued(document, request)


class VersionSerializer(serializers.ModelSerializer[EarlierVersion]):
    """An original that a newer one has replaced."""

    class Meta:
        model = EarlierVersion
        fields = ["number", "file_name", "file_size", "mime_type", "sha256", "page_count", "replaced_at"]


class VersionsSerializer(serializers.Serializer[Any]):
    """The earlier versions, newest first."""

    results = VersionSerializer(many=True)


class VersionsView(APIView):
    """The originals that a document has had, for those who manage it."""

    permission_classes = [ReadOrCurate]

    @extend_schema(operation_id="documents_versions_list", responses=VersionsSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """The files that the document had before, newest first."""
        document = get_object_or_404(Document.objects.manageable_by(viewer_of(request)), pk=pk)
        return Response(VersionsSerializer({"results": versions.earlier(document)}).data)


class VersionView(APIView):
    """One of them."""

    permission_classes = [ReadOrCurate]

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID, number: int) -> FileResponse:
        """An earlier file, as an attachment."""
        document = get_object_or_404(Document.objects.manageable_by(viewer_of(request)), pk=pk)
        try:
            response = original_response(get_object_or_404(versions.earlier(document), number=number))
        except StorageAway:
            raise StorageUnavailable from None
        note_reading(DOWNLOADED, pk, str(document), request=request, version=number)
        return response


class RestoreVersionView(APIView):
    """Bring one of them back."""

    permission_classes = [ReadOrCurate]

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def post(self, request: Request, pk: UUID, number: int) -> Response:
        """Make an earlier file the document's original again, as if it were uploaded anew."""
        managed = Document.objects.manageable_by(viewer_of(request))
        with transaction.atomic():
            document = get_object_or_404(managed, pk__in=lock_all(managed.filter(pk=pk)))
            before = state_of(document)
            try:
                versions.restore_version(document, number)
            except EarlierVersion.DoesNotExist:
                raise Http404 from None
            except pipeline.UploadRejected as error:
                raise _refusal(error) from None
            note_edits(
                "document_version_restored", before, actor=request.user, request=request._request,
                version_restored=number,
            )  # fmt: skip
        return _queued(document, request)


def _refusal(error: pipeline.UploadRejected) -> Exception:
    """What the API answers where a document cannot take a file."""
    if error.reason == "too_large":
        return TooLarge(str(error))
    if error.reason == "empty":
        return serializers.ValidationError({"file": [str(error)]})
    return Conflict(str(error))


def _queued(document: Document, request: Request) -> Response:
    document.refresh_from_db()
    body = DocumentSerializer(document, context={"request": request}).data
    return Response(body, status=status.HTTP_202_ACCEPTED)
