"""What people thought of documents that they found: it orders equal hits.

One voice a person and document, the last one. It counts where at least PEOPLE have spoken, so that no score betrays
what one of them said; anonymous words do not count. What is said of a document moves only that document, so nobody
learns anything of documents that they may not see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from django.db import connection

from search.models import Verdict

PEOPLE = 5
"""How many must have spoken before it counts."""

DOUBT = 10
"""Undecided voices that are added to those counted: a few say less than many of the same mind."""

KEPT_SECONDS = 300.0
"""How long a process goes by what it has counted."""

_lock = threading.Lock()
_counted: tuple[float, Mapping[UUID, float]] = (-KEPT_SECONDS, MappingProxyType({}))


def approval() -> Mapping[UUID, float]:
    """For documents of which enough people spoke: helpful less unhelpful, as a share of all voices, -1 to 1.

    Counted at most every KEPT_SECONDS; while one thread counts, the others go by the last count.
    """
    global _counted
    if time.monotonic() - _counted[0] >= KEPT_SECONDS and _lock.acquire(blocking=False):
        try:
            _counted = (time.monotonic(), MappingProxyType(count()))
        finally:
            _lock.release()
    return _counted[1]


def count() -> dict[UUID, float]:
    """The same, counted now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT document_id, sum(CASE verdict WHEN %s THEN 1 ELSE -1 END)::float8 / (count(*) + %s)
            FROM (SELECT DISTINCT ON (document_id, user_id) document_id, verdict FROM search_feedback
                  WHERE user_id IS NOT NULL ORDER BY document_id, user_id, at DESC) AS voice
            GROUP BY document_id
            HAVING count(*) >= %s
            """,
            [Verdict.HELPFUL, DOUBT, PEOPLE],
        )
        return dict(cursor.fetchall())
