"""PDF to pages, by the extraction library's PDFium.

The text of a page is PDFium's own, in reading order and complete; the library's Markdown of the same file lost up to a
tenth of it, and took ordinary text for tables. From that Markdown we only take which lines are headings.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import kreuzberg

from ingestion import extraction_kinds as kinds
from ingestion.extraction_bidi import in_reading_order
from ingestion.extraction_library import run
from ingestion.extraction_origin import day
from ingestion.extraction_pdf_lines import LIST_MARK, SENTENCE_END, LineHeading, as_markdown, key, shape
from ingestion.extraction_pdfium import Pdf
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_HYPHEN = "\x02"  # PDFium's mark for a hyphen at the end of a line that splits a word
_PAGE_OBJECT = re.compile(rb"/Type\s*/Pages?\b|/ObjStm\b")
_PAGE_NODE = re.compile(rb"/Type\s*/Pages\b")
_COUNT = re.compile(rb"/Count\s+(-?\d+)(\s+\d+\s+R\b)?")
_MOST_HEADING_LINES = 3
_LINE_PITCH = 1.2
# Letters that much larger than the text's make a line a heading by themselves.
_LARGER = 1.1
_NOTES = frozenset(("text", "freetext", "free_text"))
_DEEPEST_HEADING = 6
_REPEATING_SHARE = 0.5
_FEWEST_PAGES_TO_REPEAT = 4
_LONGEST_FURNITURE = 100


def read_pdf(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    if not _PAGE_OBJECT.search(data):
        raise ExtractionError(
            "broken", "The PDF is damaged: it has no pages. Print or export it to PDF anew, and upload that."
        )
    is_damaged = _counts_wrongly(data)
    del data
    result = run(
        path,
        kinds.PDF,
        include_document_structure=True,
        pdf_options=kreuzberg.PdfConfig(extract_metadata=True, extract_annotations=True),
    )
    metadata: dict[str, Any] = dict(result.metadata)
    texts = {page["page_number"]: in_reading_order(_without_marks(page["content"])) for page in result.pages or []}
    for annotation in result.annotations or []:
        if annotation.annotation_type in _NOTES and annotation.content and annotation.page_number in texts:
            texts[annotation.page_number] += f"\n\n{_without_marks(annotation.content)}"
    headings = _headings(result.document)
    furniture = _furniture(texts)
    with Pdf(path) as pdf:
        for number, values in pdf.form_values(limits).items():
            texts[number] = "\n\n".join(filter(str.strip, (texts.get(number, ""), *values)))
        blank = [number for number, text in texts.items() if not text.strip()]
        recognised, unread = _recognise(pdf, blank, limits, is_all=len(blank) == len(texts))
        bookmarks = pdf.bookmarks()
        is_damaged = is_damaged or pdf.is_damaged()
    pages = tuple(
        Page(number, recognised.get(number) or as_markdown(text, headings.get(number, {}), furniture))
        for number, text in texts.items()
    )
    return Extraction(
        kinds.PDF,
        pages,
        _repaired(str(metadata.get("title") or "")),
        str(metadata.get("language") or ""),
        unread,
        authors=tuple(map(_repaired, metadata.get("authors") or ())),
        written_on=day(str(metadata.get("created_at") or "")),
        outline=bookmarks,
        is_damaged=is_damaged,
    )


def _counts_wrongly(data: bytes) -> bool:
    """Whether a node of the page tree does not say how many pages it has, which it must (ISO 32000-2, 7.7.3.2).

    Nodes that are packed together with other objects are not looked at.
    """
    for found in _PAGE_NODE.finditer(data):
        node = data[max(0, data.rfind(b"obj", 0, found.start())) : data.find(b"endobj", found.end())]
        count = _COUNT.search(node)
        if count is None:
            return True
        number = count[1]
        if count[2] and b"/ObjStm" not in data:
            number = re.search(rb"\b%s\s+\d+\s+obj\s+(-?\d+)\s" % number, data)
            if number is None:
                return True
    return False


def _recognise(pdf: Pdf, blank: list[int], limits: Limits, *, is_all: bool) -> tuple[dict[int, str], tuple[int, ...]]:
    """(page -> recognised text, pages with pictures of which no text is known) of the pages without text.

    As many pages are recognised as there is time for. Raises ExtractionError where the file has no other text: 'empty'
    when there is nothing to be seen or recognised, 'needs_ocr' where recognition is not installed.
    """
    drawn = [number for number in blank if pdf.has_drawing(number)]
    pictured = [number for number in drawn if pdf.has_picture(number)]
    if not drawn:
        if is_all:
            raise ExtractionError("empty", "The PDF holds no text at all. Check that the right file was uploaded.")
        return {}, ()
    # Imported by need: most PDF files have text on every page.
    from ingestion.extraction_ocr import Recogniser, data_folder, not_installed

    if data_folder() is None:
        if is_all and pictured:
            raise not_installed()
        return {}, tuple(pictured)
    recogniser = Recogniser(limits)
    found: dict[int, str] = {}
    for number in drawn:
        width, height = pdf.largest_picture(number)
        if not recogniser.has_time or width * height > limits.pixels:
            continue
        picture = pdf.picture_of(number)
        text = recogniser.read(picture) if picture else ""
        if text:
            found[number] = text
    if is_all and not found:
        raise recogniser.nothing("PDF, which holds only pictures")
    return found, tuple(number for number in pictured if number not in found)


def _repaired(text: str) -> str:
    """What a program wrote in UTF-8 where PDF wants another character set ('Ã©' for 'é')."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _without_marks(text: str) -> str:
    """Join words that were split over lines."""
    return re.sub(rf"{_HYPHEN}\s*", "", text.replace("\r\n", "\n").replace("\r", "\n"))


def _headings(document: Any) -> dict[int, dict[str, LineHeading]]:
    """Page -> heading text (letters and digits only) -> heading, for what the library takes for headings."""
    nodes = (document or {}).get("nodes", ())
    sizes = [size for node in nodes if node["content"].get("node_type") == "paragraph" and (size := _size(node))]
    body = median(sizes) if sizes else 0.0
    found: dict[int, dict[str, LineHeading]] = {}
    for node in nodes:
        content = node["content"]
        lines = in_reading_order((content.get("text") or "").strip()).split("\n")
        is_large = bool(body) and _size(node) > body * _LARGER
        # Only large letters are sure to be a heading when they run over lines.
        if content.get("node_type") == "heading" and len(lines) <= (_MOST_HEADING_LINES if is_large else 1):
            heading = LineHeading(min(int(content.get("level") or 1), _DEEPEST_HEADING), is_large)
            for line in lines:
                found.setdefault(int(node.get("page") or 0), {})[key(line)] = heading
    return found


def _size(node: Any) -> float:
    """About the size of a node's letters: its height by its lines, which stand apart by a fifth of their size."""
    box = node.get("bbox")
    lines = (node["content"].get("text") or "").strip().count("\n") + 1
    return float((box["y1"] - box["y0"]) / (1 + (lines - 1) * _LINE_PITCH)) if box else 0.0


def _furniture(texts: dict[int, str]) -> frozenset[str]:
    """Running headers and footers: first and last lines that return on most pages, digits aside."""
    if len(texts) < _FEWEST_PAGES_TO_REPEAT:
        return frozenset()
    seen: Counter[str] = Counter()
    for text in texts.values():
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        seen.update({shape(line) for line in lines[:2] + lines[-2:] if _may_be_furniture(line)})
    least = max(_FEWEST_PAGES_TO_REPEAT, _REPEATING_SHARE * len(texts))
    return frozenset(line for line, count in seen.items() if line and count >= least)


def _may_be_furniture(line: str) -> bool:
    """Titles and names return on every page; sentences and points do so only by chance."""
    return len(line) <= _LONGEST_FURNITURE and not LIST_MARK.match(line) and not SENTENCE_END.search(line)
