"""What the marks in a query ask for: "a phrase", +required and -excluded words. Pure; no Django."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ingestion.lexemes import is_beginning, phrase

_QUOTES = '"“”„‟«»'
_MARKED = re.compile(
    # A sign and a quotation, or a quotation alone; an inch or a quote within a word opens nothing.
    rf"(?<!\S)(?P<quoted_sign>[+-]?)[{_QUOTES}](?P<quoted>[^{_QUOTES}]+)[{_QUOTES}](?=[\s.,;:!?)\]]|$)"
    # '+44' begins a telephone number; '-' may stand before figures.
    r"|(?<!\S)(?:\+(?P<required>[^\W\d_]\S*)|-(?P<excluded>[^\W_]\S*))"
)


@dataclass(frozen=True)
class Asked:
    """A query without its marks. `text` is what is looked for, by meaning and by words; the others are words or phrases
    that a passage must hold, and that no passage of a document may hold."""

    text: str
    required: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def must_match(self) -> str:
        """A tsquery that every required phrase satisfies; empty when nothing is required."""
        return " & ".join(f"({match_of(one)})" for one in self.required)

    @property
    def must_not_match(self) -> str:
        """A tsquery that any excluded phrase satisfies; empty when nothing is excluded."""
        return " | ".join(f"({match_of(one)})" for one in self.excluded)


@lru_cache(maxsize=1024)
def read_operators(text: str) -> Asked:
    """Take the marks out of a query. Where nothing is left but what is not wanted, they are ordinary text."""
    required: list[str] = []
    excluded: list[str] = []
    kept: list[str] = []
    at = 0
    for found in _MARKED.finditer(text):
        words = (found["quoted"] or found["required"] or found["excluded"]).strip()
        if not phrase(words):
            continue
        kept.append(text[at : found.start()])
        at = found.end()
        if found["excluded"] or found["quoted_sign"] == "-":
            excluded.append(words)
        else:
            required.append(words)
            kept.append(words)
    left = " ".join("".join([*kept, text[at:]]).split())
    if not phrase(left):
        return Asked(text)
    return Asked(left, tuple(dict.fromkeys(required)), tuple(dict.fromkeys(excluded)))


def marked_spans(text: str) -> list[tuple[int, int]]:
    """Where in a query phrases, required and excluded words stand: what is typed so is meant so."""
    return [found.span() for found in _MARKED.finditer(text)]


def match_of(text: str) -> str:
    """A tsquery of these words one after the other, as they are written up to case and accents."""
    found = phrase(text)
    words = [quoted(word) for word in found]
    if found and is_beginning(found[-1]):
        words[-1] += ":*"
    return " <-> ".join(words)


def quoted(word: str) -> str:
    """A word as a tsquery's operand, whatever is in it."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
