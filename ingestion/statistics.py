"""What scores know of the corpus as a whole: the centre of each language, and how rare each word is.

All of it is counted over public chunks alone (clearance 1, whole institution, visible now): a statistic over hidden
documents would betray them. It is made anew when something has changed, and is a minute old at most. Each vector space
has centres of its own; those of a second one are counted before it is switched to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import BigIntegerField, Count, F, Func, Max, Sum, TextField, Value
from django.db.models.functions import Cast, Concat

from accounts.clearance import PUBLIC_VIEWER
from ingestion import vectorspace
from ingestion.models import Chunk, Document, LanguageCentre, SpaceState, VectorSpace

SHRINKAGE = 20
"""Chunks' weight of the overall centre in a language's own: the mean of a handful of chunks is their topic, not their
language."""

SMALLEST_CHANGE = 0.005
"""Of an idf, that is written. Every document changes the number of all, and so every idf, by next to nothing; most rows
stay as they are for days."""

_LOCK = 0x436C6F69
"""Key of the advisory lock that keeps two workers from counting at once ("Cloi")."""


WORDS = """
    SELECT word FROM ts_stat('SELECT lexemes FROM ingestion_chunk WHERE id > ' || %(after)s)
    WHERE char_length(word) BETWEEN %(least)s AND %(most)s AND word !~ '[0-9]'
"""
"""The words of so many letters in all chunks after one, whoever may read those: nobody is to be shown one of them that
does not stand in what they may see."""


def refresh() -> bool:
    """Count anew if the corpus has changed since; whether that was done. Another worker's count is left to finish."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return False
        space = vectorspace.hold()
        if space.id is None or not _changed(space.id):
            return False
        public, params = _public_chunks()
        _count_centres(cursor, space.id, "embedding", public, params)
        _count_terms(cursor, public, params)
    return True


def last_chunk() -> int:
    """The id of the last chunk that was written, 0 where there is none: how far the words were read."""
    return Chunk.objects.aggregate(last=Max("pk"))["last"] or 0


def count_centres_of_second(space: VectorSpace) -> None:
    """Count the centres of the space that is to become the live one, so that it has them from its first search on."""
    with transaction.atomic(), connection.cursor() as cursor:
        vectorspace.hold()
        if VectorSpace.objects.exclude(state=SpaceState.LIVE).filter(pk=space.pk).exists():
            _count_centres(cursor, space.pk, "second_embedding", *_public_chunks())


def _public_chunks() -> tuple[str, tuple[Any, ...]]:
    """What selects the ids of the chunks that everybody may see."""
    sql, params = Chunk.objects.visible_to(PUBLIC_VIEWER).values("pk").order_by().query.sql_with_params()
    return sql, tuple(params)


def _changed(space_id: int) -> bool:
    """Whether the public documents are others than at the last count, or were touched; notes that they are counted.

    The sum of a hash of each tells it, not the newest date: of two that are written at once the older date may be
    committed last, and a document that is deleted, reclassified or out of date leaves no date at all.
    """
    touched = Concat(Cast("pk", TextField()), Cast("updated_at", TextField()), output_field=TextField())
    hashed = Func(touched, Value(0), function="hashtextextended", output_field=BigIntegerField())
    public = Document.objects.visible_to(PUBLIC_VIEWER).order_by()
    found = public.annotate(hashed=hashed).aggregate(sum=Cast(Sum(F("hashed")), TextField()), count=Count("pk"))
    state = f"{found['count']} {found['sum']}"
    return bool(VectorSpace.objects.filter(pk=space_id).exclude(counted=state).update(counted=state))


def _count_centres(cursor: CursorWrapper, space_id: int, column: str, public: str, params: Sequence[Any]) -> None:
    """One centre for each language and one for all, the small ones drawn towards the latter.

    `column` holds the space's vectors, until this transaction ends.
    """
    cursor.execute(
        f"SELECT language, avg({column})::real[], count(*) FROM ingestion_chunk "  # noqa: S608  # nosec B608  # a queryset's SQL
        f"WHERE id IN ({public}) AND {column} IS NOT NULL GROUP BY language ORDER BY language",
        params,
    )
    means = {language: (np.array(mean), count) for language, mean, count in cursor.fetchall()}
    LanguageCentre.objects.filter(space=space_id).delete()
    if not means:
        return
    total = sum(count for _, count in means.values())
    overall = sum(mean * count for mean, count in means.values()) / total
    centres = [LanguageCentre(space_id=space_id, language="", vector=overall.tolist(), chunks=total)]
    for language, (mean, count) in means.items():
        if language:
            drawn = (mean * count + overall * SHRINKAGE) / (count + SHRINKAGE)
            drawn_to = drawn.tolist()
            centres.append(LanguageCentre(space_id=space_id, language=language, vector=drawn_to, chunks=count))
    LanguageCentre.objects.bulk_create(centres)


def _count_terms(cursor: CursorWrapper, public: str, params: Sequence[Any]) -> None:
    """The rarity of every word that stands in at least two public chunks; a word that is not here is rarer still."""
    chunks = connection.ops.compose_sql(  # type: ignore[attr-defined]
        f"SELECT lexemes FROM ingestion_chunk WHERE id IN ({public})",  # noqa: S608  # nosec B608  # a queryset's own SQL
        params,
    )
    cursor.execute(
        "WITH counted AS MATERIALIZED ("  # noqa: S608  # nosec B608  # a queryset's own SQL
        "SELECT word, ln(1 + (total.n - ndoc + 0.5) / (ndoc + 0.5)) AS idf "
        "FROM ts_stat(%s), (SELECT count(*) AS n FROM ingestion_chunk "
        f"WHERE id IN ({public})) AS total WHERE ndoc > 1), "
        "gone AS (DELETE FROM ingestion_term AS term "
        "WHERE NOT EXISTS (SELECT FROM counted WHERE counted.word = term.word)) "
        "INSERT INTO ingestion_term AS term (word, idf) SELECT word, idf FROM counted "
        "ON CONFLICT (word) DO UPDATE SET idf = EXCLUDED.idf WHERE abs(term.idf - EXCLUDED.idf) > %s",
        [chunks, *params, SMALLEST_CHANGE],
    )
