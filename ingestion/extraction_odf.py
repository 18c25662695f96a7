"""OpenDocument text and slides (ODT, ODP): headings, paragraphs, lists, tables and notes; each slide is a page.

Our own reader: kreuzberg 4.10 refuses ODP. Format: OpenDocument 1.3, part 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table
from ingestion.extraction_markdown import joined
from ingestion.extraction_ooxml import BROKEN, Package
from ingestion.extraction_origin import day
from ingestion.extraction_types import Extraction, Limits, Page

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
_DROPPED = frozenset((
    f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_OFFICE}forms", f"{_TEXT}bibliography-mark",
    f"{_TEXT}sequence-decls", f"{_TEXT}variable-decls",
))  # fmt: skip
_LINES = (f"{_TEXT}p", f"{_TEXT}h")
_FURNITURE = frozenset(("page-number", "footer", "header", "date-time", "page"))
_DEEPEST_HEADING = 6
_MOST_INDENT = 8
_MOST_REPEATED = 100
_DEEPEST = 200


def read_odf(path: Path, limits: Limits, *, kind: str) -> Extraction:
    with Package(path) as package:
        content = package.tree("content.xml")
        body = None if content is None else content.find(f"{_OFFICE}body")
        if body is None:
            raise BROKEN
        slides = body.findall(f"{_OFFICE}presentation/{_DRAW}page")
        if kind == kinds.ODP:
            pages = tuple(Page(number, _slide(slide)) for number, slide in enumerate(slides, start=1))
        else:
            pages = (Page(1, joined(_blocks(body, 0))),)
        meta = package.tree("meta.xml")
        return Extraction(
            kind,
            pages,
            _told(meta, f"{_DUBLIN_CORE}title"),
            _told(meta, f"{_DUBLIN_CORE}language"),
            authors=(_told(meta, f"{_META}initial-creator") or _told(meta, f"{_DUBLIN_CORE}creator"),),
            written_on=day(_told(meta, f"{_META}creation-date")),
        )


def _told(meta: ElementTree.Element | None, tag: str) -> str:
    node = None if meta is None else meta.find(f".//{tag}")
    return "" if node is None else (node.text or "").strip()


def _slide(slide: ElementTree.Element) -> str:
    """Title first, then the other shapes in the order of the file, then the speaker's notes."""
    shapes = [shape for shape in slide if shape.tag != f"{_PRESENTATION}notes"]
    shapes.sort(key=lambda shape: shape.get(f"{_PRESENTATION}class") != "title")
    blocks: list[str] = []
    for shape in shapes:
        role = shape.get(f"{_PRESENTATION}class", "")
        found = list(_blocks(shape, 0)) if role not in _FURNITURE else []
        if role == "title" and found:
            found = [f"# {' '.join(' '.join(found).split())}"]
        blocks += found
    for notes in slide.findall(f"{_PRESENTATION}notes"):
        for frame in notes:
            if frame.get(f"{_PRESENTATION}class") == "notes":
                blocks += _blocks(frame, 0)
    return joined(blocks)


def _blocks(node: ElementTree.Element, depth: int) -> Iterator[str]:
    """The text below `node` as Markdown blocks. Beyond 200 levels everything is one block."""
    for child in node:
        tag = child.tag
        if tag in _DROPPED:
            continue
        if depth > _DEEPEST:
            yield " ".join("".join(child.itertext()).split())
        elif tag == f"{_TEXT}h":
            yield from _heading(child)
        elif tag == f"{_TEXT}p":
            yield from _paragraph(child, depth)
        elif tag == f"{_TEXT}list":
            yield from _list(child, 0)
        elif tag == f"{_TABLE}table":
            yield _table(child)
        else:
            yield from _blocks(child, depth + 1)


def _heading(node: ElementTree.Element) -> Iterator[str]:
    boxes: list[ElementTree.Element] = []
    level = node.get(f"{_TEXT}outline-level", "1")
    text = " ".join(_line(node, boxes).split())
    if text:
        yield f"{'#' * min(int(level) if level.isdigit() else 1, _DEEPEST_HEADING)} {text}"


def _paragraph(node: ElementTree.Element, depth: int) -> Iterator[str]:
    boxes: list[ElementTree.Element] = []
    yield _line(node, boxes).strip()
    for box in boxes:
        yield from _blocks(box, depth + 1)


def _list(node: ElementTree.Element, level: int) -> Iterator[str]:
    for point in node:
        mark = "  " * min(level, _MOST_INDENT) + "- "
        for child in point:
            if child.tag == f"{_TEXT}list":
                yield from _list(child, level + 1) if level < _DEEPEST else _blocks(child, _DEEPEST)
            elif child.tag in _LINES:
                text = " ".join(_line(child, []).split())
                if text:
                    yield mark + text
                    mark = "  " * min(level + 1, _MOST_INDENT)


def _table(node: ElementTree.Element) -> str:
    rows: list[list[str]] = []
    for row in node.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row:
            if cell.tag in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                text = " ".join(" ".join(_line(part, []) for part in cell.iter() if part.tag in _LINES).split())
                repeated = cell.get(f"{_TABLE}number-columns-repeated", "1")
                cells += [text] * min(int(repeated) if repeated.isdigit() else 1, _MOST_REPEATED)
        rows.append(cells)
    return as_table(rows)


def _line(node: ElementTree.Element, boxes: list[ElementTree.Element]) -> str:
    """A paragraph's text; frames and shapes anchored in it are put into `boxes`, its notes into brackets."""
    pieces = [node.text or ""]
    waiting = [(child, child.tail or "") for child in reversed(node)]
    while waiting:
        child, tail = waiting.pop()
        tag = child.tag
        if tag == "":
            pieces.append(tail)
            continue
        if tag in (f"{_TEXT}s", f"{_TEXT}tab"):
            pieces.append(" ")
        elif tag == f"{_TEXT}line-break":
            pieces.append("\n")
        elif tag == f"{_TEXT}note":
            pieces.append(f" ({' '.join(_note(child).split())})")
        elif tag.startswith(_DRAW):
            boxes.append(child)
        elif tag not in _DROPPED:
            pieces.append(child.text or "")
            end = ElementTree.Element("")
            waiting.append((end, tail))
            waiting += [(inner, inner.tail or "") for inner in reversed(child)]
            continue
        pieces.append(tail)
    return "".join(pieces)


def _note(node: ElementTree.Element) -> str:
    body = node.find(f"{_TEXT}note-body")
    return "" if body is None else " ".join("".join(part.itertext()) for part in body)
