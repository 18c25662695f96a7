"""Which state of the corpus somebody is answered from: equal for two moments only if nothing they may see has changed.

Answers are kept under it (search.answers), so a change shows in the very next one (docs/decisions/0025).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.clearance import EVERYONE, Clearance, Viewer
from ingestion.models import CorpusChange, Document, SpaceState

CHANGES_KEPT = 500
"""Changes above which they are forgotten: all of them are read at each search, so many in 0.1 ms."""


@dataclass(frozen=True)
class CorpusVersion:
    """A state of the corpus as one viewer may see it, and the database's time when it was found in it.

    `good_until` is when the next publication window begins or ends, which changes answers though nothing is written.
    """

    mark: str
    at: datetime
    good_until: datetime | None


def version_for(viewer: Viewer) -> CorpusVersion:
    """The version of the corpus for this viewer now, and of the live vector space with it.

    Ask it before the answer, and through the same connection: then the answer is of this state or of a later one.
    """
    sql, params = _statement(viewer)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        count, tokens, space, at, begins, ends = cursor.fetchone()
    good_until = min((moment for moment in (begins, ends) if moment is not None), default=None)
    return CorpusVersion(f"{count} {tokens} {space}", at, good_until)


@lru_cache(maxsize=512)
def _statement(viewer: Viewer) -> tuple[str, Sequence[Any]]:
    """Put together once a viewer: it takes Django longer than the database takes to run it."""
    changes = CorpusChange.objects.met_by(viewer).order_by().values("token")
    served = Document.objects.met_by(viewer).filter(is_searchable=True)  # access: tells when, and not which
    windows = [
        served.filter(**{f"{edge}__gt": Now()}).order_by(edge).values(edge)[:1]
        for edge in ("visible_from", "visible_until")
    ]
    (of_changes, params), *of_windows = (one.query.sql_with_params() for one in (changes, *windows))
    (begins, begins_params), (ends, ends_params) = of_windows
    sql = f"""
        SELECT count(*), bit_xor(token),
               (SELECT id || ' ' || digest FROM ingestion_vectorspace WHERE state = %s),
               statement_timestamp(), ({begins}), ({ends})
        FROM ({of_changes}) AS change
    """  # noqa: S608  # nosec B608  # querysets' own SQL
    return sql, [SpaceState.LIVE, *begins_params, *ends_params, *params]


def prune() -> int:
    """Forget the changes where they have become many; how many they were.

    One takes the place of all, so that a version never comes back: not even that of before a change which is forgotten.
    """
    if CorpusChange.objects.count() <= CHANGES_KEPT:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM ingestion_corpuschange")
        forgotten: int = cursor.rowcount
        cursor.execute(
            "INSERT INTO ingestion_corpuschange (clearance, readers) VALUES (%s, %s)", [Clearance.PUBLIC, [EVERYONE]]
        )
    return forgotten
