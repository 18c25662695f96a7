"""PDF to pages, by the extraction library's PDFium.

The text of a page is PDFium's own, in reading order and complete; the library's Markdown of the same file lost up to a
tenth of it, and took ordinary text for tables. From that Markdown we only take which lines are headings.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import kreuzberg

from ingestion import extraction_kinds as kinds
from ingestion.extraction_bidi import in_reading_order
from ingestion.extraction_library import run
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_HYPHEN = "\x02"  # PDFium's mark for a hyphen at the end of a line that splits a word
_IMAGE = re.compile(rb"/Subtype\s*/Image\b|/(?:DCT|JPX|CCITTFax|JBIG2)Decode\b")
_PAGE_OBJECT = re.compile(rb"/Type\s*/Pages?\b|/ObjStm\b")
_LIST_MARK = re.compile(r"(?:[-–—•●○▪■◦‣⁃∙·*✓➢]|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)])\s+\S")
_BULLET = re.compile(r"^[•●○▪■◦‣⁃∙·➢]\s+")
_NUMBER_ONLY = re.compile(
    r"(?:page|seite|p\.|página|pagina)?\s*[-–]?\s*\d{1,4}\s*[-–]?(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?", re.IGNORECASE
)
_IDEOGRAPH = re.compile("[\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60]")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟…][\"'”’»)\]]*$")
_LONGEST_HEADING = 120
_MOST_HEADING_LINES = 3
_LINE_PITCH = 1.2
# Letters that much larger than the text's make a line a heading by themselves.
_LARGER = 1.1
_NOTES = frozenset(("text", "freetext", "free_text"))
_DEEPEST_HEADING = 6
# A line shorter than this share of the page's usual line ends a paragraph when it also ends a sentence.
_SHORT_LINE = 0.8
# A line shorter than this stands alone: a line of a table, an address or a form.
_STUB_LINE = 0.45
# Pages whose usual line is shorter than this have no full lines to compare with.
_FULL_LINE = 60
_REPEATING_SHARE = 0.5
_FEWEST_PAGES_TO_REPEAT = 4
_FEWEST_LINES_TO_STRIP = 5
_LONGEST_FURNITURE = 100


@dataclass(frozen=True)
class _Heading:
    level: int
    is_large: bool


def read_pdf(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    if not _PAGE_OBJECT.search(data):
        raise ExtractionError(
            "broken", "The PDF is damaged: it has no pages. Print or export it to PDF anew, and upload that."
        )
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
    if not any(text.strip() for text in texts.values()):
        raise _no_text(data, len(texts))
    headings = _headings(result.document)
    furniture = _furniture(texts)
    pages = tuple(
        Page(number, _as_markdown(text, headings.get(number, {}), furniture)) for number, text in texts.items()
    )
    blank = tuple(number for number, text in texts.items() if not text.strip()) if _IMAGE.search(data) else ()
    return Extraction(kinds.PDF, pages, str(metadata.get("title") or ""), str(metadata.get("language") or ""), blank)


def _no_text(data: bytes, pages: int) -> ExtractionError:
    if _IMAGE.search(data):
        return ExtractionError(
            "needs_ocr",
            "The PDF holds only pictures of pages, as a scanner makes them. Run text recognition (OCR) on it, "
            "for example with 'save as searchable PDF' or OCRmyPDF, and upload the result.",
        )
    if not pages:
        return ExtractionError("broken", "The PDF is damaged: it has no pages. Export it anew, and upload that.")
    return ExtractionError("empty", "The PDF holds no text at all. Check that the right file was uploaded.")


def _without_marks(text: str) -> str:
    """Join words that were split over lines."""
    return re.sub(rf"{_HYPHEN}\s*", "", text.replace("\r\n", "\n").replace("\r", "\n"))


def _key(text: str) -> str:
    return "".join(character for character in text if character.isalnum()).casefold()


def _headings(document: Any) -> dict[int, dict[str, _Heading]]:
    """Page -> heading text (letters and digits only) -> heading, for what the library takes for headings."""
    nodes = (document or {}).get("nodes", ())
    sizes = [size for node in nodes if node["content"].get("node_type") == "paragraph" and (size := _size(node))]
    body = median(sizes) if sizes else 0.0
    found: dict[int, dict[str, _Heading]] = {}
    for node in nodes:
        content = node["content"]
        lines = in_reading_order((content.get("text") or "").strip()).split("\n")
        is_large = bool(body) and _size(node) > body * _LARGER
        # Only large letters are sure to be a heading when they run over lines.
        if content.get("node_type") == "heading" and len(lines) <= (_MOST_HEADING_LINES if is_large else 1):
            heading = _Heading(min(int(content.get("level") or 1), _DEEPEST_HEADING), is_large)
            for line in lines:
                found.setdefault(int(node.get("page") or 0), {})[_key(line)] = heading
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
        seen.update({_shape(line) for line in lines[:2] + lines[-2:] if _may_be_furniture(line)})
    least = max(_FEWEST_PAGES_TO_REPEAT, _REPEATING_SHARE * len(texts))
    return frozenset(shape for shape, count in seen.items() if shape and count >= least)


def _may_be_furniture(line: str) -> bool:
    """Titles and names return on every page; sentences and points do so only by chance."""
    return len(line) <= _LONGEST_FURNITURE and not _LIST_MARK.match(line) and not _SENTENCE_END.search(line)


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))


def _as_markdown(text: str, headings: dict[str, _Heading], furniture: frozenset[str]) -> str:
    lines = _strip_furniture([" ".join(line.split()) for line in text.split("\n")], headings, furniture)
    widths = sorted(len(line) for line in lines if line)
    usual = widths[int(len(widths) * 0.8)] if widths else 0
    blocks: list[str] = []
    paragraph: list[str] = []
    above: _Heading | None = None

    def end_paragraph() -> None:
        if paragraph:
            blocks.append(_joined(paragraph))
            paragraph.clear()

    for position, line in enumerate(lines):
        following = lines[position + 1] if position + 1 < len(lines) else ""
        heading: _Heading | None = None
        if not line:
            end_paragraph()
        elif heading := _heading(line, following, headings, usual):
            end_paragraph()
            if heading is above and heading.is_large:
                blocks[-1] += f" {line}"
            else:
                blocks.append(f"{'#' * heading.level} {line}")
        else:
            if _LIST_MARK.match(line):
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


def _strip_furniture(lines: list[str], headings: dict[str, _Heading], furniture: frozenset[str]) -> list[str]:
    """Without page numbers and running titles at the page's ends, where it holds more than these."""
    filled = [position for position, line in enumerate(lines) if line]
    if len(filled) < _FEWEST_LINES_TO_STRIP:
        return lines
    dropped: set[int] = set()
    for ends in (filled[:2], filled[:-3:-1]):
        for position in ends:
            line = lines[position]
            heading = headings.get(_key(line))
            is_furniture = _shape(line) in furniture and not (heading and heading.is_large)
            if not is_furniture and not _NUMBER_ONLY.fullmatch(line):
                break
            dropped.add(position)
    return [line for position, line in enumerate(lines) if position not in dropped]


def _heading(line: str, following: str, headings: dict[str, _Heading], usual: int) -> _Heading | None:
    """The heading that a line is, if any. The library's word is checked: it often takes text for one."""
    heading = headings.get(_key(line))
    if heading is None or not 1 < len(line) <= _LONGEST_HEADING or not any(character.isalpha() for character in line):
        return None
    if _BULLET.match(line) or line[:2] in ("- ", "– ", "* ") or line.endswith((".", ",", ";")):
        return None
    if heading.is_large:
        return heading
    # Bold text of the common size: a heading where text follows, but not where a sentence goes on, nor a table's head.
    goes_on = following[:1].islower() or len(line) > usual * _SHORT_LINE > _FULL_LINE * _SHORT_LINE
    before_stubs = 0 < len(following) < usual * _STUB_LINE and _LIST_MARK.match(following) is None
    return None if goes_on or before_stubs else heading


def _joined(lines: list[str]) -> str:
    """Lines as one paragraph; between characters of scripts without spaces, without one."""
    text = lines[0]
    for line in lines[1:]:
        text += line if _IDEOGRAPH.match(text[-1:]) and _IDEOGRAPH.match(line) else f" {line}"
    return text


def _ends_paragraph(line: str, following: str, usual: int) -> bool:
    if not following or _LIST_MARK.match(following):
        return True
    if following[:1].islower():
        return False
    if len(line) < usual * _STUB_LINE:
        return True
    return len(line) < usual * _SHORT_LINE and _SENTENCE_END.search(line) is not None


def _join(blocks: list[str]) -> str:
    text = ""
    listed_before = False
    for block in blocks:
        listed = _LIST_MARK.match(block) is not None
        text += ("\n" if listed and listed_before else "\n\n" if text else "") + block
        listed_before = listed
    return text
