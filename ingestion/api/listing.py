"""Which documents a list by machine holds, and its pages."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from rest_framework import exceptions, pagination, serializers
from rest_framework.request import Request

from accounts.arrival import viewer_of
from ingestion.models import Document, Status

MOST_VALUES = 50
"""Of one filter, as in a search."""


def related(documents: QuerySet[Document]) -> QuerySet[Document]:
    return documents.select_related("department", "campus", "doc_type").prefetch_related("shared_with", "tags")


def readable(request: Request) -> QuerySet[Document]:
    """What the person may see, and what they may manage."""
    viewer = viewer_of(request)
    seen = Document.objects.visible_to(viewer)
    return related(seen | Document.objects.manageable_by(viewer) if viewer.curates else seen)


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


class Name(serializers.CharField):
    """The name of something, as far as a column can hold one."""

    def __init__(self) -> None:
        super().__init__(max_length=200)


class ListFilters(serializers.Serializer[Any]):
    """What a list may be narrowed by. Several values of one filter mean any of them, several filters all of them."""

    status = serializers.MultipleChoiceField(choices=Status.choices, required=False)
    department = serializers.ListField(child=Name(), max_length=MOST_VALUES, required=False)
    campus = serializers.ListField(child=Name(), max_length=MOST_VALUES, required=False)
    doc_type = serializers.ListField(child=Name(), max_length=MOST_VALUES, required=False)
    language = serializers.ListField(child=Name(), max_length=MOST_VALUES, required=False)
    tag = serializers.ListField(child=Name(), max_length=MOST_VALUES, required=False)
    updated_after = serializers.DateTimeField(required=False, help_text="Changed at this moment or later.")

    def narrowed(self, documents: QuerySet[Document]) -> QuerySet[Document]:
        """What is left of these documents. Names that nothing has leave nothing, as those do that are hidden."""
        given = self.validated_data
        columns = {
            "status__in": given.get("status"),
            "department__name__in": given.get("department"),
            "campus__name__in": given.get("campus"),
            "doc_type__slug__in": given.get("doc_type"),
            "language__in": given.get("language"),
            "updated_at__gte": given.get("updated_after"),
        }
        documents = documents.filter(**{name: value for name, value in columns.items() if value})
        if tags := given.get("tag"):
            documents = documents.filter(tags__name__in=tags).distinct()
        return documents
