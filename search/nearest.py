"""The semantic leg: the nearest chunks, by whichever way finds them all at the least cost.

pgvector's HNSW index walks the whole corpus' graph and drops what a filter excludes; with a narrow filter it finds next
to nothing (DESIGN, section 3: recall 0.08 at 2 %). So few chunks are scanned exactly, many go through the index with an
iterative scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber
from pgvector.django import CosineDistance

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document

EXACT_UP_TO = 9000
"""Visible chunks up to which the exact scan, through the documents, costs no more than HNSW with its iterative scan,
and misses nothing (docs/decisions/0002-access-on-the-chunk.md)."""

CANDIDATES_BY_MEANING = 100
"""Chunks that the meaning proposes: enough for ten pages of ten hits, and for facets that mean something."""

CANDIDATES_A_LANGUAGE = 30
"""Chunks that the nearest of one language add; most are among the nearest of all when it is the query's own."""

SMALL_LANGUAGES_UP_TO = 1000
"""Chunks, in all, of the languages that are compared chunk by chunk beside an index scan: for a language of some tens
of chunks the index would walk half the corpus before it found its 30."""

EF_SEARCH = 200
"""HNSW's own candidate list: twice what is asked for keeps recall@100 near 1 where most chunks are visible."""


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


def survey_of(documents: QuerySet[Document]) -> Survey:
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


def by_meaning(chunks: QuerySet[Chunk], vector: Sequence[float], survey: Survey) -> list[QuerySet[Chunk]]:
    """The nearest chunks of all, and the nearest of each language.

    Embedding models put texts of the query's language nearest whatever they say; without the nearest of each language
    the right passage in another one would not even be a candidate.
    """
    if survey.exact:
        return [_nearest_each_language(chunks, vector, of_all=CANDIDATES_BY_MEANING)]
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
    return near.order_by(*([F("distance") + Value(0.0), "pk"] if exact else ["distance"]))[:CANDIDATES_BY_MEANING]


def _nearest_each_language(chunks: QuerySet[Chunk], vector: Sequence[float], *, of_all: int) -> QuerySet[Chunk]:
    """The nearest chunks of each language, and so many nearest of all, from one pass over these chunks."""
    order = [CosineDistance("embedding", vector), "pk"]
    placed = chunks.filter(embedding__isnull=False).annotate(
        order_of_all=Window(RowNumber(), order_by=order),
        order_in_language=Window(RowNumber(), partition_by="language", order_by=order),
    )
    return placed.filter(Q(order_of_all__lte=of_all) | Q(order_in_language__lte=CANDIDATES_A_LANGUAGE)).order_by()


def nearest_documents(document: Document, *, viewer: Viewer, limit: int) -> list[UUID]:
    """Other visible documents whose passages mean what this one's first passage means, nearest first."""
    visible = Chunk.objects.visible_to(viewer)
    first = visible.filter(document=document, embedding__isnull=False).order_by("position")
    others = visible.exclude(document=document).order_by()
    # In one transaction the column's vectors stay those of one model (vectorspace.hold).
    with transaction.atomic():
        survey = survey_of(Document.objects.visible_to(viewer))
        vector = first.values_list("embedding", flat=True).first()
        if vector is None:
            return []
        leg = _nearest(others, vector, exact=survey.exact)
        # The index scan may hand them over a little out of order.
        near = sorted((distance, str(pk)) for distance, pk in leg.values_list("distance", "document_id"))  # type: ignore[misc]
    return [UUID(pk) for pk in dict.fromkeys(pk for _, pk in near)][:limit]
