"""Changes, deletions and swaps in the trail, one after the other, each undone: which of them a proof does not find."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

SEED = 8
TRAIL = "search_searchevent"


@dataclass
class Tally:
    """How often the trail was tampered with, how often that was not found, and how often another link was named."""

    tried: int = 0
    missed: int = 0
    misnamed: int = 0


def tampered(times: int) -> dict[str, Tally]:
    """Tamper with the trail of searches so many times in each way, with the rights of its owner and the guards off."""
    from django.db import connection, transaction

    from accounts import chain
    from accounts.models import AuditSeal

    placed = dict(AuditSeal.objects.filter(chain=chain.SEARCHES).values_list("event", "position"))
    chosen = random.Random(SEED)  # noqa: S311  (a drill that can be repeated)
    events = sorted(placed, key=lambda event: placed[event] or 0)
    tallies = {way: Tally() for way in ("changed", "deleted", "swapped")}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in (TRAIL, "accounts_auditseal"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for way, tally in tallies.items():
            for _ in range(times):
                one, other = chosen.sample(events, 2)
                with transaction.atomic():
                    _tamper(cursor, way, one, other)
                    proof = chain.verify(chain.SEARCHES)
                    transaction.set_rollback(True)
                places = [placed[event] or 0 for event in ((one, other) if way == "swapped" else (one,))]
                tally.tried += 1
                tally.missed += proof.intact
                tally.misnamed += proof.position != min(places)
        transaction.set_rollback(True)
    return tallies


def _tamper(cursor: Any, way: str, one: Any, other: Any) -> None:
    if way == "changed":
        cursor.execute(f"UPDATE {TRAIL} SET query = query || '.' WHERE id = %s", [one])  # noqa: S608
    elif way == "deleted":
        cursor.execute(f"DELETE FROM {TRAIL} WHERE id = %s", [one])  # noqa: S608
    else:
        cursor.execute(
            f"UPDATE {TRAIL} one SET at = other.at, query = other.query, request_id = other.request_id"  # noqa: S608
            f" FROM {TRAIL} other WHERE (one.id, other.id) IN ((%(one)s, %(other)s), (%(other)s, %(one)s))",
            {"one": one, "other": other},
        )
