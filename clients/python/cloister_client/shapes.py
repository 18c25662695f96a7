"""What the portal answers, as Python knows it. Members that a later version adds are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, TypeVar

Shape = TypeVar("Shape")


def _known(shape: type[Shape], body: dict[str, Any], **made: Any) -> Shape:
    """A shape of those members of a JSON object that it has."""
    names = {one.name for one in fields(shape)} - set(made)  # type: ignore[arg-type]  # each is a dataclass
    return shape(**{name: value for name, value in body.items() if name in names}, **made)


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


@dataclass(frozen=True)
class Person:
    """Who asks, and what they may see."""

    username: str
    role: str
    clearance: int
    departments: list[str]
    campus: str | None
    librarian: bool = False
    name: str = ""
    curates: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, body: dict[str, Any]) -> Person:
        """The person in an answer."""
        return _known(cls, body)


@dataclass(frozen=True)
class HitDocument:
    """What a hit says of its document. An empty campus means all campuses."""

    id: str
    title: str
    department: str
    campus: str
    doc_type: str
    clearance: int
    language: str
    priority: int
    last_reviewed: date | None

    @classmethod
    def of(cls, body: dict[str, Any]) -> HitDocument:
        """The document in an answer."""
        return _known(cls, body, last_reviewed=_date(body.get("last_reviewed")))


@dataclass(frozen=True)
class Passage:
    """A piece of text that answers. `snippet` is escaped HTML with the query's words in <mark>."""

    chunk_id: int
    page_number: int
    section_title: str
    text: str
    snippet: str
    similarity: float
    url: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Passage:
        """The passage in an answer."""
        return _known(cls, body)


@dataclass(frozen=True)
class Hit:
    """A document with its best passages, the best one first."""

    document: HitDocument
    combined_score: float
    passages: list[Passage]

    @property
    def best(self) -> Passage:
        """The passage for which it was found."""
        return self.passages[0]

    @property
    def url(self) -> str:
        """Where it is read, below the portal's address."""
        return self.best.url

    @classmethod
    def of(cls, body: dict[str, Any]) -> Hit:
        """The hit in an answer."""
        passages = [Passage.of(one) for one in body["passages"]]
        return cls(HitDocument.of(body["document"]), body["combined_score"], passages)


@dataclass(frozen=True)
class FacetValue:
    """A value of a filter, and how many matches have it."""

    value: str
    count: int


@dataclass(frozen=True)
class SearchPage:
    """One page of an answer."""

    query: str
    search_id: str
    mode: str
    degraded: list[str]
    count: int
    page: int
    page_size: int
    hits: list[Hit]
    facets: dict[str, list[FacetValue]]
    did_you_mean: str | None
    response_time: float
    from_cache: bool
    request_id: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> SearchPage:
        """The answer to a search."""
        facets = {
            name: [FacetValue(one["value"], one["count"]) for one in values] for name, values in body["facets"].items()
        }
        return _known(cls, body, hits=[Hit.of(one) for one in body["results"]], facets=facets)


@dataclass(frozen=True)
class Chunk:
    """A piece of a document's text, in its place."""

    id: int
    position: int
    page_number: int
    section_title: str
    text: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Chunk:
        """The chunk in an answer."""
        return _known(cls, body)


@dataclass(frozen=True)
class Document:
    """A document, and how far the portal is with it. `etag` names this very state of it."""

    id: str
    title: str
    status: str
    progress: int
    error: str
    department: str
    campus: str | None
    doc_type: str
    clearance: int
    audience: str
    shared_with: list[str]
    language: str
    priority: int
    tags: list[str]
    last_reviewed: date | None
    chunk_count: int
    page_count: int
    file_name: str
    sha256: str
    created_at: datetime
    updated_at: datetime
    url: str
    etag: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the portal has finished with it, well or badly."""
        return self.status in ("ready", "failed", "archived")

    @classmethod
    def of(cls, body: dict[str, Any], etag: str = "") -> Document:
        """The document in an answer."""
        return _known(
            cls,
            body,
            last_reviewed=_date(body.get("last_reviewed")),
            created_at=datetime.fromisoformat(body["created_at"]),
            updated_at=datetime.fromisoformat(body["updated_at"]),
            etag=etag,
        )
