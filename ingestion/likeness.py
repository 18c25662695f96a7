"""Which documents say nearly the same, for the people who manage them.

A document is taken as the set of its shingles: three words in a row, or five letters in scripts without spaces. How
alike two documents are is the share of the shingles of either that both have (Jaccard). MinHash estimates it (Broder
1997): the shingles are put in 256 orders, and the first in each is kept. Eight of these numbers make a band, and only
documents that share one of their 32 bands are compared at all (locality-sensitive hashing): of those that are 0.8 alike
99.7 in 100 are, of those that are 0.5 alike 12, of those that are 0.3 alike 0.2.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal
from uuid import UUID
from zlib import crc32

import numpy as np
import numpy.typing as npt
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from accounts.clearance import Viewer
from ingestion.models import Document

NEAR = 0.8
"""From this likeness on two documents are called near-duplicates."""

MOST_SHOWN = 20
"""Documents named for one. A form that was filled in a thousand times is like a thousand others."""

MOST_COMPARED = 2_000
"""Documents compared with one, so that such a form does not hold up its page."""

_ORDERS = 256
_BANDS = 32
_ROWS = _ORDERS // _BANDS
_SHINGLE = 3
_LETTERS = 3  # Three overlapping threes of letters reach over five.
# What a signature is made of: how it was made, so that others are never compared; a digest of the text; the numbers.
_MAKE = b"\x01"
_NUMBERS_AT = 17
_BYTES = _NUMBERS_AT + 2 * _ORDERS
# Shingles that are put in all orders at once: 2 MB.
_BLOCK = 1_024
# Thai, Lao; Burmese; Khmer; kana; Han.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003fffd"
)
# The vowel signs of Indic scripts are parts of words, but not of \w.
_WORD = re.compile(rf"[{_SPACELESS}]+|(?:[^\W_{_SPACELESS}]|[\u0900-\u0dff])+")
_ASCII_WORD = re.compile("[a-z0-9]+")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]").match
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))

# Each band is looked up in the index. For `sketch_bands && …` the planner expects so many rows that it reads the table.
# As an array it is worked out first and once; as a subquery it was asked of each document that somebody manages.
_SHARES_A_BAND = """
    ingestion_document.id = ANY (ARRAY(
        SELECT DISTINCT sharing.id FROM unnest(%s::integer[]) AS band
        JOIN ingestion_document AS sharing ON sharing.sketch_bands @> ARRAY[band]
    ))
"""  # access: only narrows what manageable_by leaves

Kind = Literal["same_file", "same_text", "near"]
_Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sketch:
    """What a document is compared by: `signature` for Document.sketch, `bands` for Document.sketch_bands."""

    signature: bytes
    bands: list[int]


@dataclass(frozen=True)
class Alike:
    """A document that is like another: the same file, the same words in another file, or nearly the same words.

    `likeness` runs from NEAR to 1.
    """

    document: Document
    likeness: float
    kind: Kind


def sketch(texts: Iterable[str]) -> Sketch | None:
    """The sketch of a document, from the texts of its pages in order; None when there is no word in them.

    The same words give the same sketch on every machine, whatever their case and marks and where the pages end.
    """
    digest = hashlib.blake2b(digest_size=_NUMBERS_AT - len(_MAKE))
    words: list[int] = []
    for text in texts:
        encoded = [word.encode() for word in _words(text)]
        digest.update(b" ".join([*encoded, b""]))
        words += map(crc32, encoded)
    if not words:
        return None
    numbers = (_firsts(_shingles(words)) >> np.uint64(48)).astype("<u2")
    bands = [crc32(numbers[at : at + _ROWS].tobytes(), at) for at in range(0, _ORDERS, _ROWS)]
    # PostgreSQL's integers have a sign.
    return Sketch(_MAKE + digest.digest() + numbers.tobytes(), [band - ((band >> 31) << 32) for band in bands])


def likeness(one: bytes, other: bytes) -> float:
    """How alike two documents are, by their signatures: from 0 to 1, within 0.05 of the truth 19 times in 20.

    0 when the signatures were made in different ways.
    """
    if len(one) != _BYTES or len(other) != _BYTES or one[: len(_MAKE)] != other[: len(_MAKE)]:
        return 0.0
    return float(np.mean(_numbers(one) == _numbers(other)))


def alike(document: Document, viewer: Viewer) -> list[Alike]:
    """The documents that this viewer manages and that are like this one, at most MOST_SHOWN: same files come first,
    then same texts, then by likeness.

    Of other people's documents nothing is said, not even that there are any.
    """
    others = Document.objects.manageable_by(viewer).exclude(pk=document.pk).order_by()
    found: dict[UUID, tuple[float, Kind]] = dict.fromkeys(
        others.filter(sha256=document.sha256).values_list("pk", flat=True)[:MOST_SHOWN], (1.0, "same_file")
    )
    if document.sketch and document.sketch_bands:
        mine = bytes(document.sketch)
        sharing = RawSQL(  # noqa: S611  # nosec B611  # a constant; values bound
            _SHARES_A_BAND, [document.sketch_bands], output_field=BooleanField()
        )
        compared = others.filter(sharing).values_list("pk", "sketch")
        for key, signature in compared[:MOST_COMPARED]:
            theirs = bytes(signature or b"")
            share = likeness(mine, theirs)
            if share >= NEAR and key not in found:
                found[key] = (share, "same_text" if mine[:_NUMBERS_AT] == theirs[:_NUMBERS_AT] else "near")
    best = sorted(found, key=lambda key: (_KINDS.index(found[key][1]), -found[key][0], key))[:MOST_SHOWN]
    documents = others.in_bulk(best)
    return [Alike(documents[key], *found[key]) for key in best if key in documents]


_KINDS: tuple[Kind, ...] = ("same_file", "same_text", "near")


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()):
        if len(word) > _LETTERS and _IS_SPACELESS(word):
            found += [word[at : at + _LETTERS] for at in range(len(word) - _LETTERS + 1)]
        else:
            found.append(word)
    return found


def _shingles(words: list[int]) -> _Numbers:
    """A well-mixed number for each run of words; a text that is shorter is one run."""
    numbers = np.array(words, np.uint64)
    length = max(1, len(numbers) - _SHINGLE + 1)
    runs = np.zeros(length, np.uint64)
    for at in range(min(_SHINGLE, len(numbers))):
        runs = _mixed(runs ^ numbers[at : at + length])
    return runs


def _mixed(numbers: _Numbers) -> _Numbers:
    """SplitMix64 (Steele, Lea and Flood 2014): each bit of the result depends on all bits of the number."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _firsts(shingles: _Numbers) -> _Numbers:
    """The least number of the shingles in each order."""
    firsts = np.full(_ORDERS, np.iinfo(np.uint64).max, np.uint64)
    for at in range(0, len(shingles), _BLOCK):
        firsts = np.minimum(firsts, (shingles[at : at + _BLOCK] * _orders()).min(axis=1))
    return firsts


@cache
def _orders() -> _Numbers:
    """Odd numbers to multiply by: each puts the numbers of 64 bits in another order."""
    return (_mixed(np.arange(_ORDERS, dtype=np.uint64)) | np.uint64(1)).reshape(-1, 1)


def _numbers(signature: bytes) -> npt.NDArray[np.uint16]:
    return np.frombuffer(signature, "<u2", offset=_NUMBERS_AT)
