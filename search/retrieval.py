"""Candidates from the database: by meaning and by words, over what the viewer may see, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import QuerySet
from pgvector import Vector

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document
from search.nearest import by_meaning, survey_of
from search.query import Mode, SearchQuery
from search.ranking import Candidate
from search.vectors import QueryVector
from search.words import QueryWords, by_words, read_words

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
    }
    visible = visible.filter(**{prefix + name: value for name, value in named.items() if value})
    if query.tags:
        borne = Document.tags.through.objects  # access: narrows what passed the predicate
        tagged = borne.filter(tag__name__in=query.tags).values("document_id")
        visible = visible.filter(**{prefix + "pk__in": tagged})
    return visible


class SpaceChanged(Exception):
    """The query was embedded with a model that is not the live one any more: embed it anew, and ask again."""


def candidates(query: SearchQuery, *, viewer: Viewer, vector: QueryVector | None) -> list[Candidate]:
    """The chunks that the legs propose, by meaning (where there is a vector) and by words.

    Raises SpaceChanged, before anything is compared, where the vector is not of the live space.
    """
    visible = Chunk.objects.visible_to(viewer).order_by()
    documents = narrowed(Document.objects.visible_to(viewer).order_by(), query)
    words = QueryWords((), ()) if query.mode is Mode.SEMANTIC else read_words(query.text)
    with transaction.atomic():
        survey = survey_of(documents) if vector is not None else None
        if vector is not None and survey is not None and survey.space_key != vector.space.key:
            raise SpaceChanged
        if survey and survey.exact:
            # The same chunks, reached through their documents: a fraction of the time where few are left (decision 2).
            chunks = visible.filter(document__in=documents.values("pk"))
        else:
            chunks = narrowed(visible, query, "document__")
        numbers = vector.numbers if vector is not None else None
        legs = by_meaning(chunks, numbers, survey) if numbers is not None and survey else []
        if words.forms:
            legs.append(by_words(chunks, words))
        return _candidates(_run(legs, words, numbers)) if legs else []


def _run(legs: Iterable[QuerySet[Chunk]], words: QueryWords, vector: Sequence[float] | None) -> list[tuple[Any, ...]]:
    """The union of the legs, with what ranking needs of each chunk: one statement, one snapshot.

    The columns: chunk, document, similarity, what its language alone has in common with the query, coverage of the
    words, their rank, campus, department, priority.
    """
    proposed = [leg.values("pk").query.sql_with_params() for leg in legs]
    sql = f"""
        WITH proposed (id) AS ({" UNION ".join(f"({leg})" for leg, _ in proposed)}),
        asked AS MATERIALIZED (SELECT %s::vector AS vector, %s::tsquery AS words),
        word AS MATERIALIZED (SELECT * FROM unnest(%s::tsquery[], %s::float8[]) AS word (forms, idf)),
        bias AS MATERIALIZED (
            SELECT language, -(centre.vector <#> asked.vector) AS similarity
            FROM ingestion_languagecentre AS centre
            JOIN ingestion_vectorspace AS live ON live.id = centre.space_id AND live.state = 'live'
            CROSS JOIN asked)
        SELECT chunk.id, document.id, 1 - (chunk.embedding <=> asked.vector::halfvec),
               COALESCE(own.similarity - every.similarity, 0),
               (SELECT COALESCE(sum(idf) FILTER (WHERE chunk.lexemes @@ forms) / sum(idf), 0) FROM word),
               ts_rank(chunk.lexemes, asked.words, 1),
               document.campus_id, document.department_id, document.priority
        FROM proposed
        CROSS JOIN asked
        JOIN ingestion_chunk AS chunk ON chunk.id = proposed.id
        JOIN ingestion_document AS document ON document.id = chunk.document_id
        LEFT JOIN bias AS own ON own.language = chunk.language
        LEFT JOIN bias AS every ON every.language = ''
    """  # noqa: S608  # nosec B608  # every value is bound  # access: joins what the legs, which asked, propose
    params = [one for _, leg_params in proposed for one in leg_params]
    asked = Vector(vector).to_text() if vector is not None else None
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, asked, words.any, list(words.forms), list(words.idf)])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _candidates(rows: list[tuple[Any, ...]]) -> list[Candidate]:
    best_rank = max((row[5] for row in rows), default=0.0) or 1.0
    # A chunk that waits for its vector stands with the least similar ones: its words may still lift it.
    unknown = min((row[2] for row in rows if row[2] is not None), default=0.0)
    return [
        Candidate(
            chunk_id=chunk_id,
            document_id=document_id,
            similarity=unknown if similarity is None else similarity,
            language_bias=0.0 if similarity is None else bias,
            coverage=coverage,
            word_rank=rank / best_rank,
            campus_id=campus_id,
            department_id=department_id,
            priority=priority,
        )
        for chunk_id, document_id, similarity, bias, coverage, rank, campus_id, department_id, priority in rows
    ]
