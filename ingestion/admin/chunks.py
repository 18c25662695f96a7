"""All passages of a document, as the search has them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import BooleanField, Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.arrival import viewer_of
from ingestion.admin.pages import DocumentPages
from ingestion.chunking import estimate_tokens
from ingestion.models import Chunk, Document

LISTED = 50
"""Passages on one page."""


class ChunkPages(DocumentPages):
    """The page of a document's passages."""

    def get_urls(self) -> list[URLPattern]:
        """Beside the document's other pages."""
        view = self.admin_site.admin_view(self.chunks_view)
        return [path("<uuid:object_id>/chunks/", view, name="ingestion_document_chunks"), *super().get_urls()]

    def chunks_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What is served, 50 at a time; before anything is, what is being prepared."""
        managed = Document.objects.manageable_by(viewer_of(request)).filter(pk=object_id)
        document = managed.first()
        if document is None:
            return self.unknown(request, str(object_id))
        chunks = Chunk.objects.filter(document__in=managed).defer("embedding", "lexemes")
        served = chunks.filter(staged=False)
        preparing = not served.exists()
        has_vector = Case(
            When(embedding__isnull=False, then=Value(True)), default=Value(False), output_field=BooleanField()
        )
        shown = chunks.filter(staged=preparing).annotate(has_vector=has_vector).order_by("position")
        page = Paginator(shown, LISTED).get_page(request.GET.get("page"))
        context = {
            "title": "Passages",
            "original": document,
            "document": document,
            "preparing": preparing,
            "page": page,
            "passages": [Passage(chunk) for chunk in page],
        }
        return self._page(request, "admin/ingestion/document/chunks.html", context)


@dataclass(frozen=True)
class Passage:
    """A chunk as the page shows it."""

    chunk: Chunk

    @property
    def repeated(self) -> str:
        """What it repeats of the one before, or a table's head."""
        return self.chunk.text[: self.chunk.overlap]

    @property
    def own(self) -> str:
        """Its own text."""
        return self.chunk.text[self.chunk.overlap :]

    @property
    def tokens(self) -> int:
        """About how many tokens it has."""
        return estimate_tokens(self.chunk.text)

    @property
    def refused(self) -> bool:
        """Whether the model could not take it."""
        return "unembeddable" in self.chunk.metadata
