"""A document's chunks as text to read: headings, lists and tables as safe HTML, the search's words marked. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Protocol

from django.utils.safestring import SafeString, mark_safe

from search.finding import spans
from search.presentation import SECTION_SEPARATOR
from search.snippets import matches

LONGEST_OVERLAP = 2400
"""Characters in which a repeated beginning is looked for: more than the chunker's 40 tokens of overlap ever are."""

SHORTEST_OVERLAP = 12
"""Below this many characters a repetition is chance, not overlap."""

RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})
"""Languages written from right to left in their usual script."""

Marks = Callable[[str], Iterable[tuple[int, int]]]
"""What tells which stretches of a text are marked."""

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+)$")
_POINT = re.compile(r"^[ \t]*(?:[-*+•]|(\d{1,3})[.)])[ \t]+(.+)$")
_ROW = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$")
_RULE = re.compile(r"^[ \t|:-]+$")
_CELL_END = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)")


class StoredChunk(Protocol):
    """What is read of a chunk."""

    pk: int
    text: str
    page_number: int
    section_title: str


@dataclass(frozen=True)
class ReadPassage:
    """One chunk as it is read. `opened` when the reader came for it; `section` when a new section begins with it."""

    html: SafeString
    section: str = ""
    opened: bool = False


@dataclass(frozen=True)
class ReadPage:
    """One page of a document with its passages in order. `opened` when the reader came for it."""

    number: int
    passages: tuple[ReadPassage, ...]
    opened: bool = False


def is_right_to_left(language: str) -> bool:
    """Whether a language is written from right to left."""
    return language.partition("-")[0] in RIGHT_TO_LEFT


def read_pages(
    chunks: Iterable[StoredChunk],
    *,
    words: str = "",
    sought: str = "",
    passage: int | None = None,
    page: int | None = None,
) -> list[ReadPage]:
    """The pages that these chunks, in order, make up.

    Chunks overlap so that no answer is cut in two; what a chunk repeats of the one before is shown once. The
    words of a search are marked; where something is `sought` within the document, that is, and nothing else. `passage`
    (a chunk) and `page` say what the reader came for; the page only counts without the passage.
    """
    pages: list[ReadPage] = []
    text_before, section_before = "", ""
    above: list[int] = []
    marks = partial(spans, sought=sought) if sought else _marks_of(words)
    for chunk in chunks:
        if not pages or pages[-1].number != chunk.page_number:
            pages.append(ReadPage(chunk.page_number, ()))
            above = []
        html = mark_safe(_html(without_overlap(text_before, chunk.text), marks, above))  # noqa: S308  # nosec B308 B703  # it escapes
        title = chunk.section_title.rpartition(SECTION_SEPARATOR)[2]
        shown = title if title != section_before and not _has_heading(chunk.text, title) else ""
        read = ReadPassage(html, shown, opened=chunk.pk == passage)
        pages[-1] = replace(pages[-1], passages=(*pages[-1].passages, read))
        text_before, section_before = chunk.text, title
    if page and not any(read.opened for one in pages for read in one.passages):
        # A page on which no passage begins is read with the one before it.
        begun = max((one.number for one in pages if one.number <= page), default=None)
        pages = [replace(one, opened=one.number == begun) for one in pages]
    return pages


def without_overlap(before: str, text: str) -> str:
    """The text without what its beginning repeats of the end of the text before it."""
    tail = before.rstrip()[-LONGEST_OVERLAP:]
    text = text.lstrip("\n")
    for length in range(min(len(tail), len(text)), SHORTEST_OVERLAP - 1, -1):
        if tail.endswith(text[:length].rstrip()):
            return text[length:].lstrip()
    return text


def _has_heading(text: str, title: str) -> bool:
    """Whether the text itself names this section, so that it need not be shown above it."""
    return any(found[2].strip() == title.strip() for line in text.split("\n") if (found := _HEADING.match(line)))


def render(text: str, words: str = "", above: list[int] | None = None) -> str:
    """HTML of the corpus' plain Markdown (headings, lists, tables, code), everything escaped, the words marked.

    Headings start at level 3, below the page's own, and never skip a level, whatever the author did; how they look
    (`rank-N`) follows the author. `above` are the author's levels of the headings that are open, and is kept up.
    """
    return _html(text, _marks_of(words), [] if above is None else above)


def _marks_of(words: str) -> Marks:
    """What marks the words of a search."""
    return partial(matches, query=words) if words else lambda text: ()


def _html(text: str, marks: Marks, above: list[int]) -> str:
    return "".join(_blocks(text.split("\n"), marks, above))


def _blocks(lines: Sequence[str], marks: Marks, above: list[int]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif heading := _HEADING.match(line):
            rank = len(heading[1])
            above[:] = [*(one for one in above if one < rank), rank]
            level = min(len(above) + 2, 6)
            yield f'<h{level} class="rank-{min(rank, 4)}" dir="auto">{_marked(heading[2], marks)}</h{level}>'
            at += 1
        elif _FENCE.match(line):
            end = next((i for i in range(at + 1, len(lines)) if _FENCE.match(lines[i])), len(lines))
            yield f'<pre tabindex="0"><code>{_marked(chr(10).join(lines[at + 1 : end]), marks)}</code></pre>'
            at = end + 1
        else:
            kind = _kind(line)
            end = at + 1
            while end < len(lines) and lines[end].strip() and _continues(kind, lines[end]):
                end += 1
            yield _RENDERERS[kind](lines[at:end], marks)
            at = end


def _kind(line: str) -> str:
    if _ROW.match(line):
        return "table"
    return "list" if _POINT.match(line) else "paragraph"


def _continues(kind: str, line: str) -> bool:
    """Whether a line belongs to the block that is being gathered; a list's points may run over several lines."""
    if _HEADING.match(line) or _FENCE.match(line):
        return False
    return _kind(line) == kind or (kind == "list" and _kind(line) == "paragraph")


def _paragraph(lines: Sequence[str], marks: Marks) -> str:
    return f'<p dir="auto">{_marked(" ".join(line.strip() for line in lines), marks)}</p>'


def _list(lines: Sequence[str], marks: Marks) -> str:
    points: list[str] = []
    first_number: str | None = None
    for line in lines:
        if point := _POINT.match(line):
            first_number = point[1] if not points else first_number
            points.append(point[2].strip())
        else:
            points[-1] += " " + line.strip()
    body = "".join(f"<li>{_marked(point, marks)}</li>" for point in points)
    if first_number:
        return f'<ol dir="auto" start="{int(first_number)}">{body}</ol>'
    return f'<ul dir="auto">{body}</ul>'


def _table(lines: Sequence[str], marks: Marks) -> str:
    """A table whose first row is its heading when a rule follows it, which is how Markdown says so."""
    ruled = len(lines) > 1 and bool(_RULE.match(lines[1]))
    rows = [_cells(line) for line in lines if not _RULE.match(line)]
    html = []
    for position, row in enumerate(rows):
        head = ruled and position == 0
        cells = "".join(_cell(cell, marks, head=head) for cell in row)
        html.append(f"<thead><tr>{cells}</tr></thead>" if head else f"<tr>{cells}</tr>")
    return f'<div class="wide" tabindex="0" role="group"><table dir="auto">{"".join(html)}</table></div>'


def _cell(text: str, marks: Marks, *, head: bool) -> str:
    """A cell; an empty one heads nothing."""
    tag, scope = ("th", ' scope="col"') if head and text else ("td", "")
    return f"<{tag}{scope}>{_marked(text, marks)}</{tag}>"


def _cells(line: str) -> list[str]:
    row = _ROW.match(line)
    return [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(row[1])] if row else [line.strip()]


_RENDERERS = {"paragraph": _paragraph, "list": _list, "table": _table}


def _marked(text: str, marks: Marks) -> str:
    """The text escaped, what is to be marked in <mark>."""
    pieces, at = [], 0
    for left, right in marks(text):
        pieces += [escape(text[at:left]), "<mark>", escape(text[left:right]), "</mark>"]
        at = right
    return "".join([*pieces, escape(text[at:])])
