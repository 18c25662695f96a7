"""What a viewer and their filters leave of the corpus, as SQL: Django makes it of the access rule, and it is kept.

Making SQL of a queryset takes Django longer than PostgreSQL needs to answer a narrow search. What it makes depends on
the rule's code, on what the rule reads of the viewer and on the filters; all of that is the key under which it is kept,
with the values that it binds. So nothing is ever bound anew to SQL that was made for somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet

from accounts.clearance import Viewer, rule_for
from ingestion.models import Chunk, Document
from search.query import SearchQuery

Statement = tuple[str, Sequence[Any]]

KEPT = 1000
"""Statements that a process keeps, of about 2 kB each; then it begins anew."""

NOT_FILTERS = frozenset({"text", "mode", "page", "page_size", "sort"})
"""Fields of a SearchQuery that narrow nothing. Every other one is part of the key."""

CHUNK_COLUMNS = ("id", "document_id", "language", "embedding", "lexemes")
"""What the legs of a search read of a chunk."""

Narrowable = TypeVar("Narrowable", bound=QuerySet[Any])

_kept: dict[Hashable, Statement] = {}


def narrowed(visible: Narrowable, query: SearchQuery, prefix: str = "") -> Narrowable:
    """What is left of visible documents (or, with the prefix `document__`, chunks) under the query's filters."""
    named: dict[str, Any] = {
        "department__name__in": query.departments,
        "campus__name__in": query.campuses,
        "doc_type__slug__in": query.doc_types,
        "language__in": query.languages,
        "priority__gte": query.min_priority,
        "last_reviewed__gte": query.reviewed_after,
        "last_reviewed__lt": query.reviewed_before,
    }
    visible = visible.filter(**{prefix + name: value for name, value in named.items() if value})
    if query.tags:
        borne = Document.tags.through.objects  # access: narrows what passed the predicate
        tagged = borne.filter(tag__name__in=query.tags).values("document_id")
        visible = visible.filter(**{prefix + "pk__in": tagged})
    return visible


def filters_of(query: SearchQuery | None) -> tuple[Hashable, ...]:
    """The values of all filters of a query, set or not; empty where none is set."""
    if query is None:
        return ()
    values = tuple(value for name, value in vars(query).items() if name not in NOT_FILTERS)
    return values if any(values) else ()


def documents(viewer: Viewer, query: SearchQuery | None = None) -> Statement:
    """Id and number of chunks of the documents that the viewer sees under the query's filters."""

    def visible() -> QuerySet[Document]:
        seen = Document.objects.visible_to(viewer).order_by()
        return narrowed(seen, query) if query else seen

    return kept("documents", viewer, query, lambda: visible().values("id", "chunk_count"))


def chunks(viewer: Viewer, query: SearchQuery | None = None) -> Statement:
    """Id, document, language, vector and words of the chunks that the viewer sees under the query's filters."""

    def visible() -> QuerySet[Chunk]:
        seen = Chunk.objects.visible_to(viewer).order_by()
        return narrowed(seen, query, "document__") if query else seen

    return kept("chunks", viewer, query, lambda: visible().values(*CHUNK_COLUMNS))


def passages(viewer: Viewer) -> Statement:
    """Id, page, section and text of the chunks that the viewer sees."""

    def visible() -> QuerySet[Chunk]:
        return Chunk.objects.visible_to(viewer).order_by()

    columns = ("id", "page_number", "section_title", "text")
    return kept("passages", viewer, None, lambda: visible().values(*columns))


def kept(what: str, viewer: Viewer, query: SearchQuery | None, made: Callable[[], QuerySet[Any, Any]]) -> Statement:
    """The SQL, and what it binds, of a queryset that this makes of what the viewer sees under the query's filters.

    `what` names it: nothing but viewer and filters may change what is made under one name.
    """
    key = (what, rule_for(viewer), filters_of(query))
    statement = _kept.get(key)
    if statement is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        statement = _kept[key] = made().query.sql_with_params()
    return statement
