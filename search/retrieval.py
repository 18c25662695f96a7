"""Candidates from the database: by meaning and by words, over what the viewer may see, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, TruncDate
from pgvector import Vector

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document
from search.nearest import Statement, among, by_meaning, is_enough, survey_of
from search.page import HitDocument
from search.query import Mode, SearchQuery
from search.ranking import Candidate
from search.vectors import QueryVector
from search.words import QueryWords, allowed, asked_sql, by_words, marks_of, words_of

LISTED_DOCUMENTS = 100
"""Documents that are listed for filters without words: ten pages of ten."""

Narrowable = TypeVar("Narrowable", bound=QuerySet[Any])


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


class SpaceChanged(Exception):
    """The query was embedded with a model that is not the live one any more: embed it anew, and ask again."""


@dataclass(frozen=True)
class Found:
    """The chunks that the legs propose, and what a hit shows of their documents."""

    candidates: Sequence[Candidate] = ()
    shown: Mapping[UUID, HitDocument] = field(default_factory=dict)


class _Row(NamedTuple):
    """What the statement says of a proposed chunk; `near` where it is among the nearest of all."""

    chunk_id: int
    near: bool
    similarity: float | None
    language_bias: float
    coverage: float
    word_score: float
    document_id: UUID
    campus_id: int | None
    department_id: int
    priority: int
    title: str
    file_name: str
    department: str
    campus: str | None
    doc_type: str
    doc_type_name: str
    clearance: int
    language: str
    last_reviewed: date | None
    written_on: date | None
    usual_similarity: float | None


def candidates(query: SearchQuery, *, viewer: Viewer, vector: QueryVector | None) -> Found:
    """What the legs propose, by meaning (where there is a vector) and by words.

    Raises SpaceChanged, before anything is compared, where the vector is not of the live space.
    """
    visible = Chunk.objects.visible_to(viewer).order_by()
    documents = narrowed(Document.objects.visible_to(viewer).order_by(), query)
    with transaction.atomic():
        if not query.text:
            return _newest(visible, documents)
        if query.mode is Mode.SEMANTIC:
            survey, words = survey_of(documents), marks_of(query.text)
        else:
            survey = survey_of(documents, asked_sql(query.text))
            words = words_of(survey.answer, query.text)
        if vector is not None and survey.space_key != vector.space.key:
            raise SpaceChanged
        # Of few documents the ids are known: the same chunks at a fraction of the time (docs/decisions/0023).
        chunks = narrowed(visible, query, "document__") if survey.few is None else visible.filter(among(survey.few))
        chunks = allowed(chunks, visible, words)
        proposal = words.proposal(survey.visible_chunks, alone=vector is None)
        by_word = [by_words(chunks, words, proposal)] if proposal else []
        # What holds words that are required is found by their index, and compared one by one.
        exact = survey.few is not None or bool(words.required)

        def ask(exact: bool, *, further: bool) -> list[_Row]:
            near = by_meaning(survey, exact=exact, languages=query.languages, further=further) if vector else []
            return _run(chunks, near, by_word, words, vector.numbers if vector else None)

        rows = ask(exact, further=False)
        if vector and not _is_enough(rows, exact):
            rows = ask(exact, further=True)
            if not exact and not _is_enough(rows, exact):
                rows = ask(True, further=True)
        return Found(_candidates(rows), {row.document_id: _shown(row) for row in rows})


def by_both_ways(query: SearchQuery, *, viewer: Viewer, vector: QueryVector) -> tuple[list[float], list[float]] | None:
    """How similar the chunks are that the index finds for this search, and those that there are; the nearest first.

    None where the index is not what such a search looks through. Raises SpaceChanged as `candidates` does. It compares
    every visible chunk, and is for measuring (search.recall).
    """
    marks = marks_of(query.text)
    if marks.required:
        return None
    visible = Chunk.objects.visible_to(viewer).order_by()
    documents = narrowed(Document.objects.visible_to(viewer).order_by(), query)
    with transaction.atomic():
        survey = survey_of(documents)
        if survey.space_key != vector.space.key:
            raise SpaceChanged
        if survey.few is not None:
            return None
        chunks = allowed(narrowed(visible, query, "document__"), visible, marks)

        def ask(exact: bool) -> list[float]:
            near = by_meaning(survey, exact=exact, languages=query.languages)
            rows = _run(chunks, near, [], QueryWords(), vector.numbers)
            return sorted((row.similarity for row in rows if row.near and row.similarity is not None), reverse=True)

        return ask(False), ask(True)


def _newest(chunks: QuerySet[Chunk], documents: QuerySet[Document]) -> Found:
    """The beginnings of the documents that were reviewed, or else came, last: what filters without words ask for."""
    newest = documents.order_by(Coalesce("last_reviewed", TruncDate("created_at")).desc(), "pk")[:LISTED_DOCUMENTS]
    place = {pk: place for place, pk in enumerate(newest.values_list("pk", flat=True))}
    first = chunks.filter(document__in=list(place), position=0)
    rows = _run(chunks, [], [first], QueryWords(), None) if place else []
    rows.sort(key=lambda row: place[row.document_id])
    return Found(_candidates(rows), {row.document_id: _shown(row) for row in rows})


def _is_enough(rows: Sequence[_Row], exact: bool) -> bool:
    return is_enough(sum(row.near for row in rows), len({row.document_id for row in rows}), exact=exact)


def _run(
    chunks: QuerySet[Chunk],
    near: Sequence[Statement],
    by_word: Iterable[QuerySet[Chunk]],
    words: QueryWords,
    vector: Sequence[float] | None,
) -> list[_Row]:
    """The union of the legs, with what ranking and a hit need of each chunk: one statement, one snapshot."""
    visible, visible_params = chunks.values("id", "document_id", "language", "embedding").query.sql_with_params()
    legs = [*near]
    for leg in by_word:
        sql, leg_params = leg.values("pk").query.sql_with_params()
        legs.append((f"SELECT by_word.*, false FROM ({sql}) AS by_word", leg_params))  # noqa: S608  # nosec B608  # a queryset's own SQL
    if not legs:
        return []
    sql = f"""
        WITH asked AS MATERIALIZED (
            SELECT vector, vector::halfvec AS half, words
            FROM (SELECT %s::vector AS vector, %s::sparsevec AS words) AS typed),
        centre AS MATERIALIZED (
            SELECT language, centre.vector, -(centre.vector <#> asked.vector) AS similarity
            FROM ingestion_languagecentre AS centre
            JOIN ingestion_vectorspace AS live ON live.id = centre.space_id AND live.state = 'live'
            CROSS JOIN asked),
        aim AS MATERIALIZED (
            SELECT language, (asked.vector - own.vector + centre.vector)::halfvec AS half
            FROM centre
            CROSS JOIN asked
            CROSS JOIN (SELECT vector FROM centre WHERE language <> '' ORDER BY similarity DESC LIMIT 1) AS own),
        word AS MATERIALIZED (SELECT * FROM unnest(%s::sparsevec[], %s::float8[]) AS word (forms, idf)),
        visible AS NOT MATERIALIZED ({visible}),
        proposed (id, near) AS (
            SELECT id, bool_or(near) FROM ({" UNION ALL ".join(f"({leg})" for leg, _ in legs)}) AS leg (id, near)
            GROUP BY id)
        SELECT chunk.id, proposed.near, 1 - (chunk.embedding <=> asked.half),
               COALESCE(own.similarity - every.similarity, 0),
               (SELECT COALESCE(sum(idf) FILTER (WHERE own_words.weights <#> forms < 0) / sum(idf), 0) FROM word),
               COALESCE(-(own_words.weights <#> asked.words), 0),
               document.id, document.campus_id, document.department_id, document.priority,
               document.title, document.file_name, department.name, campus.name, doc_type.slug, doc_type.name,
               document.clearance, document.language, document.last_reviewed, document.written_on,
               every.similarity
        FROM proposed
        CROSS JOIN asked
        JOIN ingestion_chunk AS chunk ON chunk.id = proposed.id
        JOIN ingestion_document AS document ON document.id = chunk.document_id
        JOIN accounts_department AS department ON department.id = document.department_id
        JOIN ingestion_documenttype AS doc_type ON doc_type.id = document.doc_type_id
        LEFT JOIN accounts_campus AS campus ON campus.id = document.campus_id
        LEFT JOIN ingestion_wordweights AS own_words ON own_words.chunk_id = chunk.id
        LEFT JOIN centre AS own ON own.language = chunk.language
        LEFT JOIN centre AS every ON every.language = ''
    """  # noqa: S608  # nosec B608  # every value is bound  # access: joins what the legs, which asked, propose
    asked = Vector(vector).to_text() if vector is not None else None
    params = [asked, words.vector, words.one_hot, list(words.idf), *visible_params]
    params += [one for _, leg_params in legs for one in leg_params]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [_Row._make(row) for row in cursor.fetchall()]


def _candidates(rows: Sequence[_Row]) -> list[Candidate]:
    best_rank = max((row.word_score for row in rows), default=0.0) or 1.0
    # A chunk that waits for its vector stands with the least similar ones: its words may still lift it.
    unknown = min((row.similarity for row in rows if row.similarity is not None), default=0.0)
    # So do, where nothing is public and no centre known, all others.
    usual = next((row.usual_similarity for row in rows if row.usual_similarity is not None), unknown)
    return [
        Candidate(
            chunk_id=row.chunk_id,
            document_id=row.document_id,
            similarity=unknown if row.similarity is None else row.similarity,
            language_bias=0.0 if row.similarity is None else row.language_bias,
            coverage=row.coverage,
            word_rank=row.word_score / best_rank,
            campus_id=row.campus_id,
            department_id=row.department_id,
            priority=row.priority,
            language=row.language,
            dated=row.last_reviewed or row.written_on,
            headroom=1 - usual,
        )
        for row in rows
    ]


def _shown(row: _Row) -> HitDocument:
    return HitDocument(
        id=str(row.document_id),
        title=row.title or row.file_name,
        department=row.department,
        campus=row.campus or "",
        doc_type=row.doc_type,
        doc_type_name=row.doc_type_name,
        clearance=row.clearance,
        language=row.language,
        priority=row.priority,
        last_reviewed=row.last_reviewed,
    )
