"""Personal data in a document's text: how much of which kinds, and whether a librarian has looked at it.

Nothing is kept but numbers: what was found is shown to nobody and stands in no log. What a librarian said of it is an
act in the audit trail, and holds for the file that they looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.audit import note
from accounts.clearance import Clearance
from accounts.models import AuditEvent
from accounts.redaction import Kind, find
from ingestion.models import Chunk, Document

if TYPE_CHECKING:
    from accounts.models import User

ACKNOWLEDGED = "personal_data_acknowledged"

MOST_CHUNKS = 500
"""Chunks that are looked through, some 200 pages: a third of a second, the first time that somebody opens the page."""

KEPT_SECONDS = 24 * 3600

IN_WORDS = {
    Kind.EMAIL: ("e-mail address", "e-mail addresses"),
    Kind.PHONE: ("telephone number", "telephone numbers"),
    Kind.STUDENT: ("student number", "student numbers"),
    Kind.STAFF: ("staff id", "staff ids"),
    Kind.POSTCODE: ("postcode", "postcodes"),
    Kind.CARD: ("card number", "card numbers"),
    Kind.INSURANCE: ("National Insurance number", "National Insurance numbers"),
}
"""One and several of each kind."""


@dataclass(frozen=True)
class Held:
    """What a document holds. Each address or number counts once, however often it stands there."""

    counts: dict[str, int]
    widely_read: bool
    """Whether everybody, or every student, may read the document as it is classified now."""
    by: str = ""
    """Who has looked at it and said that it may stay, if anybody has."""
    at: datetime | None = None

    @property
    def in_words(self) -> list[str]:
        """Such as '3 e-mail addresses', the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        return [f"{number} {IN_WORDS[Kind(kind)][number > 1]}" for kind, number in ordered]

    @property
    def warns(self) -> bool:
        """Whether somebody ought to look before it is published, or because it is."""
        return bool(self.counts) and not self.by

    @property
    def warns_of_many(self) -> bool:
        """Whether it warns, and as many may read it as its clearance says."""
        return self.warns and self.widely_read


def held_by(document: Document, chunks: QuerySet[Chunk]) -> Held:
    """What this document holds, going by these chunks of it."""
    counts = _counts(document, chunks)
    said = (
        AuditEvent.objects.filter(
            action=ACKNOWLEDGED, details__contains={"document": str(document.pk), "sha256": document.sha256}
        ).first()
        if counts
        else None
    )
    widely = document.clearance <= Clearance.MEMBERS
    return Held(counts, widely, said.actor_name if said else "", said.at if said else None)


def acknowledge(document: Document, held: Held, *, actor: User, request: HttpRequest) -> None:
    """Note that somebody has looked at what the document holds, as its file is now."""
    said = {"document": str(document.pk), "sha256": document.sha256, "counts": held.counts}
    note(ACKNOWLEDGED, actor=actor, subject=str(document), request=request, clearance=document.clearance, **said)


def count(texts: Iterable[str]) -> dict[str, int]:
    """How many different ones of each kind there are in these texts, which may overlap."""
    found = {(one.kind, "".join(text[one.start : one.end].split()).lower()) for text in texts for one in find(text)}
    return {str(kind): number for kind, number in Counter(kind for kind, _ in found).items()}


def _counts(document: Document, chunks: QuerySet[Chunk]) -> dict[str, int]:
    """From the cache, where this file was looked through lately as it is read now: numbers alone are kept there."""
    key = f"personal-data:{document.pk}:{document.sha256}:{document.recipe}:{document.chunk_count}"
    counts: dict[str, int] | None = cache.get(key)
    if counts is None:
        counts = count(chunks.order_by("position").values_list("text", flat=True)[:MOST_CHUNKS])
        cache.set(key, counts, KEPT_SECONDS)
    return counts
