"""The pieces that chunks are made of: headings, paragraphs, lists, tables and code, and how to take them apart."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from ingestion.chunking_graphemes import may_cut
from ingestion.extraction_types import Page
from ingestion.tokens import TokenCounter

Kind = Literal["heading", "paragraph", "list", "table", "code"]

_HEADING = re.compile(r"(#{1,6})\s+(\S.*)")
_LIST_LINE = re.compile(r"\s*(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+\S")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"\|[\s:|-]+\|?\s*")
# A line that long is a paragraph that somebody began with a '#'.
_LONGEST_HEADING = 200
_BLOCK_GAP = "\n\n"
# Marks without width that say which way text runs may stand at either side of the space between sentences.
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_FULL_WIDTH_ENDS = "。！？；｡"
_FULL_WIDTH_CLOSERS = "」』”’）"
# Between sentences: after an end mark and white space, or directly after the full-width marks of scripts without
# spaces and the quotation marks that close behind them. Two characters before the mark keep 'z. B.' and initials
# together. Thai, Lao and often Khmer have no end marks: there text is cut at spaces, which end phrases.
_SENTENCE_GAP = re.compile(
    rf"(?<=[^\s.][^\s.][.!?…؟۔।॥።։။។៕།])[\"'»”’)\]{_DIRECTIONS}]*(\s+)"
    rf"(?=[{_DIRECTIONS}]*(?:[^\s\W_a-zà-öø-ÿ]|[\"'«„“‘(\[¿¡-]))"
    rf"|(?:(?<=[{_FULL_WIDTH_ENDS}])|(?<=[{_FULL_WIDTH_ENDS}][{_FULL_WIDTH_CLOSERS}]))"
    rf"(?![{_FULL_WIDTH_ENDS}{_FULL_WIDTH_CLOSERS}\s])"
    r"|(\n+)"
)
_SOFT_BREAK = re.compile(r"[\s\u200b]|(?<=[,;:、，：；·])")
# No language's token is longer; a window of that many characters a token is surely enough.
_CHARACTERS_PER_TOKEN = 12


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of the document, or a part of one.

    It begins at `start` in the text of its page. `gap` is the white space between it and the piece before. `section` is
    the path of headings above it, the outermost first. `context` is the head of the table that it goes on.
    """

    text: str
    kind: Kind
    page: Page
    start: int
    section: tuple[str, ...] = ()
    gap: str = _BLOCK_GAP
    context: str = ""


def pieces_of(pages: Sequence[Page]) -> Iterator[Piece]:
    """The blocks of all pages in order. A section goes on over pages until the next heading of its level."""
    outline: list[tuple[int, str]] = []
    for page in pages:
        end = 0
        for kind, start, lines in _blocks(page.text.split("\n")):
            text = "\n".join(lines).rstrip()
            if kind == "heading":
                marks, title = text.strip().split(maxsplit=1)
                outline = [(level, above) for level, above in outline if level < len(marks)]
                outline.append((len(marks), " ".join(title.split())))
            gap = page.text[end:start] if end else _BLOCK_GAP
            yield Piece(text, kind, page, start, tuple(title for _, title in outline), gap)
            end = start + len(text)


def split_piece(piece: Piece, limit: int, count: TokenCounter) -> Iterator[Piece]:
    """The piece's smallest natural parts: lines of a list, table or code, else sentences; each at most `limit`."""
    context = _table_head(piece)
    before, end = piece.gap, 0
    for start, text in _parts(piece.text, piece.kind):
        for within, part in _at_most(text, limit, count):
            begin = start + within
            gap = before + piece.text[end:begin]
            yield replace(piece, text=part, start=piece.start + begin, gap=gap, context=context)
            before, end = "", begin + len(part)


def trailing_text(pieces: Sequence[Piece], limit: int, count: TokenCounter) -> str:
    """The end of `pieces`, at most `limit` tokens: whole sentences or points, else words, else characters."""
    kind = pieces[-1].kind
    text = ""
    gap = ""
    for piece in reversed(pieces):
        if piece.kind != kind or piece.section != pieces[-1].section or len(text) > limit * _CHARACTERS_PER_TOKEN:
            break
        text = piece.text + gap + text
        gap = piece.gap
    window = text[-limit * _CHARACTERS_PER_TOKEN :]
    starts = [start for start, _ in _parts(window, kind)]
    # The window's own beginning is that of a sentence only when it is the text's.
    whole = starts if len(window) == len(text) else starts[1:]
    for places in (whole, _word_starts(window), range(len(window))):
        # Counts fall from place to place, so the first that fits is found by halving.
        first = bisect_left(places, True, key=lambda start: count(window[start:]) <= limit)
        while first < len(places):
            found = window[places[first] :].strip()
            if found and may_cut(text, len(text) - len(window) + places[first]):
                return found
            first += 1
    return ""


def beginning(text: str, limit: int, count: TokenCounter) -> str:
    """As much of the beginning of `text` as has at most `limit` tokens, in whole words where possible."""
    return next((part for _, part in _at_most(text, limit, count)), "")


def _word_starts(text: str) -> list[int]:
    return [match.end() for match in _SOFT_BREAK.finditer(text)]


def _blocks(lines: list[str]) -> Iterator[tuple[Kind, int, list[str]]]:
    """Runs of lines that belong together, each with the place of its first character in the text."""
    position = 0
    start = 0
    while position < len(lines):
        end = position + 1
        if lines[position].strip():
            kind = _kind(lines[position])
            end = _block_end(lines, position, kind)
            yield kind, start, lines[position:end]
        start += sum(map(len, lines[position:end])) + end - position
        position = end


def _kind(line: str) -> Kind:
    if line[0] == "#" and len(line) <= _LONGEST_HEADING and _HEADING.fullmatch(line.strip()):
        return "heading"
    if line[0] == "|":
        return "table"
    if _FENCE.match(line):
        return "code"
    return "list" if _LIST_LINE.match(line) else "paragraph"


def _block_end(lines: list[str], start: int, kind: Kind) -> int:
    """The index after the last line of the block that begins at `start`."""
    end = start + 1
    if kind == "heading":
        return end
    if kind == "code":
        fence = lines[start].strip()[:3]
        while end < len(lines) and not lines[end].strip().startswith(fence):
            end += 1
        return min(end + 1, len(lines))
    while end < len(lines):
        line = lines[end]
        if not line.strip():
            if kind != "list" or not _goes_on(lines, end):
                break
        elif _kind(line) != kind and not (kind == "list" and _kind(line) == "paragraph"):
            break
        end += 1
    return end


def _goes_on(lines: list[str], blank: int) -> bool:
    """Whether a list goes on after a blank line: with a further point, or an indented line."""
    after = lines[blank + 1] if blank + 1 < len(lines) else ""
    return bool(after.strip()) and (_kind(after) == "list" or after.startswith("  ")) and not _FENCE.match(after)


def _parts(text: str, kind: Kind) -> Iterator[tuple[int, str]]:
    """(place, part) in order: the points of a list, the rows of a table or lines of code, else sentences."""
    if kind in ("paragraph", "heading"):
        yield from _sentences(text)
        return
    start = end = 0
    for line in text.split("\n"):
        if end and (kind != "list" or _LIST_LINE.match(line)):
            yield start, text[start : end - 1]
            start = end
        end += len(line) + 1
    yield start, text[start:]


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for match in _SENTENCE_GAP.finditer(text):
        end = match.end() - len(match[1] or match[2] or "")
        if end > start and may_cut(text, match.end()):
            yield start, text[start:end]
            start = match.end()
    if start < len(text):
        yield start, text[start:]


def _at_most(text: str, limit: int, count: TokenCounter) -> Iterator[tuple[int, str]]:
    """(place, part) of at most `limit` tokens each, cut between words, else between characters."""
    start = 0
    while start < len(text):
        end = _cut(text, start, limit, count)
        part = text[start:end].rstrip()
        if part:
            yield start, part
        start = end


def _cut(text: str, start: int, limit: int, count: TokenCounter) -> int:
    """Where the part that begins at `start` has to end."""
    end = min(len(text), start + limit * _CHARACTERS_PER_TOKEN)
    tokens = count(text[start:end])
    if tokens <= limit:
        return end if end == len(text) else _soft_cut(text, start, end)
    while tokens > limit and end - start > 1:
        end = start + max(1, min(end - start - 1, (end - start) * limit // tokens))
        tokens = count(text[start:end])
    return _soft_cut(text, start, end)


def _soft_cut(text: str, start: int, end: int) -> int:
    """The last break in the second half of text[start:end], else the last place between two written characters."""
    middle = start + (end - start) // 2
    breaks = [match.end() for match in _SOFT_BREAK.finditer(text, middle, end) if match.end() > start]
    for place in chain(reversed(breaks), range(end, start, -1)):
        if may_cut(text, place):
            return place
    return end


def _table_head(piece: Piece) -> str:
    """The header row of a Markdown table with its rule, or ''."""
    if piece.kind != "table":
        return ""
    lines = piece.text.split("\n", 2)
    return "\n".join(lines[:2]) if len(lines) > 2 and _TABLE_RULE.fullmatch(lines[1]) else ""
