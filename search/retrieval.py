"""Candidates from the database: by meaning and by words, over what the viewer may see, in one round trip.

pgvector's HNSW index walks the whole corpus' graph and drops what a filter excludes; with a narrow filter it finds next
to nothing (DESIGN, section 3: recall 0.08 at 2 %). So few chunks are scanned exactly, many go through the index with an
iterative scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.search import SearchQuery as WordQuery
from django.contrib.postgres.search import SearchRank
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber
from pgvector import Vector
from pgvector.django import CosineDistance

from accounts.clearance import Viewer
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, searchable
from ingestion.models import Chunk, Document
from search.query import Mode, SearchQuery
from search.ranking import Candidate
from search.vectors import QueryVector

Narrowable = TypeVar("Narrowable", bound=QuerySet[Any])

EXACT_UP_TO = 9000
"""Visible chunks up to which the exact scan, through the documents, costs no more than HNSW with its iterative scan,
and misses nothing (docs/decisions/0002-access-on-the-chunk.md)."""

CANDIDATES_A_LEG = 100
"""Chunks that each leg proposes: enough for ten pages of ten hits, and for facets that mean something."""

CANDIDATES_A_LANGUAGE = 30
"""Chunks that the nearest of one language add; most are among the nearest of all when it is the query's own."""

SMALL_LANGUAGES_UP_TO = 1000
"""Chunks, in all, of the languages that are compared chunk by chunk beside an index scan: for a language of some tens
of chunks the index would walk half the corpus before it found its 30."""

EF_SEARCH = 200
"""HNSW's own candidate list: twice what is asked for keeps recall@100 near 1 where most chunks are visible."""


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


@dataclass(frozen=True)
class QueryWords:
    """A query's words as the index knows them: for each the forms it may stand in, and its rarity (idf)."""

    forms: tuple[str, ...]
    idf: tuple[float, ...]

    @property
    def any(self) -> str:
        """A tsquery that any of the words satisfies."""
        return " | ".join(self.forms)


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
        survey = _survey(documents) if vector is not None else None
        if vector is not None and survey is not None and survey.space_key != vector.space.key:
            raise SpaceChanged
        if survey and survey.exact:
            # The same chunks, reached through their documents: a fraction of the time where few are left (decision 2).
            chunks = visible.filter(document__in=documents.values("pk"))
        else:
            chunks = narrowed(visible, query, "document__")
        numbers = vector.numbers if vector is not None else None
        legs = _semantic(chunks, numbers, survey) if numbers is not None and survey else []
        if words.forms:
            legs.append(_lexical(chunks, words))
        return _candidates(_run(legs, words, numbers)) if legs else []


def read_words(text: str) -> QueryWords:
    """Cut a query into words: in their plain form, and in the stems of the institution's languages."""
    raw, plain = [], []
    for word in text.split():
        forms = searchable(word).split()
        # Parts of an identifier, and pairs of characters of scripts without spaces, are words of their own.
        raw += [word] if len(forms) < 2 else forms
        plain += [" ".join(forms)] if len(forms) < 2 else forms
    configs = [TEXT_SEARCH_CONFIGS.get(code, "simple") for code in settings.SEARCH_LANGUAGES]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM search_words(%s::text[], %s::text[], %s::regconfig[])", [raw, plain, configs])
        rows = cursor.fetchall()
    return QueryWords(tuple(forms for forms, _ in rows), tuple(idf for _, idf in rows))


def nearest_documents(document: Document, *, viewer: Viewer, limit: int) -> list[UUID]:
    """Other visible documents whose passages mean what this one's first passage means, nearest first."""
    visible = Chunk.objects.visible_to(viewer)
    first = visible.filter(document=document, embedding__isnull=False).order_by("position")
    others = visible.exclude(document=document).order_by()
    # In one transaction the column's vectors stay those of one model (vectorspace.hold).
    with transaction.atomic():
        survey = _survey(Document.objects.visible_to(viewer))
        vector = first.values_list("embedding", flat=True).first()
        if vector is None:
            return []
        leg = _nearest(others, vector, exact=survey.exact)
        # The index scan may hand them over a little out of order.
        near = sorted((distance, str(pk)) for distance, pk in leg.values_list("distance", "document_id"))  # type: ignore[misc]
    return [UUID(pk) for pk in dict.fromkeys(pk for _, pk in near)][:limit]


@dataclass(frozen=True)
class Survey:
    """What decides how the nearest chunks are looked for: how many there are, of which languages, in which space.

    The languages' sizes are counted over public chunks: they choose a way, and betray nothing by it.
    """

    visible_chunks: int
    languages: Mapping[str, int]
    space_key: str | None

    @property
    def exact(self) -> bool:
        """Whether few enough chunks are left to compare each of them."""
        return self.visible_chunks <= EXACT_UP_TO

    @property
    def small_languages(self) -> list[str]:
        """The smallest languages, as many as are compared chunk by chunk beside the index scan."""
        sizes = sorted((size, language) for language, size in self.languages.items())
        totals = accumulate(size for size, _ in sizes)
        return [language for (_, language), total in zip(sizes, totals, strict=True) if total <= SMALL_LANGUAGES_UP_TO]


def _survey(documents: QuerySet[Document]) -> Survey:
    """Count the documents' chunks, and let HNSW go on until enough visible chunks are found (in this transaction).

    It looks at the table of spaces, and so the one that it finds live stays so until the transaction ends
    (vectorspace.hold).
    """
    visible, params = documents.order_by().values("chunk_count").query.sql_with_params()
    sql = f"""
        SELECT (SELECT COALESCE(sum(chunk_count), 0) FROM ({visible}) AS visible),
               (SELECT COALESCE(json_object_agg(language, chunks), '{{}}') FROM ingestion_languagecentre
                WHERE language <> '' AND space_id = live.id),
               live.id || ' ' || live.digest,
               set_config('hnsw.iterative_scan', 'relaxed_order', true),
               set_config('hnsw.ef_search', %s, true)
        FROM (SELECT) AS one_row
        LEFT JOIN ingestion_vectorspace AS live
            ON live.state = 'live'
    """  # noqa: S608  # nosec B608  # a queryset's own SQL
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, str(EF_SEARCH)])
        count, languages, space_key, *_ = cursor.fetchone()
    return Survey(int(count), languages, space_key)


def _semantic(chunks: QuerySet[Chunk], vector: Sequence[float], survey: Survey) -> list[QuerySet[Chunk]]:
    """The nearest chunks of all, and the nearest of each language.

    Embedding models put texts of the query's language nearest whatever they say; without the nearest of each language
    the right passage in another one would not even be a candidate.
    """
    if survey.exact:
        return [_nearest_each_language(chunks, vector, of_all=CANDIDATES_A_LEG)]
    small = survey.small_languages
    legs = [_nearest(chunks, vector, exact=False)]
    if small:
        legs.append(_nearest_each_language(chunks.filter(language__in=small), vector, of_all=0))
    large = (chunks.filter(language=language) for language in survey.languages if language not in small)
    return legs + [_nearest(one, vector, exact=False)[:CANDIDATES_A_LANGUAGE] for one in large]


def _nearest(chunks: QuerySet[Chunk], vector: Sequence[float], *, exact: bool) -> QuerySet[Chunk]:
    """The nearest chunks, in order (nearly so through the index), with their `distance`."""
    near = chunks.filter(embedding__isnull=False).annotate(distance=CosineDistance("embedding", vector))
    # Ordering by an expression keeps the planner from the index; by the key, that equal ones always come alike.
    return near.order_by(*([F("distance") + Value(0.0), "pk"] if exact else ["distance"]))[:CANDIDATES_A_LEG]


def _nearest_each_language(chunks: QuerySet[Chunk], vector: Sequence[float], *, of_all: int) -> QuerySet[Chunk]:
    """The nearest chunks of each language, and so many nearest of all, from one pass over these chunks."""
    order = [CosineDistance("embedding", vector), "pk"]
    placed = chunks.filter(embedding__isnull=False).annotate(
        order_of_all=Window(RowNumber(), order_by=order),
        order_in_language=Window(RowNumber(), partition_by="language", order_by=order),
    )
    return placed.filter(Q(order_of_all__lte=of_all) | Q(order_in_language__lte=CANDIDATES_A_LANGUAGE)).order_by()


def _lexical(chunks: QuerySet[Chunk], words: QueryWords) -> QuerySet[Chunk]:
    """The chunks in which the words weigh most: `ts_rank`, which measured far better than `ts_rank_cd` (DESIGN,
    section 3); a longer chunk needs more (normalisation 1)."""
    query = WordQuery(words.any, search_type="raw", config="simple")
    rank = SearchRank(F("lexemes"), query, normalization=Value(1))
    return chunks.filter(lexemes=query).order_by(rank.desc(), "pk")[:CANDIDATES_A_LEG]


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
