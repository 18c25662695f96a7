"""Candidates from the database: by meaning and by words, over what the viewer may see, in one round trip.

pgvector's HNSW index walks the whole corpus' graph and drops what a filter excludes; with a narrow filter it finds next
to nothing (DESIGN, section 3: recall 0.08 at 2 %). So few chunks are scanned exactly, many go through the index with an
iterative scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchRank, SearchVectorField
from django.db import connection, transaction
from django.db.models import F, Func, Lookup, QuerySet, Sum, TextField, Value
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, searchable
from pgvector import HalfVector
from pgvector.django import CosineDistance

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document
from search.query import SearchQuery
from search.ranking import Candidate, normalised_words

Narrowable = TypeVar("Narrowable", bound=QuerySet[Any])

EXACT_UP_TO = 4000
"""Visible chunks up to which the exact scan is faster than HNSW with its iterative scan (DESIGN, section 3)."""

CANDIDATES_A_LEG = 100
"""Chunks that each leg proposes: enough for ten pages of ten hits, and for facets that mean something."""

EF_SEARCH = 200
"""HNSW's own candidate list: twice what is asked for keeps recall@100 near 1 where most chunks are visible."""


@SearchVectorField.register_lookup
class Matches(Lookup):
    """`vector @@ query` with any expression for the query."""

    lookup_name = "matches"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        return f"{lhs} @@ {rhs}", [*lhs_params, *rhs_params]

    def get_prep_lookup(self) -> Any:
        return self.rhs


def narrowed(visible: Narrowable, query: SearchQuery, prefix: str = "") -> Narrowable:
    """What is left of visible documents (or, with the prefix `document__`, chunks) under the query's filters."""
    named: dict[str, Any] = {
        "department__name__in": query.departments,
        "campus__name__in": query.campuses,
        "doc_type__slug__in": query.doc_types,
        "language__in": query.languages,
        "priority__gte": query.min_priority,
        "last_reviewed__gte": query.reviewed_after,
    }
    visible = visible.filter(**{prefix + name: value for name, value in named.items() if value})
    if query.tags:
        tagged = Document.tags.through.objects.filter(tag__name__in=query.tags).values("document_id")
        visible = visible.filter(**{prefix + "pk__in": tagged})
    return visible


def candidates(query: SearchQuery, *, viewer: Viewer, vector: Sequence[float] | None) -> list[Candidate]:
    """Up to CANDIDATES_A_LEG chunks by meaning (where there is a vector) and as many by words."""
    visible = Chunk.objects.visible_to(viewer)
    chunks = narrowed(visible, query, "document__").order_by()
    legs = []
    few = False
    if vector is not None:
        few = _visible_chunk_count(query, viewer) <= EXACT_UP_TO
        legs.append(_semantic(chunks, vector, exact=few))
    if query.mode != "semantic":
        legs.append(_lexical(chunks, query.text))
    if not legs:
        return []
    rows = _run(legs, query.text, vector, iterative=vector is not None and not few)
    words = normalised_words([row[3] for row in rows]) if query.mode != "semantic" else [0.0] * len(rows)
    # A chunk that waits for its vector stands with the least similar ones: its words may still lift it.
    unknown = min((row[2] for row in rows if row[2] is not None), default=0.0)
    return [
        Candidate(
            chunk_id=chunk_id,
            document_id=document_id,
            similarity=unknown if similarity is None else similarity,
            words=matched,
            campus_id=campus_id,
            department_id=department_id,
            priority=priority,
        )
        for (chunk_id, document_id, similarity, _, campus_id, department_id, priority), matched in zip(
            rows, words, strict=True
        )
    ]


def nearest_documents(document: Document, *, viewer: Viewer, limit: int) -> list[UUID]:
    """Other visible documents whose passages mean what this one's first passage means, nearest first."""
    first = Chunk.objects.visible_to(viewer).filter(document=document, embedding__isnull=False).order_by("position")
    vector = first.values_list("embedding", flat=True).first()
    if vector is None:
        return []
    others = Chunk.objects.visible_to(viewer).exclude(document=document)
    with transaction.atomic():
        _widen_index_scan()
        near = _semantic(others, vector.to_list(), exact=False).values_list("document_id", flat=True)
        return list(dict.fromkeys(near))[:limit]


def _visible_chunk_count(query: SearchQuery, viewer: Viewer) -> int:
    """How many chunks viewer and filters leave, from the documents' own counts."""
    documents = narrowed(Document.objects.visible_to(viewer), query)
    return documents.order_by().aggregate(chunks=Sum("chunk_count"))["chunks"] or 0


def _semantic(chunks: QuerySet[Chunk], vector: Sequence[float], *, exact: bool) -> QuerySet[Chunk]:
    """The nearest chunks. Adding zero keeps the planner from the index, which orders by the bare distance only."""
    distance = CosineDistance("embedding", vector)
    order = distance + Value(0.0) if exact else distance
    return chunks.filter(embedding__isnull=False).order_by(order)[:CANDIDATES_A_LEG]


def _lexical(chunks: QuerySet[Chunk], text: str) -> QuerySet[Chunk]:
    """The chunks in which the words weigh most."""
    words = tsquery(text)
    return chunks.filter(lexemes__matches=words).order_by(_word_rank(words).desc(), "pk")[:CANDIDATES_A_LEG]


def _word_rank(words: Func) -> SearchRank:
    """`ts_rank`, which measured far better than `ts_rank_cd`; a longer chunk needs more (normalisation 1)."""
    return SearchRank(F("lexemes"), words, normalization=Value(1))


def _query_words(text: str) -> tuple[list[str], list[str], list[str]]:
    """The query's words as they stand, in the plain form that the index holds, and the configurations to stem with."""
    raw = text.split()
    return raw, [searchable(word) for word in raw], [TEXT_SEARCH_CONFIGS[code] for code in settings.SEARCH_LANGUAGES]


def tsquery(text: str) -> Func:
    """Any of the query's words, plain and in the stems of the institution's languages, without stop words."""
    arrays = [Value(words, output_field=ArrayField(TextField())) for words in _query_words(text)]
    return Func(*arrays, function="search_tsquery", template="%(function)s(%(expressions)s::text[]::regconfig[])")


def _run(
    legs: Iterable[QuerySet[Chunk]], text: str, vector: Sequence[float] | None, *, iterative: bool
) -> list[tuple[Any, ...]]:
    """The union of the legs, each chunk with its similarity and its word rank: one statement, one snapshot."""
    ids = [leg.values("pk").query.sql_with_params() for leg in legs]
    sql = f"""
        WITH proposed (id) AS ({" UNION ".join(f"({leg})" for leg, _ in ids)})
        SELECT chunk.id, document.id, 1 - (chunk.embedding <=> %s::halfvec),
               ts_rank(chunk.lexemes, search_tsquery(%s::text[], %s::text[], %s::text[]::regconfig[]), 1),
               document.campus_id, document.department_id, document.priority
        FROM proposed
        JOIN ingestion_chunk AS chunk ON chunk.id = proposed.id
        JOIN ingestion_document AS document ON document.id = chunk.document_id
    """  # noqa: S608  (every value is a bound parameter)
    params = [one for _, leg_params in ids for one in leg_params]
    params += [HalfVector(vector).to_text() if vector is not None else None, *_query_words(text)]
    with transaction.atomic(), connection.cursor() as cursor:
        if iterative:
            _widen_index_scan()
        cursor.execute(sql, params)
        return cursor.fetchall()


def _widen_index_scan() -> None:
    """Let HNSW go on until enough visible chunks are found (until the transaction ends)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %s, true)",
            [str(EF_SEARCH)],
        )
