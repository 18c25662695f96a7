"""The chains that show the trail unchanged: sealing, proving, purging.

There are two chains, one of acts and one of searches. The database makes an event's digest as it is written, and this
gives it its place (accounts/migrations/0003). Until then, which is some 15 seconds where beat runs, a change of an
event is found like any other; an event that somebody removes along with its seal is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import QuerySet

from accounts.models import AuditChain, AuditEvent, AuditPurge

ACTS, SEARCHES = "acts", "searches"
CHAINS = (ACTS, SEARCHES)

RETENTION, ERASURE = "retention", "erasure"
"""Why something was taken out of a chain."""

PURGED = "audit_purged"
"""The act that tells of it."""

AT_ONCE = 5000
"""Events that one transaction seals or purges."""

EVENTS = {ACTS: ("accounts_auditevent", "event_id"), SEARCHES: ("search_searchevent", "id")}
"""Where the events of a chain are, and by what a seal names them."""

SEALS = """
    SELECT seal.position, seal.event, seal.digest, seal.link, seal.erased_by_id,
           CASE WHEN told.{key} IS NOT NULL THEN audit_form(told) END
    FROM accounts_auditseal seal LEFT JOIN {events} told ON told.{key} = seal.event
    WHERE seal.chain = %s AND seal.position IS NOT NULL ORDER BY seal.position
"""

LOOSE = """
    SELECT coalesce(seal.event, told.{key}), seal.event IS NULL, told.{key} IS NULL
    FROM {events} told FULL JOIN (SELECT * FROM accounts_auditseal WHERE chain = %s) seal ON told.{key} = seal.event
    WHERE seal.event IS NULL
       OR seal.position IS NULL AND (told.{key} IS NULL OR audit_digest(audit_form(told)) <> seal.digest)
    ORDER BY 1 LIMIT 1
"""

NO_LINK = bytes(32)
"""What the first link goes on from."""


@dataclass(frozen=True)
class Proof:
    """What was found of one chain. `broken` says what is wrong first, at `position` where it has one; empty: intact."""

    chain: str
    checked: int
    position: int | None = None
    event: str = ""
    broken: str = ""

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.broken

    def __str__(self) -> str:
        if self.intact:
            return f"{self.chain}: intact, {self.checked} events."
        place = f" at position {self.position}" if self.position is not None else ""
        return f"{self.chain}: BROKEN{place}{f', event {self.event}' if self.event else ''}: {self.broken}"


def seal() -> int:
    """Give all events that wait their places in the chains; how many they were. One process at a time does."""
    sealed = 0
    for chain in CHAINS:
        while count := _ask("SELECT audit_seal(%s, %s)", [chain, AT_ONCE]):
            sealed += count
    return sealed


def purge(chain: str, before: datetime) -> int:
    """Take events older than this from the beginning of a chain, with proof of what went; how many.

    They go in the order of the chain: what was written late waits for what stands before it.
    """
    gone = 0
    while (taken := _ask("SELECT audit_purge(%s, %s, %s)", [chain, before, AT_ONCE])) is not None:
        gone += AuditPurge.objects.using(DEFAULT_DB_ALIAS).get(pk=taken).count
    return gone


def erase(chain: str, person: int) -> int:
    """Take out of a chain what goes with a person, with proof of what went; how many events."""
    taken = _ask("SELECT audit_erase(%s, %s)", [chain, person])
    return 0 if taken is None else AuditPurge.objects.using(DEFAULT_DB_ALIAS).get(pk=taken).count


def _ask(statement: str, values: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def verify(chain: str) -> Proof:
    """Follow a chain from its beginning to its end, and every event to its seal; what is wrong first, if anything is.

    Reads one snapshot of it all. Seals are followed in their order, so that what is named is the first broken link.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _follow(chain)


def _follow(chain: str) -> Proof:
    held = AuditChain.objects.using(DEFAULT_DB_ALIAS).filter(pk=chain).first()
    position, link = (held.tail_position, bytes(held.tail_link)) if held else (0, NO_LINK)
    last = taken(chain, RETENTION).last()
    if (position, link) != ((last.last_position, bytes(last.link or b"")) if last else (0, NO_LINK)):
        return Proof(chain, 0, position, broken="it does not begin where the last purge ended")
    checked = 0
    erased: dict[int, tuple[int, Any]] = {}
    for place, event, digest, kept_link, erased_by, form in _seals(chain):
        if place != position + 1:
            return Proof(chain, checked, position + 1, broken="its seal is missing")
        position, link = place, _next_link(link, place, digest)
        if link != kept_link:
            return Proof(chain, checked, position, str(event), "its link does not follow from the one before")
        if erased_by is not None:
            count, digests = erased.setdefault(erased_by, (0, hashlib.sha256()))
            digests.update(digest)
            erased[erased_by] = (count + 1, digests)
        if form is None and erased_by is None:
            return Proof(chain, checked, position, str(event), "the event is gone")
        if form is not None and hashlib.sha256(form.encode()).digest() != digest:
            return Proof(chain, checked, position, str(event), "the event was changed")
        checked += 1
    if held and (held.head_position, bytes(held.head_link)) != (position, link):
        return Proof(chain, checked, position + 1, broken=f"it ends here, and should at {held.head_position}")
    return _loose(chain, checked) or _purges(chain, checked, erased) or Proof(chain, checked)


def taken(chain: str, reason: str) -> QuerySet[AuditPurge]:
    """What was taken out of a chain for this reason, in its order."""
    return AuditPurge.objects.using(DEFAULT_DB_ALIAS).filter(chain=chain, reason=reason).order_by("pk")


def _next_link(link: bytes, position: int, digest: bytes) -> bytes:
    return hashlib.sha256(link + position.to_bytes(8, "big") + digest).digest()


def _seals(chain: str) -> Iterator[tuple[int, Any, bytes, bytes, int | None, str | None]]:
    """Position, event, digest, link, purge that erased it, and the form of the event that is there; in order."""
    events, key = EVENTS[chain]
    with connection.chunked_cursor() as cursor:
        cursor.execute(SEALS.format(events=events, key=key), [chain])
        for position, event, digest, link, erased_by, form in cursor:
            yield position, event, bytes(digest), bytes(link), erased_by, form


def _loose(chain: str, checked: int) -> Proof | None:
    """What is wrong with events that have no place yet, and events without a seal."""
    events, key = EVENTS[chain]
    with connection.cursor() as cursor:
        cursor.execute(LOOSE.format(events=events, key=key), [chain])
        found = cursor.fetchone()
    if found is None:
        return None
    event, unsealed, gone = found
    wrong = "it has no seal" if unsealed else "the event is gone" if gone else "the event was changed"
    return Proof(chain, checked, None, str(event), wrong)


def _purges(chain: str, checked: int, erased: dict[int, tuple[int, Any]]) -> Proof | None:
    """What is wrong with what was taken out: each purge goes on from the one before, an erasure tells exactly what it
    took, and for each there is an act, as long as acts of that time are kept."""
    expected = 1
    for purge in taken(chain, RETENTION):
        if purge.first_position != expected:
            return Proof(chain, checked, expected, broken="a purge of what stood here is not noted")
        expected = purge.last_position + 1
    for purge in taken(chain, ERASURE).filter(first_position__gte=expected):
        count, digests = erased.get(purge.pk, (0, hashlib.sha256()))
        if (count, digests.digest()) != (purge.count, bytes(purge.digest)):
            return Proof(chain, checked, purge.first_position, broken=f"erasure {purge.pk} does not tell what went")
    acts = AuditEvent.objects.using(DEFAULT_DB_ALIAS)
    oldest = acts.order_by("at").values_list("at", flat=True).first()
    noted = {
        (act["purge"], act["count"], act["digest"])
        for act in acts.filter(action=PURGED, subject=chain).values_list("details", flat=True)
    }
    purges = AuditPurge.objects.using(DEFAULT_DB_ALIAS).filter(chain=chain)
    for purge in purges.filter(at__gte=oldest).order_by("pk") if oldest else purges:
        if (purge.pk, purge.count, bytes(purge.digest).hex()) not in noted:
            return Proof(chain, checked, purge.first_position, broken=f"no act tells of purge {purge.pk}")
    return None
