"""All documents by machine: the list, one upload, and several at once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.parsing import BoundedMultiPartParser, BulkMultiPartParser, TooLarge
from accounts.permissions import ReadOrCurate
from ingestion import pipeline
from ingestion.api.listing import ListFilters, NewestFirst, readable
from ingestion.api.refusals import Conflict, KeyUsedOtherwise, StorageUnavailable
from ingestion.api.shapes import EDITABLE, DocumentSerializer, UploadSerializer
from ingestion.folder import Catalogue, InvalidManifest, Located, read_rows
from ingestion.idempotency import InvalidKey, Once, UsedOtherwise, digest_of
from ingestion.models import Document
from ingestion.registration import DocumentMetadata, fingerprint
from ingestion.storage import StorageAway
from ingestion.trail import note_uploads

MAX_FILES = 100
"""Files in one request: more of them would keep a connection open for longer than most are patient."""

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text of up to 255 ASCII characters, new for each upload. Sent again with the same one within 24 "
    "hours, an upload makes nothing a second time, and is answered with the document that it made.",
)
LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[202], description="The document's address."
)


class DocumentsView(generics.ListCreateAPIView[Document]):
    """List and upload."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BoundedMultiPartParser]
    serializer_class = DocumentSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Document]:
        if self.request.method == "POST":
            return readable(self.request)
        filters = ListFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        return filters.narrowed(readable(self.request))

    @extend_schema(parameters=[ListFilters])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The documents that the person may see or edit, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, LOCATION], request=UploadSerializer, responses={202: DocumentSerializer}
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Upload a file. Answers 202 at once; the workers do the rest, and `status` tells how far they are."""
        upload = UploadSerializer(data=request.data, context=self.get_serializer_context())
        upload.is_valid(raise_exception=True)
        said = dict(upload.validated_data)
        file = said.pop("file")
        said["shared_with"] = tuple(said.get("shared_with", ()))
        document = taken_in(request, file, DocumentMetadata(**said))
        body = DocumentSerializer(document, context=self.get_serializer_context()).data
        location = f"/api/v1/documents/{document.pk}/"
        return Response(body, status=status.HTTP_202_ACCEPTED, headers={"Location": location})


class BulkUploadSerializer(DocumentSerializer):
    """Several files with what is said about all of them, or with a manifest that says it of each."""

    file = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True, max_length=255), min_length=1, max_length=MAX_FILES
    )
    manifest = serializers.FileField(
        required=False, help_text="CSV with the columns of `ingest_folder`; `path` is a file's name in this form."
    )

    class Meta(DocumentSerializer.Meta):
        fields = ["file", "manifest", *(name for name in EDITABLE if name != "title")]
        read_only_fields: list[str] = []


class TakenInSerializer(serializers.Serializer[Any]):
    """What became of one file."""

    file_name = serializers.CharField()
    status = serializers.IntegerField(help_text="What an upload of this file alone would have been answered.")
    document = DocumentSerializer(allow_null=True)
    detail = serializers.CharField(allow_null=True, help_text="Why it was refused, and what to do.")


class BulkSerializer(serializers.Serializer[Any]):
    """What became of the files, in their order."""

    results = TakenInSerializer(many=True)


class BulkView(APIView):
    """Several uploads in one request."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BulkMultiPartParser]

    @extend_schema(parameters=[IDEMPOTENCY_KEY], request=BulkUploadSerializer, responses={202: BulkSerializer})
    def post(self, request: Request) -> Response:
        """Upload up to 100 files. One that is refused keeps no other out; `results` says what became of each."""
        context = {"request": request}
        pairs = self._with_manifest(request) if "manifest" in request.FILES else self._alike(request, context)
        results = []
        for part, (file, metadata) in enumerate(pairs):
            one: dict[str, Any] = {"file_name": file.name, "status": status.HTTP_202_ACCEPTED, "detail": None}
            try:
                document = taken_in(request, file, metadata, part=part)
                one["document"] = DocumentSerializer(document, context=context).data
            except Http404:
                # What this very request made before is not for them to see any more.
                one |= {"status": status.HTTP_404_NOT_FOUND, "document": None, "detail": "Not found."}
            except exceptions.APIException as refusal:
                if isinstance(refusal, StorageUnavailable | KeyUsedOtherwise):
                    raise  # it would be the same with all that come after it
                one |= {"status": refusal.status_code, "document": None, "detail": _sentence(refusal)}
            results.append(one)
        return Response({"results": results}, status=status.HTTP_202_ACCEPTED)

    @staticmethod
    def _alike(request: Request, context: dict[str, Any]) -> list[tuple[UploadedFile, DocumentMetadata]]:
        """Each file, with what is said about all."""
        upload = BulkUploadSerializer(data=request.data, context=context)
        upload.is_valid(raise_exception=True)
        said = dict(upload.validated_data)
        files = said.pop("file")
        said["shared_with"] = tuple(said.get("shared_with", ()))
        return [(file, DocumentMetadata(**said)) for file in files]

    @staticmethod
    def _with_manifest(request: Request) -> list[tuple[UploadedFile, DocumentMetadata]]:
        """Each file that the manifest names, with what it says. Every file must be named, and every name be a file."""
        files = {str(file.name): file for file in request.FILES.getlist("file")}
        if not 0 < len(files) <= MAX_FILES:
            raise serializers.ValidationError({"file": [f"Send 1 to {MAX_FILES} files with a manifest."]})

        def locate(name: str) -> Located:
            return name, Path(name) if name in files else None

        with tempfile.NamedTemporaryFile(suffix=".csv") as copy:
            for block in request.FILES["manifest"].chunks():
                copy.write(block)
            copy.flush()
            try:
                rows = read_rows(Path(copy.name), "The manifest", locate, Catalogue(), most=MAX_FILES)
            except InvalidManifest as error:
                raise serializers.ValidationError({"manifest": str(error).splitlines()}) from None
        if unnamed := sorted(set(files) - {row.name for row in rows}):
            missing = f"It does not name {', '.join(map(repr, unnamed[:5]))}. Nothing was taken in."
            raise serializers.ValidationError({"manifest": [missing]})
        return [(files[row.name], row.metadata) for row in rows]


def taken_in(request: Request, file: UploadedFile, metadata: DocumentMetadata, *, part: int = 0) -> Document:
    """The document that this file became, now or when the same request came before.

    Raises a refusal of the API: nothing is kept then.
    """
    person, name = cast(User, request.user), str(file.name)
    try:
        once = _once(request, file, metadata, part)
        if once and (document := _made(request, once)):
            return document
        return pipeline.register_upload(
            file, file_name=name, uploader=person, metadata=metadata, also=_noted(request._request, once)
        )
    except UsedOtherwise:
        raise KeyUsedOtherwise from None
    except StorageAway:
        raise StorageUnavailable from None
    except pipeline.UploadRejected as error:
        if error.existing:
            # It may be what the same request made a moment ago.
            if once and (document := _made(request, once)):
                return document
            raise Conflict(str(error), existing=str(error.existing.pk)) from None
        if error.reason == "too_large":
            raise TooLarge(str(error)) from None
        raise serializers.ValidationError({"file": [str(error)]}) from None


def _once(request: Request, file: UploadedFile, metadata: DocumentMetadata, part: int) -> Once | None:
    """How this making is told from others; None without a key. Raises ValidationError for what cannot be one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    sha256, _ = fingerprint(file, str(file.name))
    try:
        return Once(cast(User, request.user), key, digest_of([sha256, str(file.name), repr(metadata)]), part)
    except InvalidKey as error:
        raise serializers.ValidationError({"Idempotency-Key": [str(error)]}) from None


def _made(request: Request, once: Once) -> Document | None:
    """What this very request has made before. Raises Http404 where the person may not see that any more."""
    made = once.made()
    return get_object_or_404(readable(request), pk=made) if made else None


def _noted(request: HttpRequest, once: Once | None) -> Callable[[Document], None]:
    """What else is written with the document."""

    def also(document: Document) -> None:
        note_uploads(document, actor=request.user, request=request)
        if once:
            once.note(document)

    return also


def _sentence(refusal: exceptions.APIException) -> str:
    detail = refusal.detail
    if isinstance(detail, dict):
        return " ".join(str(one) for sentences in detail.values() for one in sentences)
    return " ".join(map(str, detail)) if isinstance(detail, list) else str(detail)
