"""PowerPoint to pages: one page a slide, in the order of the show, with tables, SmartArt, charts and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table
from ingestion.extraction_ooxml import (
    BROKEN,
    COMPATIBILITY,
    DRAWING,
    RELATION_ID,
    Package,
    chart_lines,
    drawing_lines,
    paragraph_text,
)
from ingestion.extraction_origin import day
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = frozenset(("title", "ctrTitle"))
_FURNITURE = frozenset(("sldNum", "ftr", "dt", "hdr", "sldImg"))
# Date and footer are worth keeping where they are not the same on every slide.
_FOOTERS = frozenset(("ftr", "dt"))
_MOST_INDENT = 8


def read_pptx(path: Path, limits: Limits) -> Extraction:
    with Package(path) as package:
        main = next(iter(package.related("", "officeDocument")), "ppt/presentation.xml")
        slides = _slides(package, main)
        if not slides:
            raise ExtractionError("empty", "The presentation has no slides.")
        trees = [package.tree(slide) for slide in slides]
        footers = Counter(line for tree in trees if tree is not None for line in _footer_lines(tree))
        single = frozenset(line for line, count in footers.items() if count == 1)
        pages = tuple(
            Page(number, _slide_text(package, slide, tree, single))
            for number, (slide, tree) in enumerate(zip(slides, trees, strict=True), start=1)
        )
        return Extraction(
            kinds.PPTX,
            pages,
            package.core_property("title"),
            package.core_property("language"),
            authors=(package.core_property("creator"),),
            written_on=day(package.core_property("created")),
        )


def _slides(package: Package, main: str) -> list[str]:
    tree = package.tree(main)
    if tree is None:
        raise BROKEN
    relations = package.relations(main)
    parts = [relations.get(slide.get(RELATION_ID, ""), ("", ""))[1] for slide in tree.iter(f"{_P}sldId")]
    return [part for part in parts if part in package]


def _footer_lines(tree: ElementTree.Element) -> Iterator[str]:
    for shape in _shapes(tree):
        if _placeholder(shape) in _FOOTERS:
            yield from drawing_lines(shape)


def _slide_text(package: Package, slide: str, tree: ElementTree.Element | None, footers: frozenset[str]) -> str:
    blocks = [] if tree is None else list(_shape_blocks(tree))
    if tree is not None:
        blocks += [line for line in _footer_lines(tree) if line in footers]
    for part in package.related(slide, "diagramData", "chart", "chartEx"):
        drawing = package.tree(part)
        if drawing is not None:
            blocks.append("\n".join(f"- {line}" for line in chart_lines(drawing)))
    for part in package.related(slide, "notesSlide"):
        notes = package.tree(part)
        lines = [] if notes is None else [line for shape in notes.iter(f"{_P}sp") for line in _note_lines(shape)]
        blocks.append("\n\n".join(lines))
    return "\n\n".join(filter(None, blocks))


def _shape_blocks(tree: ElementTree.Element) -> Iterator[str]:
    """Titles first, then the other shapes in the order of the file, which is close to that of reading."""
    shapes = list(_shapes(tree))
    for shape in sorted(shapes, key=lambda shape: _placeholder(shape) not in _TITLES):
        if shape.tag == f"{DRAWING}tbl":
            rows = [
                [" ".join(drawing_lines(cell)) for cell in row.iter(f"{DRAWING}tc")]
                for row in shape.iter(f"{DRAWING}tr")
            ]
            yield as_table(rows)
        elif _placeholder(shape) in _TITLES:
            title = " ".join(drawing_lines(shape))
            yield f"# {title}" if title else ""
        elif _placeholder(shape) not in _FURNITURE:
            yield _body(shape)


def _shapes(tree: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Shapes with text and tables, also inside groups; of alternatives only the first, which newer programs show."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node.tag in (f"{_P}sp", f"{DRAWING}tbl"):
            yield node
            continue
        waiting += [child for child in reversed(node) if child.tag != f"{COMPATIBILITY}Fallback"]


def _placeholder(shape: ElementTree.Element) -> str:
    """The kind of placeholder that a shape fills: 'body' for one without a type, '' for a free text box."""
    mark = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return "" if mark is None else mark.get("type", "body")


def _body(shape: ElementTree.Element) -> str:
    """Paragraphs of a content placeholder as list items, those of a text box as paragraphs."""
    listed = _placeholder(shape) not in ("", "subTitle")
    lines: list[str] = []
    for paragraph in shape.iter(f"{DRAWING}p"):
        text = paragraph_text(paragraph)
        if not text:
            continue
        properties = paragraph.find(f"{DRAWING}pPr")
        level = "0" if properties is None else properties.get("lvl", "0")
        indent = "  " * min(int(level), _MOST_INDENT) if level.isdigit() else ""
        lines.append(f"{indent}- {text}" if listed else text)
    return ("\n" if listed else "\n\n").join(lines)


def _note_lines(shape: ElementTree.Element) -> Iterator[str]:
    if _placeholder(shape) not in _FURNITURE:
        yield from drawing_lines(shape)
