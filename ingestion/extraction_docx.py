"""Word to pages: headings, lists, tables, text boxes and notes, cut where Word last broke its pages.

The main part is read block by block, so that an 800-page handbook costs as little memory as a letter.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table, read_html
from ingestion.extraction_mail import message_text
from ingestion.extraction_ooxml import BROKEN, COMPATIBILITY, DRAWING, RELATION_ID, Package, chart_lines
from ingestion.extraction_origin import day
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, Limits, Page

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_CHART_REFERENCE = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_VAL = f"{_W}val"
_PAGE_BREAK = "\f"
_HEADING_NAME = re.compile(r"(?:heading|überschrift|titre|título|titolo)\s*([1-9])", re.IGNORECASE)
_DEEPEST_HEADING = 6
_DEEPEST_TABLE = 20
_MOST_INDENT = 8
_FOREIGN_TYPES = (".htm", ".html", ".xhtml", ".mht", ".mhtml", ".txt")


@dataclass
class _Style:
    """What a paragraph style says, its own and what it is based on."""

    heading: int = 0
    numbering: str = ""
    level: int = 0


@dataclass
class _Reading:
    """What blocks need to know of the document around them."""

    package: Package
    main: str
    styles: dict[str, _Style]
    bullets: frozenset[tuple[str, int]]
    notes: dict[str, str]
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    pending_notes: list[str] = field(default_factory=list)
    rendered_breaks: bool = False


def read_docx(path: Path, limits: Limits) -> Extraction:
    with Package(path) as package:
        main = next(iter(package.related("", "officeDocument")), "word/document.xml")
        reading = _Reading(
            package=package,
            main=main,
            styles=_styles(package, main),
            bullets=_bullets(package, main),
            notes=_notes(package, main),
            rendered_breaks=_has_rendered_breaks(package, main),
        )
        pages = tuple(_pages(reading))
        return Extraction(
            kinds.DOCX,
            pages,
            package.core_property("title"),
            package.core_property("language"),
            authors=(package.core_property("creator"),),
            written_on=day(package.core_property("created")),
        )


def _pages(reading: _Reading) -> Iterator[Page]:
    number = 1
    blocks: list[str] = []
    for block in _blocks(reading):
        *finished, rest = block.split(_PAGE_BREAK)
        for text in finished:
            blocks.append(text)
            yield Page(number, _join([*blocks, *reading.pending_notes]))
            reading.pending_notes.clear()
            blocks.clear()
            number += 1
        blocks.append(rest)
    yield Page(number, _join([*blocks, *reading.pending_notes]))


def _join(blocks: list[str]) -> str:
    """Blocks with a blank line between, except within a list."""
    text = ""
    for block in filter(str.strip, blocks):
        listed = _is_point(block) and _is_point(text.rsplit("\n", 1)[-1])
        text += ("\n" if listed else "\n\n" if text else "") + block.strip("\n")
    return text


def _is_point(line: str) -> bool:
    return re.match(r"\s*(?:-|\d+\.) ", line) is not None


def _blocks(reading: _Reading) -> Iterator[str]:
    """The text of each block of the body as Markdown, page breaks as form feeds."""
    depth = 0
    body: ElementTree.Element | None = None
    try:
        with reading.package.stream(reading.main) as stream:
            # S314: the package refuses declarations, and without them there is nothing to expand.
            for event, node in ElementTree.iterparse(stream, events=("start", "end")):  # noqa: S314  # nosec B314  # see above
                if event == "start":
                    depth += 1
                    if depth == 2 and node.tag == f"{_W}body":
                        body = node
                    continue
                depth -= 1
                if depth == 2 and body is not None:
                    yield from _block(node, reading, 0)
                    body.clear()
    except ElementTree.ParseError as error:
        raise BROKEN from error


def _block(node: ElementTree.Element, reading: _Reading, depth: int) -> Iterator[str]:
    if node.tag == f"{_W}p":
        yield from _paragraph(node, reading)
    elif node.tag == f"{_W}tbl":
        yield _table(node, reading, depth)
    elif node.tag == f"{_W}altChunk":
        yield _foreign_part(node, reading)
    elif node.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}moveTo", f"{_W}customXml", f"{_W}smartTag"):
        for child in node:
            yield from _block(child, reading, depth)


def _paragraph(node: ElementTree.Element, reading: _Reading) -> Iterator[str]:
    properties = node.find(f"{_W}pPr")
    style = reading.styles.get(_value(properties, "pStyle"), _Style())
    boxes: list[ElementTree.Element] = []
    text = _run_text(node, reading, boxes)
    if not reading.rendered_breaks and properties is not None:
        if _is_on(properties.find(f"{_W}pageBreakBefore")):
            text = _PAGE_BREAK + text
        section = properties.find(f"{_W}sectPr")
        if section is not None and _value(section, "type") != "continuous":
            text += _PAGE_BREAK
    yield _as_markdown(text, properties, style, reading)
    for box in boxes:
        for child in box:
            yield from _block(child, reading, _DEEPEST_TABLE)


def _as_markdown(text: str, properties: ElementTree.Element | None, style: _Style, reading: _Reading) -> str:
    words = text.strip(" \n\t")
    if not words.strip(_PAGE_BREAK + " \n"):
        return words
    before = words[: len(words) - len(words.lstrip(_PAGE_BREAK + " \n"))]
    words = words[len(before) :]
    heading = _outline_level(properties) or style.heading
    if heading:
        # A page break inside a heading would tear it apart.
        breaks = words.count(_PAGE_BREAK)
        flat = " ".join(words.replace(_PAGE_BREAK, " ").split())
        return f"{before}{'#' * heading} {flat}{_PAGE_BREAK * breaks}"
    numbering, level = _numbering(properties, style)
    if not numbering:
        return before + words
    return before + "  " * min(level, _MOST_INDENT) + _mark(numbering, level, reading) + words


def _mark(numbering: str, level: int, reading: _Reading) -> str:
    if (numbering, level) in reading.bullets:
        return "- "
    count = reading.counts.get((numbering, level), 0) + 1
    reading.counts[numbering, level] = count
    for deeper in range(level + 1, 10):
        reading.counts.pop((numbering, deeper), None)
    return f"{count}. "


def _run_text(node: ElementTree.Element, reading: _Reading, boxes: list[ElementTree.Element]) -> str:
    """The text of a paragraph; text boxes anchored in it are put into `boxes`."""
    pieces: list[str] = []
    waiting = list(reversed(node))
    while waiting:
        part = waiting.pop()
        tag = part.tag
        if tag in (f"{_W}t", _MATH_TEXT, f"{DRAWING}t"):
            pieces.append(part.text or "")
        elif tag == f"{_W}br":
            is_page = part.get(f"{_W}type") == "page"
            pieces.append("\n" if not is_page else "" if reading.rendered_breaks else _PAGE_BREAK)
        elif tag == f"{_W}lastRenderedPageBreak":
            pieces.append(_PAGE_BREAK)
        elif tag in (f"{_W}tab", f"{_W}ptab", f"{_W}cr"):
            pieces.append(" ")
        elif tag == f"{_W}noBreakHyphen":
            pieces.append("-")
        elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
            pieces.append(_note_mark(part, reading))
        elif tag == f"{_W}txbxContent":
            boxes.append(part)
        elif tag == _CHART_REFERENCE:
            pieces.append(_chart(part, reading))
        elif tag not in (f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{COMPATIBILITY}Fallback"):
            waiting += reversed(part)
    return "".join(pieces)


def _note_mark(reference: ElementTree.Element, reading: _Reading) -> str:
    kind = reference.tag.removeprefix(_W).removesuffix("Reference")
    number = reference.get(f"{_W}id", "")
    text = reading.notes.get(f"{kind} {number}", "")
    if not text:
        return ""
    reading.pending_notes.append(f"[^{number}]: {text}")
    return f"[^{number}]"


def _chart(reference: ElementTree.Element, reading: _Reading) -> str:
    part = reading.package.relations(reading.main).get(reference.get(RELATION_ID, ""), ("", ""))[1]
    tree = reading.package.tree(part)
    return "" if tree is None else "\n".join(chart_lines(tree))


def _table(node: ElementTree.Element, reading: _Reading, depth: int) -> str:
    """A table as Markdown; one of a single column, which is layout, as the blocks that it holds."""
    rows = [list(_children(row, "tc")) for row in _children(node, "tr")]
    if depth < _DEEPEST_TABLE and all(len(row) <= 1 for row in rows):
        return _join(
            [text for row in rows for cell in row for child in cell for text in _block(child, reading, depth + 1)]
        )
    cells = [[_cell_text(cell, reading) for cell in row] for row in rows]
    table = as_table([[" ".join(cell.replace(_PAGE_BREAK, " ").split()) for cell in row] for row in cells])
    # A table that runs over pages stays whole, on the page where it begins. Each cell of a row may tell of the same
    # break, so they are counted by row.
    breaks = sum(max((cell.count(_PAGE_BREAK) for cell in row), default=0) for row in cells)
    return table + _PAGE_BREAK * breaks


def _cell_text(cell: ElementTree.Element, reading: _Reading) -> str:
    texts: list[str] = []
    for paragraph in cell.iter(f"{_W}p"):
        boxes: list[ElementTree.Element] = []
        texts.append(_run_text(paragraph, reading, boxes))
    return " ".join(texts)


def _children(node: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Direct children of that name, also those wrapped in content controls or tracked changes."""
    for child in node:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _children(child, name)


def _foreign_part(node: ElementTree.Element, reading: _Reading) -> str:
    """A part in another format that Word takes in when it opens the file."""
    part = reading.package.relations(reading.main).get(node.get(RELATION_ID, ""), ("", ""))[1]
    data = reading.package.read(part)
    if not part.lower().endswith(_FOREIGN_TYPES):
        return ""
    if part.lower().endswith((".mht", ".mhtml")):
        return message_text(email.message_from_bytes(data, policy=email.policy.default))
    text = decode(data)
    return text if part.lower().endswith(".txt") else read_html(text).text


def _has_rendered_breaks(package: Package, main: str) -> bool:
    """Whether Word noted where its pages ended when it last saved: then only those marks are counted."""
    mark = b"lastRenderedPageBreak"
    before = b""
    with package.stream(main) as stream:
        while block := stream.read(1 << 20):
            if mark in before + block:
                return True
            before = block[-len(mark) :]
    return False


def _styles(package: Package, main: str) -> dict[str, _Style]:
    part = next(iter(package.related(main, "styles")), "")
    tree = package.tree(part)
    nodes = {} if tree is None else {style.get(f"{_W}styleId", ""): style for style in tree.iter(f"{_W}style")}
    return {name: _style(name, nodes) for name in nodes}


def _style(name: str, nodes: dict[str, ElementTree.Element]) -> _Style:
    style = _Style()
    seen: set[str] = set()
    while name in nodes and name not in seen:
        seen.add(name)
        node = nodes[name]
        properties = node.find(f"{_W}pPr")
        style.heading = style.heading or _outline_level(properties) or _named_level(_value(node, "name"))
        if not style.numbering:
            style.numbering, style.level = _numbering(properties, _Style())
        name = _value(node, "basedOn")
    return style


def _named_level(name: str) -> int:
    if name.lower() == "title":
        return 1
    match = _HEADING_NAME.fullmatch(name)
    return min(int(match[1]), _DEEPEST_HEADING) if match else 0


def _outline_level(properties: ElementTree.Element | None) -> int:
    level = _value(properties, "outlineLvl")
    # 9 is 'body text'
    return min(int(level) + 1, _DEEPEST_HEADING) if level.isdigit() and int(level) < 9 else 0


def _numbering(properties: ElementTree.Element | None, style: _Style) -> tuple[str, int]:
    mark = None if properties is None else properties.find(f"{_W}numPr")
    if mark is None:
        return style.numbering, style.level
    level = _value(mark, "ilvl")
    number = _value(mark, "numId") or style.numbering
    return ("" if number == "0" else number), int(level) if level.isdigit() else style.level


def _bullets(package: Package, main: str) -> frozenset[tuple[str, int]]:
    """(numbering, level) of the lists with bullets; the others are counted."""
    tree = package.tree(next(iter(package.related(main, "numbering")), ""))
    if tree is None:
        return frozenset()
    formats: dict[str, dict[int, str]] = {}
    for abstract in tree.iter(f"{_W}abstractNum"):
        levels = {int(level.get(f"{_W}ilvl", "0")): _value(level, "numFmt") for level in abstract.iter(f"{_W}lvl")}
        formats[abstract.get(f"{_W}abstractNumId", "")] = levels
    return frozenset(
        (number.get(f"{_W}numId", ""), level)
        for number in tree.iter(f"{_W}num")
        for level, kind in formats.get(_value(number, "abstractNumId"), {}).items()
        if kind in ("bullet", "none", "")
    )


def _notes(package: Package, main: str) -> dict[str, str]:
    """'footnote 3' -> its text."""
    found: dict[str, str] = {}
    for kind in ("footnote", "endnote"):
        for part in package.related(main, f"{kind}s"):
            tree = package.tree(part)
            for note in () if tree is None else tree.iter(f"{_W}{kind}"):
                text = " ".join("".join(word.text or "" for word in note.iter(f"{_W}t")).split())
                found[f"{kind} {note.get(f'{_W}id', '')}"] = text
    return found


def _value(node: ElementTree.Element | None, name: str) -> str:
    """The `w:val` of a child, or ''."""
    child = None if node is None else node.find(f"{_W}{name}")
    return "" if child is None else child.get(_VAL, "")


def _is_on(switch: ElementTree.Element | None) -> bool:
    return switch is not None and switch.get(_VAL, "true") not in ("0", "false", "off")
