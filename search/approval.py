"""What people thought of documents that they found, and how many opened them: it orders equal hits.

One voice a person and document, the last one; who opens a document often opens it once. Either counts where at least
PEOPLE did it, so that no score betrays what one of them did; nobody counts who did not sign in, or looked as somebody
else. What is said of a document moves only that document, and is compared with no other, so nobody learns anything of
documents that they may not see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from accounts.audit import READINGS
from search.models import Popularity, Verdict

PEOPLE = 5
"""How many must have spoken, or opened it, before it counts."""

DOUBT = 10
"""Undecided voices that are added to those counted: a few say less than many of the same mind."""

OPENED = 0.5
"""What being opened counts at most, against 1 for what everybody calls helpful: who opens a document does not know yet
whether it helps, and what stands first is opened most."""

MANY = 1000
"""People who open a document, from which on more make no difference. The hundredth says less than the tenth."""

OPENED_DAYS = 180
"""For how long an opening counts: about a semester."""

KEPT_SECONDS = 300.0
"""How long a process goes by what it has read."""

_lock = threading.Lock()
_read: tuple[float, Mapping[UUID, float]] = (-KEPT_SECONDS, MappingProxyType({}))


def approval() -> Mapping[UUID, float]:
    """How popular documents are, -1 to 1, as a worker last counted it; those without a number are as usual.

    Read at most every KEPT_SECONDS; while one thread reads, the others go by what was read before.
    """
    global _read
    if time.monotonic() - _read[0] >= KEPT_SECONDS and _lock.acquire(blocking=False):
        try:
            known = dict(Popularity.objects.values_list("document_id", "value"))  # access: moves that document alone
            _read = (time.monotonic(), MappingProxyType(known))
        finally:
            _lock.release()
    return _read[1]


def refresh() -> int:
    """Count anew (on beat); of how many documents something is known. Nothing where the boost is switched off."""
    if not settings.SEARCH_BOOSTS.popularity:
        return 0
    counted = count()
    with transaction.atomic():
        Popularity.objects.exclude(pk__in=list(counted)).delete()
        Popularity.objects.bulk_create(
            [Popularity(document_id=pk, value=value) for pk, value in counted.items()],
            update_conflicts=True,
            unique_fields=["document_id"],
            update_fields=["value"],
        )
    return len(counted)


def count() -> dict[UUID, float]:
    """Helpful less unhelpful, as a share of all voices, and by how many it was opened; together -1 to 1."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH voice AS (
                SELECT document_id, sum(CASE verdict WHEN %(helpful)s THEN 1 ELSE -1 END)::float8
                                    / (count(*) + %(doubt)s) AS approval
                FROM (SELECT DISTINCT ON (document_id, user_id) document_id, verdict FROM search_feedback
                      WHERE user_id IS NOT NULL ORDER BY document_id, user_id, at DESC) AS last
                GROUP BY document_id
                HAVING count(*) >= %(people)s
            ), opened AS (
                SELECT (details ->> 'document')::uuid AS document_id,
                       %(opened)s * LEAST(1, ln(1 + count(DISTINCT actor_id)) / ln(1 + %(many)s)) AS interest
                FROM accounts_auditevent
                WHERE action = ANY (%(readings)s) AND actor_id IS NOT NULL AND seen_as = ''
                    AND at > now() - make_interval(days => %(days)s)
                GROUP BY 1
                HAVING count(DISTINCT actor_id) >= %(people)s
            )
            SELECT document_id, LEAST(1, COALESCE(approval, 0) + COALESCE(interest, 0))::float8
            FROM voice FULL JOIN opened USING (document_id)
            """,
            {
                "helpful": Verdict.HELPFUL, "doubt": DOUBT, "people": PEOPLE, "opened": OPENED, "many": MANY,
                "readings": sorted(READINGS), "days": OPENED_DAYS,
            },
        )  # fmt: skip
        return dict(cursor.fetchall())
