"""A stretch of a stored file, as HTTP asks for it (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)

BLOCK = 64 * 1024
"""Bytes that are read at once."""


class Requested(Protocol):
    """What is read of a request."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        ...


class Seekable(Protocol):
    """What is read of a stored file."""

    def close(self) -> None:
        """Let go of it."""
        ...

    def seek(self, offset: int, /) -> object:
        """Go on from this byte."""
        ...

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class Unsatisfiable(ValueError):
    """Nothing of what is asked for lies inside the file."""


@dataclass(frozen=True)
class Stretch:
    """The bytes from `first` to `last`, both of them included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def asked_stretch(header: str, size: int) -> Stretch | None:
    """The one stretch that a `Range` header asks for, of a file of `size` bytes; None when the whole is to be sent.

    Several stretches, other units and what is no range at all count as not asked, which the standard allows. Raises
    Unsatisfiable.
    """
    asked = _ONE_RANGE.fullmatch(header)
    if not asked or not (asked[1] or asked[2]):
        return None
    if not asked[1]:
        first, last = max(0, size - int(asked[2])), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        if asked[2] and int(asked[2]) < first:
            return None
    if first > last:
        raise Unsatisfiable
    return Stretch(first, last)


def goes_on(request: Requested) -> bool:
    """Whether this can be answered by nothing but a further stretch of a file that was begun, from one byte to another:
    so a viewer fetches it while somebody reads."""
    asked = _ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if not asked or not asked[1] or not asked[2] or "If-Range" in request.headers:
        return False
    return 0 < int(asked[1]) <= int(asked[2])


def unchanged(if_range: str, etag: str) -> bool:
    """Whether a stretch may follow on what somebody has: `If-Range` names this version of the file, or nothing."""
    return not if_range or if_range == etag


def blocks(stored: Seekable, stretch: Stretch) -> Iterator[bytes]:
    """The bytes of the stretch. The file is closed at the end."""
    left = len(stretch)
    with closing(stored):
        stored.seek(stretch.first)
        while left and (block := stored.read(min(BLOCK, left))):
            left -= len(block)
            yield block
