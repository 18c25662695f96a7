"""Noting what people do to documents in the trail of acts: what held before and what holds after, field by field.

Never a document's text. Who sees a document, and how many people that is, is noted beside it (`audience.note_changes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest

from accounts.audit import note_several
from ingestion.metadata import WHO_READS, Names, stored, values_of, with_attachments
from ingestion.models import Document, Status

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

State = dict[str, Any]
"""What the trail keeps of a document at one moment: field -> JSON, with names in the place of numbers."""


ALWAYS_NOTED = frozenset(("document_file_replaced", "document_retried", "document_version_restored"))


def state_of(*documents: Document) -> dict[UUID, State]:
    """What holds for these documents, as they were loaded (before they are changed). Five queries, however many."""
    return _states(documents, Names())


def _states(documents: Iterable[Document], names: Names) -> dict[UUID, State]:
    documents = list(documents)
    said = values_of(documents)
    return {
        one.pk: {name: names.named(name, value) for name, value in said[one.pk].items()}
        | {
            "archived": one.status == Status.ARCHIVED,
            "file_name": one.file_name,
            "sha256": one.sha256,
            "version": one.version,
            # A new original waits here until it has been read.
            "next_file_name": one.next_file_name,
            "next_sha256": one.next_sha256,
        }
        for one in documents
    }


def note_edits(
    action: str,
    before: dict[UUID, State],
    *,
    actor: User | AnonymousUser,
    request: HttpRequest | None,
    **more: Any,
) -> None:
    """Note what somebody did to documents that were like this `before`, an act each, with the fields that differ now.

    Called in the transaction that did it. `action` is a word of `accounts.acts`; `more` is noted with each. An act that
    changed nothing that is kept here is not noted, but for those that matter all the same (ALWAYS_NOTED). What is
    attached to them, and is read by others along with them, is noted too.
    """
    documents = stored(before)
    states = state_of(*documents)
    followed, before = _followed([one for one in documents if _read_by_others(before[one.pk], states[one.pk])], before)
    acts = []
    for document, now in [*zip(documents, states.values(), strict=True), *followed]:
        was = before[document.pk]
        changed = [name for name in now if now[name] != was[name]]
        if changed or action in ALWAYS_NOTED:
            differing = {
                when: {name: state[name] for name in changed} for when, state in (("before", was), ("after", now))
            }
            acts.append((str(document), {"document": str(document.pk), **differing, **more}))
    note_several(action, acts, actor=actor, request=request)


def _read_by_others(before: State, now: State) -> bool:
    return any(before[name] != now[name] for name in WHO_READS)


def _followed(
    changed: list[Document], before: dict[UUID, State]
) -> tuple[list[tuple[Document, State]], dict[UUID, State]]:
    """What is attached to these documents, as it is now; and what held `before`, of that too: its mail's readers."""
    attached = [one for one in with_attachments(*changed) if one.pk not in before] if changed else []
    now = list(zip(attached, state_of(*attached).values(), strict=True)) if attached else []
    before = {**before}
    # A mail stands before what is attached to it.
    for one, state in now:
        if one.parent_id is not None:
            before[one.pk] = state | {name: before[one.parent_id][name] for name in WHO_READS}
    return now, before


def note_uploads(*documents: Document, actor: User | AnonymousUser, request: HttpRequest | None) -> None:
    """Note that somebody brought these documents in, with what was said about them."""
    acts = [
        (str(document), {"document": str(document.pk), "after": _told(state)})
        for document, state in zip(documents, state_of(*documents).values(), strict=True)
    ]
    note_several("document_uploaded", acts, actor=actor, request=request)


def note_deletions(*documents: Document, actor: User | AnonymousUser, request: HttpRequest | None) -> None:
    """Note that somebody is about to delete these documents, with what was said about them."""
    acts = [
        (str(document), {"document": str(document.pk), "before": _told(state), "after": "deleted"})
        for document, state in zip(documents, state_of(*documents).values(), strict=True)
    ]
    note_several("document_deleted", acts, actor=actor, request=request)


def _told(state: State) -> State:
    """What was said, without what was left empty."""
    return {name: value for name, value in state.items() if value not in (None, "", [], False)}
