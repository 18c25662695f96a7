"""The semantic leg: the nearest chunks, by whichever way finds them all at the least cost (docs/decisions/0023).

pgvector's HNSW index walks the whole corpus' graph and drops what a filter excludes; with a narrow filter it finds next
to nothing, or walks for long (DESIGN, section 3: recall 0.08 at 2 %). So few chunks are compared one by one, starting
from their documents, and many are found through the index with an iterative scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Aggregate, BooleanField, F, Func, QuerySet, Value
from pgvector.django import CosineDistance, HalfVectorField

from accounts.clearance import Viewer
from ingestion.likeness import NEAR, likeness
from ingestion.models import Chunk, Document
from search import reach
from search.query import SearchQuery
from search.reach import Statement

EXACT_UP_TO = 15_000
"""Visible chunks up to which they are compared one by one: what that costs, HNSW costs as well where so few of 100,000
are left, and misses some (docs/decisions/0023)."""

SAMPLED = 64
SAMPLE = UUID("04000000-0000-0000-0000-000000000000")
"""Ids are random: one document of 64 has one below this. Of many visible documents those are counted, whatever else
there is and is hidden: the size of the whole corpus would betray itself by what is looked for."""

DOCUMENTS_UP_TO = 5000
"""Visible documents up to which there may be few enough chunks: so many are looked at to tell, and no more."""

MORE_THAN_COUNTED = 13 * DOCUMENTS_UP_TO // (10 * SAMPLED)
"""Sampled documents beyond which there are taken to be more than DOCUMENTS_UP_TO, without counting them. Where there
are just so many, the sample is as large once in a hundred times; and around there either way finds what is nearest."""

SAMPLE_TELLS = 50
"""Sampled documents from which their number tells, to a seventh, how many there are."""

CANDIDATES_BY_MEANING = 100
"""Chunks that the meaning proposes: enough for ten pages of ten hits, and for facets that mean something."""

CANDIDATES_A_LANGUAGE = 30
"""Chunks that the nearest of one language add; most are among the nearest of all when it is the query's own."""

ENOUGH_DOCUMENTS = 10
"""Fewer documents than these among a full list of candidates, and it is looked further afield: a page of hits is to be
full, even where a handbook of hundreds of chunks is nearest with all of them."""

FURTHER_AFIELD = 1000
"""Chunks that the index is then asked for."""

OF_A_DOCUMENT = 3
"""Chunks of each document that are then kept: as many passages as a hit shows."""

SMALL_LANGUAGES_UP_TO = 500
"""Chunks, in all, of the languages that are compared chunk by chunk beside an index scan: for a language of some tens
of chunks the index would walk half the corpus before it found its 30."""

EF_SEARCH = 800
"""HNSW's own candidate list. With 200 the walk sometimes never reached the theme that was asked for: recall@10 0.93 of
100,000 clustered chunks, 0.998 with 700, at 2 ms more (docs/decisions/0023)."""

EF_SEARCH_A_LANGUAGE = 100
"""The same for the nearest of one language, of which the best few matter."""

SCANNED = 20_000
"""Chunks, visible or not, that a walk looks at before it gives up: pgvector's own default."""

SCANNED_A_LANGUAGE = 1000
"""The same for the nearest of one language. Under a narrow filter they are then fewer than thirty; to look for all of
them took as long as everything else together, and ten do as well (docs/decisions/0023)."""

WORK_MEM = "16MB"
"""What a statement may keep in memory before it writes to disk, as in deploy/local/postgres.py: with PostgreSQL's own
default of 4 MB comparing 7,000 chunks took several times as long."""


@dataclass(frozen=True)
class Survey:
    """What decides how the nearest chunks are looked for: how many there are, of which languages, in which space.

    `few` are the visible documents, as an array in SQL's words, where few enough chunks are left to be compared one by
    one; None elsewhere. `visible_chunks` is exact then, and else an estimate from visible documents alone. The
    languages' sizes are counted over public chunks: they choose a way, and betray nothing by it. `answer` is what was
    asked along. `all_chunks` are those that the viewer sees without filters, counted or estimated in the same way.
    """

    visible_chunks: int
    languages: Mapping[str, int]
    space_key: str | None
    few: str | None = None
    answer: Any = None
    all_chunks: int = 0

    @property
    def small_languages(self) -> list[str]:
        """The smallest languages, as many as are compared chunk by chunk beside the index scan."""
        sizes = sorted((size, language) for language, size in self.languages.items())
        totals = accumulate(size for size, _ in sizes)
        return [language for (_, language), total in zip(sizes, totals, strict=True) if total <= SMALL_LANGUAGES_UP_TO]


def survey_of(viewer: Viewer, query: SearchQuery | None = None, *, along: Statement = ("NULL", ())) -> Survey:
    """Look whether few chunks are visible under the query's filters, and let HNSW go on until enough are found (in
    this transaction).

    At most DOCUMENTS_UP_TO documents are counted, as they are now: the rule is in the statement. `along` is any
    expression in SQL that is wanted as well. It looks at the table of spaces, and so the one that it finds live stays
    so until the transaction ends (vectorspace.hold). From here on tables are joined in the order in which they are
    written: that saves a third of the planning.
    """
    counts, params = _counts("seen", reach.documents(viewer, query), MORE_THAN_COUNTED)
    whole = "seen"
    if reach.filters_of(query):
        whole = "every"
        more, more_params = _counts(whole, reach.documents(viewer), SAMPLE_TELLS)
        counts, params = f"{counts}, {more}", [*params, *more_params]
    also, also_params = along
    sql = f"""
        WITH {counts}
        SELECT seen_told.chunks,
               CASE WHEN seen_told.chunks <= %s AND seen_told.all_counted
                    THEN COALESCE((SELECT array_agg(id)::text FROM seen), '{{}}') END,
               CASE WHEN {whole}_told.sampled_documents > {SAMPLE_TELLS} THEN {whole}_told.sampled_chunks
                    ELSE {whole}_told.chunks END,
               (SELECT COALESCE(json_object_agg(language, chunks), '{{}}') FROM ingestion_languagecentre
                WHERE language <> '' AND space_id = live.id),
               live.id || ' ' || live.digest,
               {also},
               set_config('hnsw.iterative_scan', 'relaxed_order', true),
               set_config('hnsw.ef_search', %s, true),
               set_config('work_mem', '{WORK_MEM}', true),
               set_config('join_collapse_limit', '1', true)
        FROM seen_told {"" if whole == "seen" else "CROSS JOIN every_told"}
        LEFT JOIN ingestion_vectorspace AS live
            ON live.state = 'live'
    """  # noqa: S608  # nosec B608  # a queryset's own SQL
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, EXACT_UP_TO, *also_params, str(EF_SEARCH)])
        chunks, few, all_chunks, languages, space_key, answer, *_ = cursor.fetchone()
    return Survey(int(chunks), languages, space_key, few, answer, int(all_chunks))


def _counts(name: str, documents: Statement, most_sampled: int) -> Statement:
    """CTEs that count these documents and their chunks: exactly where they are fewer than DOCUMENTS_UP_TO, and else (or
    where more than so many are in the sample, without counting) from the sample."""
    sql, params = documents
    return (
        f"""
        {name}_sampled AS MATERIALIZED (
            SELECT count(*) AS documents, {SAMPLED} * COALESCE(sum(chunk_count), 0) AS chunks
            FROM ({sql}) AS sampled WHERE id < '{SAMPLE}'),
        {name} AS MATERIALIZED (
            SELECT * FROM ({sql}) AS counted WHERE (SELECT documents FROM {name}_sampled) <= {most_sampled}
            LIMIT {DOCUMENTS_UP_TO}),
        {name}_told AS MATERIALIZED (
            SELECT all_counted, CASE WHEN all_counted THEN told.chunks ELSE {name}_sampled.chunks END AS chunks,
                   {name}_sampled.documents AS sampled_documents, {name}_sampled.chunks AS sampled_chunks
            FROM {name}_sampled
            CROSS JOIN (SELECT COALESCE(sum(chunk_count), 0) AS chunks, count(*) AS documents FROM {name}) AS told
            CROSS JOIN LATERAL (SELECT told.documents < {DOCUMENTS_UP_TO}
                                       AND {name}_sampled.documents <= {most_sampled}) AS way (all_counted))""",  # noqa: S608  # nosec B608  # a queryset's own SQL
        [*params, *params],
    )


def by_meaning(
    survey: Survey, *, exact: bool, languages: Sequence[str] = (), further: bool = False, deep: bool = False
) -> list[Statement]:
    """What finds the nearest chunks of all, and the nearest of each language, in SQL.

    Each statement gives ids, and whether they are among the nearest of all. It reads `visible` (id, document_id,
    language and embedding of what the viewer may see, under the query's filters), `asked` (`half`: the query's vector
    in the chunks' precision) and `aim` (of each language: where the walk for it begins).

    Embedding models put texts of the query's language nearest whatever they say; without the nearest of each language
    the right passage in another one would not even be a candidate. With `languages` the query asks for these only.
    `further` spreads the candidates over more documents; `deep` gives more of them, of which others then choose.
    """
    of_all = [CANDIDATES_BY_MEANING, OF_A_DOCUMENT, CANDIDATES_BY_MEANING] if further else [CANDIDATES_BY_MEANING]
    if exact:
        return [(_FEW.format(of_all=_SPREAD if further else _NEAREST), [*of_all, CANDIDATES_A_LANGUAGE])]
    small = survey.small_languages
    wanted = [language for language in survey.languages if not languages or language in languages]
    legs: list[Statement] = []
    if deep and not languages:
        legs.append((_THROUGH_INDEX, [str(EF_SEARCH), FURTHER_AFIELD]))
    elif further and not languages:
        legs.append((_THROUGH_INDEX_FURTHER, [str(EF_SEARCH), FURTHER_AFIELD, *of_all]))
    elif not languages:
        legs.append((_THROUGH_INDEX, [str(EF_SEARCH), *of_all]))
    # Asked for by name, languages are all that there is to find.
    depth, width, scanned = CANDIDATES_A_LANGUAGE, EF_SEARCH_A_LANGUAGE, SCANNED_A_LANGUAGE
    if languages:
        depth, width, scanned = CANDIDATES_BY_MEANING, EF_SEARCH, SCANNED
    if few := [language for language in wanted if language in small]:
        legs.append((_SMALL_LANGUAGES, [bool(languages), few, depth]))
    if many := [language for language in wanted if language not in small]:
        legs.append((_LARGE_LANGUAGES, [str(width), str(scanned), many, bool(languages), bool(languages), depth]))
    return legs


def is_enough(nearest: int, documents: int, *, exact: bool) -> bool:
    """Whether a page of hits can be made of so many that are among the nearest of all, or there is no more to find.

    `documents` is how many documents all candidates belong to.
    """
    if nearest < CANDIDATES_BY_MEANING:
        # Compared one by one, that is all there is; the index may have given up.
        return exact
    return documents >= ENOUGH_DOCUMENTS


_NEAREST = "SELECT id FROM near ORDER BY distance, id LIMIT %s"

_SPREAD = f"""
    ({_NEAREST})
    UNION
    (SELECT id
     FROM (SELECT id, distance, row_number() OVER (PARTITION BY document_id ORDER BY distance, id) AS place FROM near)
         AS placed
     WHERE place <= %s
     ORDER BY distance, id
     LIMIT %s)
"""  # noqa: S608  # nosec B608  # fixed

_FEW = """
    WITH near AS MATERIALIZED (
        SELECT visible.id, document_id, language, embedding <=> asked.half AS distance
        FROM visible CROSS JOIN asked
        WHERE embedding IS NOT NULL)
    (SELECT id, true FROM ({of_all}) AS of_all)
    UNION ALL
    SELECT of_one.id, false
    FROM (SELECT DISTINCT language FROM near) AS spoken
    CROSS JOIN LATERAL (
        SELECT id FROM near WHERE near.language = spoken.language
        ORDER BY distance, id LIMIT %s) AS of_one
"""
"""Every visible chunk is compared, once."""

_AIM = f"""(
    SELECT half
    FROM asked
    CROSS JOIN set_config('hnsw.ef_search', %s, true) AS width
    CROSS JOIN set_config('hnsw.max_scan_tuples', '{SCANNED}', true) AS length)
"""  # noqa: S608  # nosec B608  # fixed
"""Where the walk begins. What it is compared with is worked out right before the walk, and so its width and length are
set here: no two walks of a statement need have the same."""

_THROUGH_INDEX = f"""
    SELECT id, true
    FROM (SELECT id FROM visible WHERE embedding IS NOT NULL ORDER BY embedding <=> {_AIM} LIMIT %s) AS near
"""  # noqa: S608  # nosec B608  # fixed

_THROUGH_INDEX_FURTHER = f"""
    WITH near AS MATERIALIZED (
        SELECT id, document_id, embedding <=> {_AIM} AS distance FROM visible WHERE embedding IS NOT NULL
        ORDER BY distance LIMIT %s)
    SELECT id, true FROM ({_SPREAD}) AS of_all
"""  # noqa: S608  # nosec B608  # fixed

_SMALL_LANGUAGES = """
    SELECT near.id, %s::boolean
    FROM unnest(%s::text[]) AS chosen (language)
    CROSS JOIN LATERAL (
        SELECT id FROM visible WHERE visible.language = chosen.language AND embedding IS NOT NULL
        ORDER BY (embedding <=> (SELECT half FROM asked)) + 0.0, id LIMIT %s) AS near
"""
"""Ordered by an expression, which keeps the planner from the index of vectors, and by the key."""

_LARGE_LANGUAGES = """
    WITH chosen AS MATERIALIZED (
        SELECT language, half
        FROM aim
        CROSS JOIN set_config('hnsw.ef_search', %s, true) AS width
        CROSS JOIN set_config('hnsw.max_scan_tuples', %s, true) AS length
        WHERE language = ANY (%s) AND (%s OR NOT own))
    SELECT near.id, %s::boolean
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT id FROM visible WHERE visible.language = chosen.language AND embedding IS NOT NULL
        ORDER BY embedding <=> chosen.half LIMIT %s) AS near
"""
"""The walk begins where the question would lie if it were asked in that language: at its own place, all around are
chunks of its own language, and thirty of another lie beyond thousands of them. So those of its own language need no
walk of their own, unless they are all that is asked for."""


def nearest_documents(document: Document, *, viewer: Viewer, limit: int) -> list[UUID]:
    """Other visible documents with passages near to what this one means as a whole, nearest first.

    What is no more than this document again, an earlier version or nearly the same words, comes after all others.
    """
    visible = Chunk.objects.visible_to(viewer)
    own = visible.filter(document=document, embedding__isnull=False).order_by()
    others = visible.exclude(document=document).filter(embedding__isnull=False).order_by()
    middle = Aggregate(F("embedding"), function="AVG", output_field=HalfVectorField())
    # In one transaction the column's vectors stay those of one model (vectorspace.hold).
    with transaction.atomic():
        survey = survey_of(viewer)
        vector = own.aggregate(middle=middle)["middle"]
        if vector is None:
            return []
        near = others.annotate(distance=CosineDistance("embedding", vector))
        if survey.few is not None:
            near = near.filter(among(survey.few)).order_by(F("distance") + Value(0.0), "pk")
        else:
            near = near.order_by("distance")
        # The index scan may hand them over a little out of order.
        found = sorted(
            (distance, str(pk)) for distance, pk in near.values_list("distance", "document_id")[:CANDIDATES_BY_MEANING]
        )
        nearest = [UUID(pk) for pk in dict.fromkeys(pk for _, pk in found)]
        again = _nearly_the_same(document, Document.objects.visible_to(viewer).filter(pk__in=nearest))
    return sorted(nearest, key=again.__contains__)[:limit]


def _nearly_the_same(document: Document, others: QuerySet[Document]) -> set[UUID]:
    """Which of these documents are the same file, or nearly the same text, as this one."""
    mine = bytes(document.sketch or b"")
    return {
        pk
        for pk, sha256, sketch in others.order_by().values_list("pk", "sha256", "sketch")
        if sha256 == document.sha256 or likeness(mine, bytes(sketch or b"")) >= NEAR
    }


def among(documents: str) -> Func:
    """The condition that a chunk is of one of these documents (an array in SQL's words)."""
    return Func(
        F("document_id"),
        Value(documents),
        template="%(expressions)s::uuid[])",
        arg_joiner=" = ANY (",
        output_field=BooleanField(),
    )
