"""Finding words within one document, as a reader does with 'find in page': literally, in any case. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Protocol

from django.utils.safestring import SafeString, mark_safe

from search.query import normalise
from search.snippets import without_markup

LONGEST = 100
"""Characters that are looked for at most."""

PLACES_SHOWN = 100
"""Places that are named at most; how many there are is always said."""

AROUND = 60
"""Characters shown before and after what was found."""

# Accents of Latin, Greek and Cyrillic, and the points of Hebrew and Arabic; vowel signs of other scripts are letters.
_ACCENTS = re.compile("[\u00ad\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]+")


class SearchedChunk(Protocol):
    """What is read of a chunk. `overlap` characters at its beginning stand in the chunk before, too."""

    pk: int
    text: str
    page_number: int
    overlap: int


@dataclass(frozen=True)
class Place:
    """A passage in which it was found, `count` times; `snippet` shows the first time, marked."""

    passage: int
    page: int
    count: int
    snippet: SafeString


@dataclass(frozen=True)
class Finding:
    """What was looked for, the first places in order, and how many times it was found in how many passages."""

    sought: str
    places: tuple[Place, ...]
    count: int
    passages: int


def read_sought(given: str) -> str:
    """What to look for, from an address: at most LONGEST characters; empty where there is nothing to look for."""
    text = " ".join(normalise(given).split())[:LONGEST].strip()
    return text if _pattern(text) else ""


def find(sought: str, chunks: Iterable[SearchedChunk]) -> Finding:
    """Where it stands in these chunks, which come in order. What two chunks repeat is found once."""
    places: list[Place] = []
    count = passages = 0
    for chunk in chunks:
        # Nearly all chunks do not have it: they are folded whole, which costs little, and not looked at further.
        if not _occurs(chunk.text, sought):
            continue
        found = [span for span in spans(chunk.text, sought) if span[1] > chunk.overlap]
        if not found:
            continue
        count, passages = count + len(found), passages + 1
        if len(places) < PLACES_SHOWN:
            shown = _snippet(chunk.text[max(0, found[0][0] - 1000) :], sought)
            places.append(Place(chunk.pk, chunk.page_number, len(found), shown))
    return Finding(sought, tuple(places), count, passages)


def spans(text: str, sought: str) -> list[tuple[int, int]]:
    """Where it stands in the text, as characters of the text: whatever the case, the accents and the spaces between."""
    pattern = _pattern(sought)
    if pattern is None:
        return []
    folded, at = _folded_with_places(text)
    return [(at[found.start()], at[found.end() - 1] + 1) for found in pattern.finditer(folded)]


def _occurs(text: str, sought: str) -> bool:
    pattern = _pattern(sought)
    return pattern is not None and pattern.search(_folded(text)) is not None


@lru_cache(maxsize=256)
def _pattern(sought: str) -> re.Pattern[str] | None:
    """An expression for what is sought in folded text: its words in order, with anything but letters between them.

    Nothing may be both of a word and between two: on the blank lines of a form, made of underscores, an expression in
    which it may tries every way to share them out.
    """
    words = re.findall(r"[^\W_]+", _folded(sought))
    return re.compile(r"[\W_]{1,8}".join(map(re.escape, words))) if words else None


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()


def _folded_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the one of the text that it comes from."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    folded: list[str] = []
    at: list[int] = []
    for place, character in enumerate(text):
        for one in _folded(character):
            folded.append(one)
            at.append(place)
    return "".join(folded), at


def _snippet(text: str, sought: str) -> SafeString:
    """The first time that it is found, with some words around it, as HTML: escaped first, then marked."""
    line = without_markup(text)
    found = spans(line, sought)
    if not found:
        return mark_safe(escape(line[: 2 * AROUND]))  # noqa: S308  # nosec B308 B703  # it is escaped
    left, right = found[0]
    start = max(0, left - AROUND)
    if start and (space := line.find(" ", start, left)) != -1:
        start = space + 1
    end = min(len(line), right + AROUND)
    if end < len(line) and (space := line.rfind(" ", right, end)) != -1:
        end = space
    before, after = ("… " if start else ""), (" …" if end < len(line) else "")
    marked = f"{escape(line[start:left])}<mark>{escape(line[left:right])}</mark>{escape(line[right:end])}"
    return mark_safe(f"{before}{marked}{after}")  # noqa: S308  # nosec B308 B703  # each part is escaped
