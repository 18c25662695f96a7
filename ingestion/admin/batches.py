"""Uploads of one person, remembered in their session so that they can watch them arrive."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

SESSION_KEY = "uploads"
KEPT = 10
"""Uploads that a session remembers."""


@dataclass(frozen=True)
class Rejection:
    """A file that was not taken in, and why, as far as it may be kept.

    `reason` is that of `UploadRejected`. For a duplicate there is only the id of the document that is here already:
    whether the person may know its title is asked anew whenever the page is shown. `explanation` is for the others.
    """

    file_name: str
    reason: str
    explanation: str = ""
    existing: str = ""


@dataclass(frozen=True)
class Batch:
    """What one upload brought: ids of the documents that it made, and the files that were refused."""

    started_at: str = field(default_factory=lambda: timezone.now().isoformat())
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    document_ids: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def started(self) -> datetime:
        """When it was uploaded."""
        return datetime.fromisoformat(self.started_at)

    def __str__(self) -> str:
        when = timezone.localtime(self.started)
        number = len(self.document_ids)
        return f"{when:%-d %b, %H:%M} ({number} document{'' if number == 1 else 's'})"


def remember(session: SessionBase, batch: Batch) -> None:
    """Keep this batch in the session; the oldest one goes when there are too many."""
    session[SESSION_KEY] = [asdict(batch), *session.get(SESSION_KEY, [])][:KEPT]


def batches(session: SessionBase) -> list[Batch]:
    """The uploads of this session, newest first."""
    return [_restored(kept) for kept in session.get(SESSION_KEY, [])]


def batch_of(session: SessionBase, batch_id: str) -> Batch | None:
    """The upload with this id, if it is this session's."""
    return next((batch for batch in batches(session) if batch.id == batch_id), None)


def _restored(kept: dict[str, Any]) -> Batch:
    return Batch(**{**kept, "rejections": [Rejection(**rejection) for rejection in kept["rejections"]]})
