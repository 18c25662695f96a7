"""Candidates from the database: by meaning and by words, over what the viewer may see, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.clearance import Viewer
from ingestion.models import Chunk
from search import reach
from search.curation import MOST_PINNED, curated_sql, read_curated
from search.metrics import SCANS
from search.nearest import Survey, by_meaning, is_enough, survey_of
from search.page import HitDocument
from search.query import Mode, SearchQuery
from search.ranking import Candidate
from search.reach import Statement
from search.vectors import QueryVector
from search.words import CANDIDATES_BY_WORDS, Proposal, QueryWords, asked_sql, by_words, words_of


class SpaceChanged(Exception):
    """The query was embedded with a model that is not the live one any more: embed it anew, and ask again."""


@dataclass(frozen=True)
class Found:
    """The chunks that the legs propose, and what a hit shows of their documents.

    `proposal` is what chunks had to satisfy to be found by their words, None where there is no more to be found by it;
    `words_exhausted` says whether all that do are among the candidates. `pinned` are the documents that librarians put
    first, and `synonyms` what was looked for besides (search.curation).
    """

    candidates: Sequence[Candidate] = ()
    shown: Mapping[UUID, HitDocument] = field(default_factory=dict)
    words: QueryWords = field(default_factory=QueryWords)
    proposal: Proposal | None = None
    words_exhausted: bool = True
    pinned: tuple[UUID, ...] = ()
    synonyms: tuple[str, ...] = ()


class _Row(NamedTuple):
    """What the statement says of a proposed chunk: `near` where it is among the nearest of all, `by_word` where words
    proposed it."""

    chunk_id: int
    near: bool
    by_word: bool
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
    with transaction.atomic():
        scored = query.mode is not Mode.SEMANTIC
        survey = survey_of(viewer, query, along=curated_sql(query))
        curated = read_curated(survey.answer, query)
        # By meaning alone no passage is scored by its words, but a mistyped one is told all the same.
        words = curated.words if scored else replace(curated.words, words=())
        if vector is not None and survey.space_key != vector.space.key:
            raise SpaceChanged
        # The filters leave the match as it is: what they narrow is what was found without them.
        proposal = words.proposal(survey.all_chunks, alone=vector is None) if scored else None
        chosen = _Chosen.of(query, viewer, survey, words)
        by_word = [by_words(words, proposal, marked=not chosen.afterwards)] if proposal else []
        pinned = [_beginnings(curated.pinned, vector)] if curated.pinned else []

        def ask(exact: bool, *, further: bool) -> list[_Row]:
            near: list[Statement] = []
            if vector:
                near = by_meaning(
                    survey, exact=exact, languages=query.languages, further=further, deep=bool(chosen.afterwards)
                )
            return _run(chosen, near, by_word, words, vector.numbers if vector else None, pinned)

        rows = ask(chosen.exact, further=False)
        if vector:
            SCANS.labels("exact" if chosen.exact else "index").inc()
        if vector and not chosen.afterwards and not _is_enough(rows, chosen.exact):
            rows = ask(chosen.exact, further=True)
            if not chosen.exact and not _is_enough(rows, exact=False):
                rows = ask(True, further=True)
                SCANS.labels("exact_after_index").inc()
    if chosen.afterwards:
        # There may be more, which nobody looked for: what was found is all that is told of.
        proposal = None
    exhausted = proposal is None or (not proposal.newest and sum(row.by_word for row in rows) < CANDIDATES_BY_WORDS)
    shown = _Shown(rows)
    first = tuple(pk for pk in curated.pinned if pk in shown)[:MOST_PINNED]
    return Found(_candidates(rows), shown, curated.words, proposal, exhausted, first, curated.synonyms)


def _beginnings(documents: Sequence[UUID], vector: QueryVector | None) -> Statement:
    """The nearest chunk of each of these documents, as far as it is visible; without a vector the first."""
    order = "embedding <=> (SELECT half FROM asked)" if vector else "id"
    return (
        f"SELECT DISTINCT ON (document_id) id FROM visible WHERE document_id = ANY (%s) ORDER BY document_id, {order}",  # noqa: S608  # nosec B608  # our own words
        [list(documents)],
    )


def by_both_ways(query: SearchQuery, *, viewer: Viewer, vector: QueryVector) -> tuple[list[float], list[float]] | None:
    """How similar the chunks are that the index finds for this search, and those that there are; the nearest first.

    None where the index is not what such a search looks through. Raises SpaceChanged as `candidates` does. It compares
    every visible chunk, and is for measuring (search.recall).
    """
    with transaction.atomic():
        survey = survey_of(viewer, query, along=asked_sql(query.text, scored=False))
        if survey.space_key != vector.space.key:
            raise SpaceChanged
        chosen = _Chosen.of(query, viewer, survey, words_of(survey.answer, query.text))
        if chosen.exact or chosen.afterwards:
            return None

        def ask(exact: bool) -> list[float]:
            near = by_meaning(survey, exact=exact, languages=query.languages)
            rows = _run(chosen, near, [], QueryWords(), vector.numbers)
            return sorted((row.similarity for row in rows if row.near and row.similarity is not None), reverse=True)

        return ask(False), ask(True)


def passages(chunk_ids: Sequence[int], viewer: Viewer) -> list[tuple[int, int, str, str]]:
    """Id, page, section and text of those of these chunks that the viewer (still) sees."""
    if not chunk_ids:
        return []
    sql, params = reach.passages(viewer)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({sql}) AS seen WHERE id = ANY(%s)", [*params, list(chunk_ids)])  # noqa: S608  # nosec B608  # a queryset's own SQL
        return list(cursor.fetchall())


def of_chunks(
    chosen: QuerySet[Chunk], visible: QuerySet[Chunk], words: QueryWords, vector: QueryVector | None
) -> Found:
    """These of the visible chunks as candidates, with what a hit shows: what a list by something else is made of."""
    own = visible.values(*reach.CHUNK_COLUMNS).query.sql_with_params()
    sql, params = chosen.values("pk").query.sql_with_params()
    rows = _run(_Chosen(*own), [], [(sql, params)], words, vector.numbers if vector else None)
    return Found(_candidates(rows), _Shown(rows), words)


def _is_enough(rows: Sequence[_Row], exact: bool) -> bool:
    return is_enough(sum(row.near for row in rows), len({row.document_id.int for row in rows}), exact=exact)


@dataclass(frozen=True)
class _Chosen:
    """The chunks that the legs choose from, as SQL, and how: `exact`, where each may be compared.

    What a query's marks demand is looked for in the index of words, before anything else. Where that would be found
    nearly everywhere, it is looked at `afterwards`, in what the legs propose.
    """

    sql: str
    params: Sequence[Any]
    exact: bool = False
    refused: Statement | None = None
    afterwards: Statement | None = None

    @classmethod
    def of(cls, query: SearchQuery, viewer: Viewer, survey: Survey, words: QueryWords) -> _Chosen:
        """What viewer, filters and marks leave."""
        own, own_params = reach.chunks(viewer)
        few: list[Any] = []
        conditions, refused = [], None
        if survey.few is None:
            sql, params = reach.chunks(viewer, query)
            if words.asks_too_many(survey.visible_chunks):
                return cls(sql, params, afterwards=_as_demanded(words, reach.chunks(viewer)))
        else:
            # Of few documents the ids are known: the same chunks at a fraction of the time (docs/decisions/0023).
            sql, params = own, own_params
            conditions.append("document_id = ANY (%s::uuid[])")
            few = [survey.few]
        params = [*params, *few]
        if words.required:
            conditions.append("lexemes @@ to_tsquery('simple', %s)")
            params.append(words.required)
        if words.excluded:
            among = "AND document_id = ANY (%s::uuid[])" if few else ""
            refused = (
                f"SELECT DISTINCT document_id FROM ({own}) AS other "  # noqa: S608  # nosec B608  # a queryset's own SQL
                f"WHERE lexemes @@ to_tsquery('simple', %s) {among}",
                [*own_params, words.excluded, *few],
            )
            conditions.append("document_id NOT IN (SELECT document_id FROM refused)")
        if conditions:
            sql = f"SELECT * FROM ({sql}) AS permitted WHERE {' AND '.join(conditions)}"  # noqa: S608  # nosec B608  # a queryset's own SQL
        # What holds words that are required is found by their index, and compared one by one.
        return cls(sql, params, exact=bool(few or words.required), refused=refused)


def _as_demanded(words: QueryWords, own: Statement) -> Statement:
    """What a query's marks demand, as a condition of `chunk`; `own` are all chunks that the viewer sees."""
    sql, own_params = own
    conditions, params = [], list[Any]()
    if words.required:
        conditions.append("ts_match_vq(chunk.lexemes, to_tsquery('simple', %s))")
        params.append(words.required)
    if words.excluded:
        # One document after the other, through the key: not all that there is at once.
        conditions.append(
            f"NOT (SELECT bool_or(ts_match_vq(lexemes, to_tsquery('simple', %s))) FROM ({sql}) AS other "  # noqa: S608  # nosec B608  # a queryset's own SQL
            "WHERE other.document_id = chunk.document_id)"
        )
        params += [words.excluded, *own_params]
    return " AND ".join(conditions), params


def _run(
    chosen: _Chosen,
    near: Sequence[Statement],
    by_word: Sequence[Statement],
    words: QueryWords,
    vector: Sequence[float] | None,
    pinned: Sequence[Statement] = (),
) -> list[_Row]:
    """The union of the legs, with what ranking and a hit need of each chunk: one statement, one snapshot."""
    legs = [(f"SELECT id, near, false FROM ({sql}) AS leg (id, near)", params) for sql, params in near]  # noqa: S608  # nosec B608  # our own legs
    legs += [(f"SELECT id, false, true FROM ({sql}) AS leg (id)", params) for sql, params in by_word]  # noqa: S608  # nosec B608  # our own legs
    legs += [(f"SELECT id, false, false FROM ({sql}) AS leg (id)", params) for sql, params in pinned]  # noqa: S608  # nosec B608  # our own legs
    if not legs:
        return []
    refused, refused_params = chosen.refused or ("", ())
    demanded, demanded_params = chosen.afterwards or ("", ())
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
            SELECT centre.language, centre.language = own.language AS own,
                   (asked.vector - own.vector + centre.vector)::halfvec AS half
            FROM centre
            CROSS JOIN asked
            CROSS JOIN (SELECT language, vector FROM centre WHERE language <> '' ORDER BY similarity DESC LIMIT 1)
                AS own),
        word AS MATERIALIZED (SELECT * FROM unnest(%s::sparsevec[], %s::float8[]) AS word (forms, idf)),
        {f"refused AS MATERIALIZED ({refused})," if refused else ""}
        visible AS NOT MATERIALIZED ({chosen.sql}),
        proposed (id, near, by_word) AS (
            SELECT id, bool_or(near), bool_or(by_word)
            FROM ({" UNION ALL ".join(f"({leg})" for leg, _ in legs)}) AS leg (id, near, by_word)
            GROUP BY id)
        SELECT chunk.id, proposed.near, proposed.by_word, 1 - (chunk.embedding <=> asked.half),
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
        {f"WHERE {demanded}" if demanded else ""}
    """  # noqa: S608  # nosec B608  # every value is bound  # access: joins what the legs, which asked, propose
    asked = _as_text(len(vector)) % tuple(vector) if vector is not None else None
    params: list[Any] = [asked, words.vector, words.one_hot, list(words.idf), *refused_params, *chosen.params]
    params += [one for _, leg_params in legs for one in leg_params]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, *demanded_params])
        return [_Row._make(row) for row in cursor.fetchall()]


@lru_cache(maxsize=8)
def _as_text(dimensions: int) -> str:
    """What writes a vector of single precision as pgvector reads it, to the last bit."""
    return f"[{','.join(['%.9g'] * dimensions)}]"


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


class _Shown(Mapping[UUID, HitDocument]):
    """What a hit shows, by document: made of the rows as it is asked for, as a page shows ten of some two hundred."""

    def __init__(self, rows: Iterable[_Row]) -> None:
        self._rows = {row.document_id: row for row in rows}

    def __getitem__(self, pk: UUID) -> HitDocument:
        row = self._rows[pk]
        return HitDocument.of(
            pk, row.title, row.file_name, row.department, row.campus, row.doc_type, row.doc_type_name, row.clearance,
            row.language, row.priority, row.last_reviewed,
        )  # fmt: skip

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
