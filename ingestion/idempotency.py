"""A request that is sent again because its answer was lost makes nothing a second time (`Idempotency-Key`).

What it made is noted in the transaction that makes it, so that a request that broke off has left neither. As an
Internet draft of the IETF has it (draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from accounts.models import User
from ingestion.models import Document, IdempotencyKey

KEPT = timedelta(hours=24)
"""How long a key is known. Whoever sends a request again does so within minutes."""

LONGEST_KEY = 255


class UsedOtherwise(Exception):
    """The key came before, with another request."""


class InvalidKey(ValueError):
    """What was sent as a key cannot be one; the message says what can."""


@dataclass(frozen=True)
class Once:
    """The making of one document by one request, or by the one at place `part` of those that it is to make."""

    user: User
    key: str
    request: bytes
    """A digest of the request: another one with the same key is a mistake of the client's."""
    part: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.key) <= LONGEST_KEY or not (self.key.isascii() and self.key.isprintable()):
            raise InvalidKey(f"A key has 1 to {LONGEST_KEY} printable ASCII characters; a UUID is a good one.")

    def made(self) -> UUID | None:
        """The document that was made, if one was. Raises UsedOtherwise."""
        known = IdempotencyKey.objects.filter(user=self.user, key=self._digest, part=self.part).first()
        if known is not None and bytes(known.request) != self.request:
            raise UsedOtherwise
        return known.document_id if known is not None else None

    def note(self, document: Document) -> None:
        """Note that it is made, in the transaction that makes it.

        Of two equal requests at the same moment the second has been refused by then: its file is there already. Of two
        others with the same key the second waits here for the first. Raises UsedOtherwise.
        """
        _, is_new = IdempotencyKey.objects.get_or_create(
            user=self.user,
            key=self._digest,
            part=self.part,
            defaults={"request": self.request, "document": document},
        )
        if not is_new:
            raise UsedOtherwise

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.key.encode()).digest()


def digest_of(parts: Iterable[str]) -> bytes:
    """A digest of what a request says, in its order."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()


def forget() -> int:
    """Forget keys that were sent long ago; how many."""
    return IdempotencyKey.objects.filter(at__lt=timezone.now() - KEPT).delete()[0]
