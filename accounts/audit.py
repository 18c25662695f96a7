"""Noting who did what: the one way into the trail of acts (searches have their own, in search.audit)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest

from accounts import chain, spool
from accounts.addresses import client_address
from accounts.models import AuditEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

VIEWED, DOWNLOADED = "document_viewed", "document_downloaded"
"""What people read: auditors alone see these of others, and they go with their person (migration 0003)."""

READINGS = frozenset({VIEWED, DOWNLOADED})


def note(
    action: str,
    *,
    actor: User | AnonymousUser | None,
    subject: str = "",
    request: HttpRequest | None = None,
    **details: Any,
) -> None:
    """Write one act, in the transaction that it is part of.

    `action` is one of a few fixed words such as `api_key_made`, `subject` names whom or what it was done to, `details`
    are JSON. Never a secret and never a document's text.
    """
    note_several(action, [(subject, details)], actor=actor, request=request)


def note_several(
    action: str,
    acts: Iterable[tuple[str, dict[str, Any]]],
    *,
    actor: User | AnonymousUser | None,
    request: HttpRequest | None = None,
) -> None:
    """Write acts of one kind that one request did, each with its subject and its details, in one statement."""
    AuditEvent.objects.bulk_create(_act(action, subject, details, actor, request) for subject, details in acts)


def note_reading(action: str, document: UUID, subject: str, *, request: HttpRequest, **details: Any) -> None:
    """Note that somebody was shown a document (VIEWED) or given its file (DOWNLOADED).

    Part of no transaction: where the database cannot take it, it waits in the spool, and the answer goes out.
    """
    spool.write(_act(action, subject, {"document": str(document), **details}, request.user, request))


def erase_readings(person: User) -> int:
    """Take what somebody read out of the trail, before they are deleted, and leave proof of it; how many acts."""
    return chain.erase(chain.ACTS, person.pk)


def _act(
    action: str,
    subject: str,
    details: dict[str, Any],
    actor: User | AnonymousUser | None,
    request: HttpRequest | None,
) -> AuditEvent:
    known = actor if actor is not None and actor.is_authenticated else None
    return AuditEvent(
        actor_id=known.pk if known is not None else None,
        actor_name=known.username if known is not None else "",
        seen_as=known.seen_as.seen_as if known is not None and known.seen_as is not None else "",
        action=action,
        subject=subject[:200],
        details=details,
        address=(client_address(request) or None) if request is not None else None,
        request_id=str(getattr(request, "request_id", "")) if request is not None else "",
    )
