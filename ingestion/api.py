"""Documents by machine: list, upload, look at, change, archive, retry, download."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DataError, transaction
from django.db.models import QuerySet
from django.http import FileResponse
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, generics, pagination, serializers, status
from rest_framework.fields import empty
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils import html
from rest_framework.views import APIView

from accounts.arrival import viewer_of
from accounts.clearance import EVERYONE, Audience, Viewer
from accounts.models import Campus, Department, User
from accounts.parsing import BoundedJSONParser, BoundedMultiPartParser, TooLarge
from accounts.permissions import MaySearch, ReadOrCurate, Refused
from ingestion import pipeline
from ingestion.audience import access_of, note_changes
from ingestion.language import language_code
from ingestion.metadata import with_attachments
from ingestion.models import Chunk, Document, DocumentType, Status
from ingestion.originals import original_response
from ingestion.runs import lock_all
from ingestion.storage import StorageAway
from ingestion.tags import MAX_NAME, MAX_TAGS, InvalidTag, clean_names, tags_named
from ingestion.trail import note_edits, note_uploads, state_of

EDITABLE = (
    "title", "department", "campus", "doc_type", "clearance", "audience", "shared_with", "language", "priority",
    "tags", "last_reviewed",
)  # fmt: skip

WHO_READS = frozenset(("clearance", "audience", "shared_with", "department"))


class NamedField(serializers.SlugRelatedField[Any]):
    """Something of the vocabulary, by its name."""

    def to_internal_value(self, data: Any) -> Any:
        """The row of this name. A NUL, which no name has, would be an error of the database."""
        if "\0" in str(data):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "array", "items": {"type": "string", "maxLength": MAX_NAME}, "maxItems": MAX_TAGS})
class TagsField(serializers.Field[Any, Any, Any, Any]):
    """Tags by their names. Any name will do: it comes into being with the document that bears it."""

    default_error_messages = {"not_a_list": "Give a list of strings."}

    def get_value(self, dictionary: Any) -> Any:
        """All values of this name, where a form sent them."""
        if html.is_html_input(dictionary):
            return dictionary.getlist(self.field_name) if self.field_name in dictionary else empty
        return super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        """Clean names."""
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            self.fail("not_a_list")
        try:
            return tuple(clean_names(data))
        except InvalidTag as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> list[str]:
        """The names in their order."""
        return sorted(tag.name for tag in value.all())


def refuse_beyond_rights(viewer: Viewer, document: Document, changes: Iterable[str]) -> None:
    """Raises Refused where these change who reads the document and it is classified beyond the viewer's own rights.

    Raises Conflict where it is an attachment: who reads it is decided by what it came with.
    """
    if document.is_attachment and WHO_READS.intersection(changes):
        raise Conflict("This document came with a mail and is read by whoever may read that: change it there.")
    if WHO_READS.intersection(changes) and not viewer.may_reclassify(document.clearance, document.department_id):
        raise Refused(
            "This document was restricted beyond your own rights; who reads it is not yours to change.",
            required=document.clearance,
            current=viewer.effective_clearance,
        )


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A document as the contract writes it (DESIGN, section 5)."""

    title = serializers.CharField(max_length=300, required=False, allow_blank=True)
    department = NamedField(slug_field="name", queryset=Department.objects.all())
    campus = NamedField(slug_field="name", queryset=Campus.objects.all(), allow_null=True, required=False)
    doc_type = NamedField(slug_field="slug", queryset=DocumentType.objects.all())
    clearance = serializers.IntegerField(min_value=1, max_value=4, required=False)
    audience = serializers.ChoiceField(choices=Audience.choices, required=False)
    shared_with = NamedField(slug_field="name", queryset=Department.objects.all(), many=True, required=False)
    tags = TagsField(required=False)
    url = serializers.URLField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Document
        fields = [
            "id", "title", "status", "progress", "error", "department", "campus", "doc_type", "clearance", "audience",
            "shared_with", "language", "priority", "tags", "last_reviewed", "chunk_count", "page_count", "file_name",
            "sha256", "created_at", "updated_at", "url",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name not in EDITABLE]

    @cached_property
    def viewer(self) -> Viewer:
        """Who asks."""
        return viewer_of(self.context["request"])

    def validate_clearance(self, clearance: int) -> int:
        """Nobody sets a clearance above their own."""
        own = self.viewer.effective_clearance
        if clearance > own:
            raise Refused("This clearance is above your own.", required=clearance, current=own)
        return clearance

    def validate_department(self, department: Department) -> Department:
        """Documents are filed under departments that the person curates, and under no others."""
        if not self.viewer.may_file_under(department.pk):
            raise serializers.ValidationError("You do not curate this department.")
        return department

    def validate_title(self, title: str) -> str:
        """Titles stand on one line."""
        return pipeline.clean_title(title)

    def validate_language(self, language: str) -> str:
        """ISO 639-1; empty means: found in the file."""
        if language and not language_code(language):
            raise serializers.ValidationError("Give an ISO 639-1 code such as en or de, or leave it empty.")
        return language_code(language)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Who reads a document is changed by those only who could have set it as it is."""
        document = self.instance
        if isinstance(document, Document):
            refuse_beyond_rights(self.viewer, document, attrs)
        return attrs

    def to_representation(self, instance: Document) -> dict[str, Any]:
        """What is wrong with a file is the business of those who manage it."""
        shown = super().to_representation(instance)
        if instance.is_attachment:
            shown["shared_with"] = self._shared_with_mail(instance)
        owns = self.viewer.curates and instance.owner_id == self.viewer.user_id
        if not owns and not self.viewer.may_file_under(instance.department_id):
            shown["error"] = ""
        return shown

    @staticmethod
    def _shared_with_mail(attachment: Document) -> list[str]:
        """The departments that the attachment's mail is shared with, which it has no list of its own of."""
        others = set(attachment.readers) - {EVERYONE, attachment.department_id}
        return list(Department.objects.filter(pk__in=others).values_list("name", flat=True)) if others else []


class UploadSerializer(DocumentSerializer):
    """An upload: the file and what is said about it."""

    file = serializers.FileField(write_only=True, allow_empty_file=True, max_length=255)

    class Meta(DocumentSerializer.Meta):
        fields = ["file", *EDITABLE]
        read_only_fields: list[str] = []


def _related(documents: QuerySet[Document]) -> QuerySet[Document]:
    return documents.select_related("department", "campus", "doc_type").prefetch_related("shared_with", "tags")


def readable(request: Request) -> QuerySet[Document]:
    """What the person may see, and what they may manage."""
    viewer = viewer_of(request)
    seen = Document.objects.visible_to(viewer)
    return _related(seen | Document.objects.manageable_by(viewer) if viewer.curates else seen)


class NewestFirst(pagination.CursorPagination):
    """Pages of a list to which documents are added meanwhile: none is shown twice or missed."""

    ordering: tuple[str, ...] = ("-created_at", "pk")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """One page. A cursor that nobody was given is not found, whatever is in it."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError):
            raise exceptions.NotFound(self.invalid_cursor_message) from None


class InOrder(NewestFirst):
    """Pages of a document's text, in order."""

    ordering = ("position",)


class DocumentsView(generics.ListCreateAPIView[Document]):
    """List and upload."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BoundedMultiPartParser]
    serializer_class = DocumentSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Document]:
        return readable(self.request)

    @extend_schema(request=UploadSerializer, responses={202: DocumentSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Upload a file. Answers 202 at once; the workers do the rest, and `status` tells how far they are."""
        upload = UploadSerializer(data=request.data, context=self.get_serializer_context())
        upload.is_valid(raise_exception=True)
        given = dict(upload.validated_data)
        file = given.pop("file")
        given["shared_with"] = tuple(given.get("shared_with", ()))
        try:
            document = pipeline.register_upload(
                file,
                file_name=file.name,
                uploader=cast(User, request.user),
                metadata=pipeline.DocumentMetadata(**given),
            )
        except StorageAway:
            raise StorageUnavailable from None
        except pipeline.UploadRejected as error:
            if error.existing:
                raise Conflict(str(error), existing=str(error.existing.pk)) from None
            if error.reason == "too_large":
                raise TooLarge(str(error)) from None
            raise serializers.ValidationError({"file": [str(error)]}) from None
        note_uploads(document, actor=request.user, request=request._request)
        body = DocumentSerializer(document, context=self.get_serializer_context()).data
        return Response(
            body, status=status.HTTP_202_ACCEPTED, headers={"Location": f"/api/v1/documents/{document.pk}/"}
        )


class Conflict(exceptions.APIException):
    """409: the document's state, or another document, stands against it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, detail: str, **members: str) -> None:
        super().__init__(detail)
        self.members = members


class StorageUnavailable(exceptions.APIException):
    """503: nothing can be stored, or read from where it is stored, at the moment."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The storage of the original files does not answer. Try again in a few minutes."
    default_code = "storage_unavailable"


class DocumentView(generics.RetrieveUpdateDestroyAPIView[Document]):
    """One document: look at it, change what is said about it, archive it."""

    permission_classes = [ReadOrCurate]
    parser_classes = [BoundedJSONParser]
    serializer_class = DocumentSerializer
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def get_queryset(self) -> QuerySet[Document]:
        if self.request.method in SAFE_METHODS:
            return readable(self.request)
        return _related(Document.objects.manageable_by(viewer_of(self.request)))

    def held(self, document: Document) -> Document:
        """The document as it stands, held until the transaction ends.

        Somebody may have restricted it since it was loaded. Raises Http404 where the person manages it no longer.
        """
        managed = Document.objects.manageable_by(viewer_of(self.request))
        # With the mail of an attachment, in the order in which everybody locks (ingestion.runs).
        held: Document = get_object_or_404(managed, pk__in=lock_all(managed.filter(pk=document.pk)))
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


class RetryView(APIView):
    """Try a document again that failed, or that is not wholly read or embedded."""

    permission_classes = [ReadOrCurate]

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Queue the document again."""
        document = get_object_or_404(_related(Document.objects.manageable_by(viewer_of(request))), pk=pk)
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


class ChunkSerializer(serializers.ModelSerializer[Chunk]):
    """A piece of a document's text."""

    class Meta:
        model = Chunk
        fields = ["id", "position", "page_number", "section_title", "text"]


class ChunksView(generics.ListAPIView[Chunk]):
    """The text of a document, in order."""

    permission_classes = [MaySearch]
    serializer_class = ChunkSerializer
    pagination_class = InOrder

    def get_queryset(self) -> QuerySet[Chunk]:
        viewer = viewer_of(self.request)
        document_id = self.kwargs["pk"]
        if Document.objects.visible_to(viewer).filter(pk=document_id).exists():
            return Chunk.objects.visible_to(viewer).filter(document=document_id, staged=False)
        get_object_or_404(Document.objects.manageable_by(viewer), pk=document_id)
        managed = Document.objects.manageable_by(viewer).filter(pk=document_id)
        return Chunk.objects.filter(document__in=managed, staged=False)


class FileView(APIView):
    """The original."""

    permission_classes = [MaySearch]

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> FileResponse:
        """The original file, as an attachment."""
        try:
            return original_response(get_object_or_404(readable(request), pk=pk))
        except StorageAway:
            raise StorageUnavailable from None
