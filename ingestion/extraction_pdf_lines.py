"""Lines of a page to paragraphs: for PDF and recognised text, which know only lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

LIST_MARK = re.compile(r"(?:[-–—•●○▪■◦‣⁃∙·*✓➢]|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)])\s+\S")
_BULLET = re.compile(r"^[•●○▪■◦‣⁃∙·➢]\s+")
_NUMBER_ONLY = re.compile(
    r"(?:page|seite|p\.|página|pagina)?\s*[-–]?\s*\d{1,4}\s*[-–]?(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?", re.IGNORECASE
)
_IDEOGRAPH = re.compile("[\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60]")
SENTENCE_END = re.compile(r"[.!?:;。！？：；؟…][\"'”’»)\]]*$")
_LONGEST_HEADING = 120
# A line shorter than this share of the page's usual line ends a paragraph when it also ends a sentence.
_SHORT_LINE = 0.8
# A line shorter than this stands alone: a line of a table, an address or a form.
_STUB_LINE = 0.45
# Pages whose usual line is shorter than this have no full lines to compare with.
_FULL_LINE = 60
_FEWEST_LINES_TO_STRIP = 5


@dataclass(frozen=True)
class LineHeading:
    level: int
    is_large: bool


NO_HEADINGS: Mapping[str, LineHeading] = MappingProxyType({})


def key(text: str) -> str:
    """A line's letters and digits, by which a heading is found again."""
    return "".join(character for character in text if character.isalnum()).casefold()


def shape(text: str) -> str:
    """A line with its numbers made alike, by which running titles are found again."""
    return re.sub(r"\d+", "0", " ".join(text.split()))


def as_markdown(
    text: str, headings: Mapping[str, LineHeading] = NO_HEADINGS, furniture: frozenset[str] = frozenset()
) -> str:
    """A page's lines as headings, paragraphs and lists, without the lines whose shape is in `furniture`."""
    lines = _strip_furniture([" ".join(line.split()) for line in text.split("\n")], headings, furniture)
    widths = sorted(len(line) for line in lines if line)
    usual = widths[int(len(widths) * 0.8)] if widths else 0
    blocks: list[str] = []
    paragraph: list[str] = []
    above: LineHeading | None = None

    def end_paragraph() -> None:
        if paragraph:
            blocks.append(_joined(paragraph))
            paragraph.clear()

    for position, line in enumerate(lines):
        following = lines[position + 1] if position + 1 < len(lines) else ""
        heading: LineHeading | None = None
        if not line:
            end_paragraph()
        elif heading := _heading(line, following, headings, usual):
            end_paragraph()
            if heading is above and heading.is_large:
                blocks[-1] += f" {line}"
            else:
                blocks.append(f"{'#' * heading.level} {line}")
        else:
            if LIST_MARK.match(line):
                end_paragraph()
                line = _BULLET.sub("- ", line)
            paragraph.append(_as_text(line))
            if _ends_paragraph(line, following, usual):
                end_paragraph()
        above = heading
    end_paragraph()
    return _join(blocks)


def _as_text(line: str) -> str:
    """A line of text that looks like a Markdown heading is none."""
    return re.sub(r"^(#{1,6}) ", r"\1", line)


def _strip_furniture(lines: list[str], headings: Mapping[str, LineHeading], furniture: frozenset[str]) -> list[str]:
    """Without page numbers and running titles at the page's ends, where it holds more than these."""
    filled = [position for position, line in enumerate(lines) if line]
    if len(filled) < _FEWEST_LINES_TO_STRIP:
        return lines
    dropped: set[int] = set()
    for ends in (filled[:2], filled[:-3:-1]):
        for position in ends:
            line = lines[position]
            heading = headings.get(key(line))
            is_furniture = shape(line) in furniture and not (heading and heading.is_large)
            if not is_furniture and not _NUMBER_ONLY.fullmatch(line):
                break
            dropped.add(position)
    return [line for position, line in enumerate(lines) if position not in dropped]


def _heading(line: str, following: str, headings: Mapping[str, LineHeading], usual: int) -> LineHeading | None:
    """The heading that a line is, if any. The library's word is checked: it often takes text for one."""
    heading = headings.get(key(line))
    if heading is None or not 1 < len(line) <= _LONGEST_HEADING or not any(character.isalpha() for character in line):
        return None
    if _BULLET.match(line) or line[:2] in ("- ", "– ", "* ") or line.endswith((".", ",", ";")):
        return None
    if heading.is_large:
        return heading
    # Bold text of the common size: a heading where text follows, but not where a sentence goes on, nor a table's head.
    goes_on = following[:1].islower() or len(line) > usual * _SHORT_LINE > _FULL_LINE * _SHORT_LINE
    before_stubs = 0 < len(following) < usual * _STUB_LINE and LIST_MARK.match(following) is None
    return None if goes_on or before_stubs else heading


def _joined(lines: list[str]) -> str:
    """Lines as one paragraph; between characters of scripts without spaces, without one."""
    text = lines[0]
    for line in lines[1:]:
        text += line if _IDEOGRAPH.match(text[-1:]) and _IDEOGRAPH.match(line) else f" {line}"
    return text


def _ends_paragraph(line: str, following: str, usual: int) -> bool:
    if not following or LIST_MARK.match(following):
        return True
    if following[:1].islower():
        return False
    if len(line) < usual * _STUB_LINE:
        return True
    return len(line) < usual * _SHORT_LINE and SENTENCE_END.search(line) is not None


def _join(blocks: list[str]) -> str:
    text = ""
    listed_before = False
    for block in blocks:
        listed = LIST_MARK.match(block) is not None
        text += ("\n" if listed and listed_before else "\n\n" if text else "") + block
        listed_before = listed
    return text
