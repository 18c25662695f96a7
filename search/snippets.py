"""The piece of a passage that answers, its words marked. Pure; no Django models."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from ingestion.lexemes import searchable
from search.functionwords import FUNCTION_WORDS
from search.operators import read_operators

SNIPPET_LENGTH = 300
"""Characters; about two lines on a wide screen, four on a phone."""

LEAD_IN = 40
"""Characters before the first marked word, so that it does not stand without a context."""

SHORTEST_COMPOUND_PART = 5
"""Letters that a word of the query needs to be marked inside a longer one: 'Reise' in 'Reisekosten'."""

KNOWN_WORDS = 2000
"""Words of texts that are kept for a query: those of a page of hits."""

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Accents, vowel signs and tone marks are parts of words, but not of the regular expressions' \w.
_SIGNS = "".join(chr(code) for code in range(0x300, 0x1E00) if unicodedata.category(chr(code))[0] == "M")
_LETTERS = rf"(?:[^\W{_SPACELESS}]+[{_SIGNS}]*)+"
_WORD = re.compile(rf"[{_SPACELESS}]+|{_LETTERS}(?:[-'’.]{_LETTERS})*")
_PLAIN_WORD = re.compile(r"\w+(?:[-'’.]\w+)*")
_PART = re.compile(r"[^-'’.]+")
_WITHOUT_SPACES = re.compile(f"[{_SPACELESS}]")
_ARABIC_ARTICLE = re.compile("^(?:[وفبك]{0,2}ال|لل)(?=...)")
_SENTENCE_END = re.compile(r"[.!?:;]\s+|[。！？؟；]\s*")

_MARKS = re.compile(r"[#*>_~`|\[\\<]|^[ \t]*[-+:=]", re.MULTILINE)
"""What none of the expressions below finds anything without: most passages of a PDF."""
_LINE_START = re.compile(r"^(?:[ \t]*(?:#{1,6}[ \t]+|[*+-][ \t]+(?:\[[ xX]\][ \t]+)?|>[ \t]?))+", re.MULTILINE)
_RULE = re.compile(r"^[ \t|:=*_+-]+$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*(?:[ \t]+\"[^\"\n]*\")?\)")
_EMPHASIS = re.compile(r"(?<![\w*\\])(\*{1,3}|_{1,3}|~~)(?=[^\s*_])(.+?)(?<=[^\s*_\\])\1(?![\w*])")
_LEFT_OVER = re.compile(r"\*\*+|__+|~~|`+|<br ?/?>|\\?\|", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|>~-])")


def snippet(text: str, query: str) -> str:
    """HTML of the stretch of the text where most of the query's words stand, escaped first, then marked.

    At most SNIPPET_LENGTH characters of text, cut at words, with an ellipsis where something is left out.
    """
    text = without_markup(text)
    found = matches(text, query)
    start, end = _window(text, found)
    pieces, at = [], start
    for left, right in found:
        if left < start or right > end:
            continue
        pieces += [escape(text[at:left]), "<mark>", escape(text[left:right]), "</mark>"]
        at = right
    pieces.append(escape(text[at:end]))
    return ("… " if start else "") + "".join(pieces) + (" …" if end < len(text) else "")


def without_markup(text: str) -> str:
    """The text of a chunk as one line, without the marks of its headings, lists, tables, links and emphasis."""
    if not _MARKS.search(text):
        return " ".join(text.split())
    text = _LINE_START.sub("", _RULE.sub(" ", text))
    text = _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text))
    return " ".join(_ESCAPED.sub(r"\1", _LEFT_OVER.sub(" ", text)).split())


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where words of the query stand in the text, in order, none overlapping; a quoted phrase is one stretch."""
    whole = _phrases(text, query)
    if not whole:
        return _single_matches(text, query)
    apart = [
        (left, right)
        for left, right in _single_matches(text, query)
        if not any(left < end and start < right for start, end in whole)
    ]
    return sorted([*whole, *apart])


def _phrases(text: str, query: str) -> list[tuple[int, int]]:
    """Where phrases of several words that the query requires stand in the text."""
    spans: list[tuple[int, int]] = []
    for sought in _sought_phrases(query):
        spans += [found.span() for found in sought.finditer(text)]
    spans.sort()
    return [span for at, span in enumerate(spans) if not at or span[0] >= max(right for _, right in spans[:at])]


@lru_cache(maxsize=256)
def _sought_phrases(query: str) -> tuple[re.Pattern[str], ...]:
    """An expression for each required phrase: its words with anything but letters between them, in any case."""
    found = []
    for one in read_operators(query).required:
        words = re.findall(r"\w+", one)
        if len(words) > 1:
            found.append(re.compile(r"(?<!\w)" + r"\W{1,5}".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE))
    return tuple(found)


def _single_matches(text: str, query: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    known = _known(query)
    for word in (_PLAIN_WORD if text.isascii() else _WORD).finditer(text):
        if inside := known[word[0]]:
            base = word.start()
            spans += [(base + left, base + right) for left, right in inside]
    return spans


class _Known(dict[str, tuple[tuple[int, int], ...]]):
    """For each word of a text that was looked at: which stretches of it are words of the query. Texts repeat theirs."""

    def __init__(self, query: str) -> None:
        super().__init__()
        self._wanted = _wanted(query)

    def __missing__(self, word: str) -> tuple[tuple[int, int], ...]:
        if len(self) >= KNOWN_WORDS:
            self.clear()
        found = self[word] = _inside(word, self._wanted)
        return found


@lru_cache(maxsize=64)
def _known(query: str) -> _Known:
    return _Known(query)


def _inside(word: str, wanted: _Wanted) -> tuple[tuple[int, int], ...]:
    """Which stretches of a text's word are words of the query."""
    if _WITHOUT_SPACES.match(word):
        return _in_run(word, wanted.pairs)
    if word in wanted.acronyms or wanted.same(_folded(word)):
        return ((0, len(word)),)
    return tuple(_in_parts(word, wanted))


@dataclass(frozen=True)
class _Wanted:
    """A query's words, folded, in the shapes in which a text's words are compared with them."""

    words: frozenset[str]
    by_beginning: dict[str, tuple[str, ...]]
    compound_parts: tuple[str, ...]
    acronyms: frozenset[str]
    pairs: frozenset[str]

    def same(self, word: str) -> bool:
        """Whether the word is one of them, up to a short ending."""
        return word in self.words or any(_same_stem(word, one) for one in self.by_beginning.get(word[:4], ()))

    def part_of(self, word: str) -> tuple[int, int] | None:
        """Where one of them begins or ends a longer, compound word."""
        for one in self.compound_parts:
            stem = one if len(one) < 8 else one[:-2]
            if len(word) - len(one) < 3:
                continue
            if word.startswith(stem):
                return 0, len(one) if word.startswith(one) else len(stem)
            if word.endswith(one) and len(one) > SHORTEST_COMPOUND_PART:
                return len(word) - len(one), len(word)
        return None


@lru_cache(maxsize=256)
def _wanted(query: str) -> _Wanted:
    """What is marked for this query: its words without those that say nothing, unless it has no others."""
    found, acronyms, runs = set(), set(), []
    for word in _WORD.findall(read_operators(query).text):
        if _WITHOUT_SPACES.match(word):
            runs.append(word)
        else:
            parts = {word, *_PART.findall(word)}
            found |= {_folded(part) for part in parts}
            acronyms |= {part for part in parts if len(part) == 2 and part.isupper()}
    telling = {word for word in found - FUNCTION_WORDS if len(word) > 2 or not word.isascii() or word.isdigit()}
    words = (telling or (set() if runs or acronyms else found)) - {""}
    by_beginning: dict[str, tuple[str, ...]] = {}
    for word in words:
        by_beginning[word[:4]] = (*by_beginning.get(word[:4], ()), word)
    return _Wanted(
        words=frozenset(words),
        by_beginning=by_beginning,
        compound_parts=tuple(sorted(word for word in words if len(word) >= SHORTEST_COMPOUND_PART)),
        acronyms=frozenset(acronyms),
        pairs=frozenset(run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))),
    )


def _in_run(run: str, pairs: frozenset[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of characters that a run without spaces shares with the query, joined where they touch.

    A single character that was asked for is marked wherever it stands.
    """
    spans: list[tuple[int, int]] = []
    for at in range(len(run)):
        length = 2 if run[at : at + 2] in pairs else 1 if run[at] in pairs else 0
        if length and spans and spans[-1][1] >= at:
            spans[-1] = (spans[-1][0], max(spans[-1][1], at + length))
        elif length:
            spans.append((at, at + length))
    return tuple((left, min(right, len(run))) for left, right in spans)


def _in_parts(word: str, wanted: _Wanted) -> Iterator[tuple[int, int]]:
    """Matches inside a word: parts around a hyphen or an apostrophe, and parts of a compound."""
    for part in _PART.finditer(word):
        folded = _folded(part[0])
        if part[0] != word and (part[0] in wanted.acronyms or wanted.same(folded)):
            yield part.span()
        elif inside := wanted.part_of(folded):
            # Where folding changed the number of letters, the place inside the word is not known.
            left, right = inside if len(folded) == len(part[0]) else (0, len(part[0]))
            yield part.start() + left, part.start() + right


@lru_cache(maxsize=20_000)
def _folded(word: str) -> str:
    """The word as the index sees it, its parts joined again, without an Arabic article."""
    if word.isascii() and word.isalnum():
        return word.lower()
    return _ARABIC_ARTICLE.sub("", searchable(word).replace(" ", ""))


def _same_stem(word: str, other: str) -> bool:
    """Whether two words are alike up to a short ending: close to what stemming does, in any language."""
    if word == other:
        return True
    shorter, longer = sorted((word, other), key=len)
    stem = max(4, len(longer) - 3)
    return len(shorter) >= stem and word[:stem] == other[:stem]


def _window(text: str, found: list[tuple[int, int]]) -> tuple[int, int]:
    """The stretch with the most different matched words, beginning at a sentence or else at a word."""
    if len(text) <= SNIPPET_LENGTH:
        return 0, len(text)
    best = _densest(text, found)
    start = max(0, best - LEAD_IN)
    if start:
        before = text[max(0, best - 2 * LEAD_IN) : best]
        ends = [end.end() for end in _SENTENCE_END.finditer(before)]
        if ends:
            start = best - len(before) + ends[0]
        elif text[start - 1] != " " and (space := text.find(" ", start, best)) != -1:
            start = space + 1
    end = min(len(text), start + SNIPPET_LENGTH)
    if end < len(text) and text[end] != " " and (space := text.rfind(" ", end - LEAD_IN, end)) != -1:
        end = space
    return start, end


def _densest(text: str, found: list[tuple[int, int]]) -> int:
    """Where the stretch begins that holds the most different ones of these matches; 0 where there are none."""
    words = [text[left:right].casefold() for left, right in found]
    inside: Counter[str] = Counter()
    best, most, last = 0, 0, 0
    for first, (left, _) in enumerate(found):
        while last < len(found) and found[last][1] <= left + SNIPPET_LENGTH - 2 * LEAD_IN:
            inside[words[last]] += 1
            last += 1
        # A phrase counts as many as it has words.
        if (here := sum(word.count(" ") + 1 for word in inside)) > most:
            best, most = left, here
        if last <= first:
            last = first + 1
            continue
        inside[words[first]] -= 1
        if not inside[words[first]]:
            del inside[words[first]]
    return best
