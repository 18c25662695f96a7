"""What a search answers: plain frozen values, the same for the page, the API and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True)
class HitDocument:
    """What a hit shows of its document."""

    id: str
    title: str
    department: str
    campus: str
    doc_type: str
    doc_type_name: str
    clearance: int
    language: str
    priority: int
    last_reviewed: date | None

    @classmethod
    def of(
        cls,
        pk: UUID,
        title: str,
        file_name: str,
        department: str,
        campus: str | None,
        doc_type: str,
        doc_type_name: str,
        clearance: int,
        language: str,
        priority: int,
        last_reviewed: date | None,
    ) -> HitDocument:
        """What is shown of a document with these columns (DOCUMENT_COLUMNS), which may lack a title or a campus."""
        return cls(
            id=str(pk),
            title=title or file_name,
            department=department,
            campus=campus or "",
            doc_type=doc_type,
            doc_type_name=doc_type_name,
            clearance=clearance,
            language=language,
            priority=priority,
            last_reviewed=last_reviewed,
        )


DOCUMENT_COLUMNS = (
    "pk", "title", "file_name", "department__name", "campus__name", "doc_type__slug", "doc_type__name", "clearance",
    "language", "priority", "last_reviewed",
)  # fmt: skip
"""The columns of a document that HitDocument.of takes, in its order."""


@dataclass(frozen=True)
class Passage:
    """A piece of a hit's text. `snippet` is HTML that is already escaped, with the words in <mark>."""

    chunk_id: int
    page_number: int
    section_title: str
    text: str
    snippet: str
    similarity: float
    url: str


@dataclass(frozen=True)
class Hit:
    """One document with its best passages, best first. `combined_score` orders the hits, but for those
    that librarians have `chosen`, which stand first."""

    document: HitDocument
    passages: tuple[Passage, ...]
    combined_score: float
    chosen: bool = False

    @property
    def best(self) -> Passage:
        """The passage that the hit opens at."""
        return self.passages[0]


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet: what the filter takes, what people read, and how many matches have it."""

    value: str
    label: str
    count: int


@dataclass(frozen=True)
class SearchPage:
    """One page of an answered search.

    `degraded` says in codes what the answer had to do without: `embedding_unavailable` means words only.
    `words_found` is false when no match holds any of the query's words: then all are near in meaning at best.
    `response_time` is in seconds. `count` is the number of documents that matched, of which this page shows some;
    where it is `bounded`, more than these may match, and neither they nor the facets' counts go further.
    """

    query: str
    search_id: str
    mode: str
    count: int
    page: int
    page_size: int
    hits: tuple[Hit, ...]
    facets: dict[str, tuple[FacetValue, ...]]
    response_time: float
    timestamp: datetime
    degraded: tuple[str, ...] = ()
    did_you_mean: str | None = None
    from_cache: bool = False
    words_found: bool = True
    page_count: int = field(default=1)
    bounded: bool = False
