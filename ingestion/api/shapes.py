"""Documents and chunks as JSON, and what may be said of a document by machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils import html

from accounts.arrival import viewer_of
from accounts.clearance import Audience, Viewer
from accounts.models import Campus, Department
from accounts.permissions import Refused
from ingestion import pipeline
from ingestion.api.refusals import Conflict
from ingestion.language import language_code
from ingestion.models import Chunk, Document, DocumentType
from ingestion.tags import MAX_NAME, MAX_TAGS, InvalidTag, clean_names

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
        owns = self.viewer.curates and instance.owner_id == self.viewer.user_id
        if not owns and not self.viewer.may_file_under(instance.department_id):
            shown["error"] = ""
        return shown


class UploadSerializer(DocumentSerializer):
    """An upload: the file and what is said about it."""

    file = serializers.FileField(write_only=True, allow_empty_file=True, max_length=255)

    class Meta(DocumentSerializer.Meta):
        fields = ["file", *EDITABLE]
        read_only_fields: list[str] = []


class ChunkSerializer(serializers.ModelSerializer[Chunk]):
    """A piece of a document's text."""

    class Meta:
        model = Chunk
        fields = ["id", "position", "page_number", "section_title", "text"]
