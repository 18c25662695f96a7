"""The audit trail of searches: noting, how long it is kept, and how it leaves the house."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from accounts import chain, spool
from accounts.circumstances import circumstances
from accounts.clearance import Viewer
from accounts.models import AuditEvent, AuditSeal, User
from accounts.redaction import redact
from search.models import Feedback, SearchEvent
from search.page import SearchPage
from search.query import MAX_QUERY_LENGTH, Mode, SearchQuery

EXPORTED_AT_ONCE = 1000


def note_search(page: SearchPage, query: SearchQuery, viewer: Viewer, request_id: str) -> None:
    """Note an answered search, without the personal data that was typed into it.

    Where the database cannot take it, it waits in the spool (accounts.spool), and the answer goes out all the same.
    """
    here = circumstances()
    spool.write(
        SearchEvent(
            id=UUID(page.search_id),
            user_id=viewer.user_id,
            user_name=here.user_name if here.user_id == viewer.user_id else "",
            role=viewer.role,
            seen_as=viewer.seen_as,
            phase=viewer.phase,
            query=redact(_storable(query.text))[:MAX_QUERY_LENGTH],
            filters=_redacted(query.filters),
            mode=page.mode,
            degraded=list(page.degraded),
            count=page.count,
            page=page.page,
            duration_ms=round(page.response_time * 1000),
            request_id=request_id,
            address=here.address or None,
            session=here.session,
        )
    )


def _redacted(filters: dict[str, Any]) -> dict[str, Any]:
    """Filters are typed as well, and may name what no document has."""
    return {
        name: [redact(_storable(one)) if isinstance(one, str) else one for one in value]
        if isinstance(value, list)
        else value
        for name, value in filters.items()
    }


def _storable(text: str) -> str:
    """Without what the database takes in no text: NUL, and halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def purge() -> dict[str, int]:
    """Take out of the trail what is older than it may be, with proof of what went; how many of each chain."""
    now = timezone.now()
    searches = now - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    chain.seal()
    with transaction.atomic():
        Feedback.objects.filter(search__at__lt=searches).delete()
        gone = chain.purge(chain.SEARCHES, searches)
    acts = now - timedelta(days=settings.AUDIT_ACTS_RETENTION_DAYS)
    return {chain.SEARCHES: gone, chain.ACTS: chain.purge(chain.ACTS, acts)}


def erase(person: User) -> int:
    """Take a person's searches out of the trail, with proof that they were taken; how many. Before they are deleted."""
    with transaction.atomic():
        Feedback.objects.filter(search__user=person).delete()
        return chain.erase(chain.SEARCHES, person.pk)


def most_frequent(limit: int, *, askers: int = 0) -> list[str]:
    """What was asked most often by meaning, most frequent first, as far back as the trail goes.

    With `askers`, only what at least so many signed-in people have asked.
    """
    worded = SearchEvent.objects.exclude(query="")
    asked = worded.exclude(mode=Mode.KEYWORD.value).order_by().values("query").annotate(times=Count("pk"))
    if askers:
        asked = asked.annotate(people=Count("user", distinct=True)).filter(people__gte=askers)
    return [one["query"] for one in asked.order_by("-times", "query")[:limit]]


def export(kind: str, after: int = 0) -> Iterator[dict[str, Any]]:
    """The sealed events of a chain behind this position, in its order, each with its place, digest and link.

    `kind` is one of `accounts.chain.CHAINS`. What was erased is told by its seal alone.
    """
    while True:
        seals = AuditSeal.objects.filter(chain=kind, position__gt=after).order_by("position")[:EXPORTED_AT_ONCE]
        batch = list(seals)
        if not batch:
            return
        named = [seal.event for seal in batch]
        events: dict[UUID, dict[str, Any]]
        if kind == chain.SEARCHES:
            events = {one.pk: _search_line(one) for one in SearchEvent.objects.filter(pk__in=named)}
        else:
            events = {one.event_id: _act_line(one) for one in AuditEvent.objects.filter(event_id__in=named)}
        for seal in batch:
            after = int(seal.position or 0)
            told = events.get(seal.event, {"id": str(seal.event), "kind": kind, "erased": True})
            yield told | {
                "position": after, "digest": bytes(seal.digest).hex(), "link": bytes(seal.link or b"").hex()
            }  # fmt: skip


def _search_line(event: SearchEvent) -> dict[str, Any]:
    return {
        "id": str(event.pk),
        "kind": chain.SEARCHES,
        "at": event.at.isoformat(),
        "user": event.user_name or None,
        "role": event.role,
        "seen_as": event.seen_as,
        "phase": event.phase,
        "query": event.query,
        "filters": event.filters,
        "mode": event.mode,
        "degraded": event.degraded,
        "count": event.count,
        "page": event.page,
        "duration_ms": event.duration_ms,
        "request_id": event.request_id,
        "address": event.address,
        "session": event.session,
    }


def _act_line(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": str(event.event_id),
        "kind": chain.ACTS,
        "at": event.at.isoformat(),
        "user": event.actor_name or None,
        "seen_as": event.seen_as,
        "action": event.action,
        "subject": event.subject,
        "details": event.details,
        "address": event.address,
        "request_id": event.request_id,
    }
