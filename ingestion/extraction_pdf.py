"""PDF to pages, by the extraction library's PDFium.

The text of a page is PDFium's own, in reading order and complete; the library's Markdown of the same file lost up to a
tenth of it, and took ordinary text for tables. From that Markdown we only take which lines are headings.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from ingestion import extraction_kinds as kinds
from ingestion.extraction_library import run
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_HYPHEN = "\x02"  # PDFium's mark for a hyphen at the end of a line that splits a word
_IMAGE = re.compile(rb"/Subtype\s*/Image\b|/(?:DCT|JPX|CCITTFax|JBIG2)Decode\b")
_PAGE_OBJECT = re.compile(rb"/Type\s*/Pages?\b|/ObjStm\b")
_LIST_MARK = re.compile(r"(?:[-–—•●○▪■◦‣⁃∙·*✓➢]|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)])\s+\S")
_BULLET = re.compile(r"^[•●○▪■◦‣⁃∙·➢]\s+")
_NUMBER_ONLY = re.compile(r"(?:page|seite|p\.|página|pagina)?\s*[-–]?\s*\d{1,4}\s*[-–]?(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟…][\"'”’»)\]]*$")
_LONGEST_HEADING = 120
_DEEPEST_HEADING = 6
# A line shorter than this share of the page's usual line ends a paragraph when it also ends a sentence.
_SHORT_LINE = 0.8
# A line shorter than this stands alone: a line of a table, an address or a form.
_STUB_LINE = 0.45
_REPEATING_SHARE = 0.5
_FEWEST_PAGES_TO_REPEAT = 4
_FEWEST_LINES_TO_STRIP = 5


def read_pdf(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    if not _PAGE_OBJECT.search(data):
        raise ExtractionError(
            "broken", "The PDF is damaged: it has no pages. Print or export it to PDF anew, and upload that."
        )
    result = run(path, kinds.PDF, include_document_structure=True)
    metadata: dict[str, Any] = dict(result.metadata)
    texts = {page["page_number"]: _without_marks(page["content"]) for page in result.pages or []}
    if not any(text.strip() for text in texts.values()):
        raise _no_text(data, len(texts))
    headings = _headings(result.document)
    furniture = _furniture(texts)
    pages = tuple(Page(number, _as_markdown(text, headings.get(number, {}), furniture)) for number, text in texts.items())
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


def _headings(document: Any) -> dict[int, dict[str, int]]:
    """Page -> heading text (letters and digits only) -> level, for what the library takes for headings."""
    found: dict[int, dict[str, int]] = {}
    for node in (document or {}).get("nodes", ()):
        content = node["content"]
        text = content.get("text") or ""
        if content.get("node_type") == "heading" and 2 < len(text) <= _LONGEST_HEADING and "\n" not in text.strip():
            level = min(int(content.get("level") or 1), _DEEPEST_HEADING)
            found.setdefault(int(node.get("page") or 0), {})[_key(text)] = level
    return found


def _furniture(texts: dict[int, str]) -> frozenset[str]:
    """Running headers and footers: first and last lines that return on most pages, digits aside."""
    if len(texts) < _FEWEST_PAGES_TO_REPEAT:
        return frozenset()
    seen: Counter[str] = Counter()
    for text in texts.values():
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        seen.update({_shape(line) for line in lines[:2] + lines[-2:]})
    least = max(_FEWEST_PAGES_TO_REPEAT, _REPEATING_SHARE * len(texts))
    return frozenset(shape for shape, count in seen.items() if shape and count >= least)


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))


def _as_markdown(text: str, headings: dict[str, int], furniture: frozenset[str]) -> str:
    lines = _strip_furniture([" ".join(line.split()) for line in text.split("\n")], furniture)
    widths = sorted(len(line) for line in lines if line)
    usual = widths[int(len(widths) * 0.8)] if widths else 0
    blocks: list[str] = []
    paragraph: list[str] = []

    def end_paragraph() -> None:
        if paragraph:
            blocks.append(" ".join(paragraph))
            paragraph.clear()

    for position, line in enumerate(lines):
        following = lines[position + 1] if position + 1 < len(lines) else ""
        if not line:
            end_paragraph()
        elif level := _heading_level(line, following, headings, usual):
            end_paragraph()
            blocks.append(f"{'#' * level} {line}")
        else:
            if _LIST_MARK.match(line):
                end_paragraph()
                line = _BULLET.sub("- ", line)
            paragraph.append(_as_text(line))
            if _ends_paragraph(line, following, usual):
                end_paragraph()
    end_paragraph()
    return _join(blocks)


def _as_text(line: str) -> str:
    """A line of text that looks like a Markdown heading is none."""
    return re.sub(r"^(#{1,6}) ", r"\1", line)


def _strip_furniture(lines: list[str], furniture: frozenset[str]) -> list[str]:
    """Without page numbers and running titles at the page's ends, where it holds more than these."""
    filled = [position for position, line in enumerate(lines) if line]
    if len(filled) < _FEWEST_LINES_TO_STRIP:
        return lines
    ends = {position for position in filled[:2] + filled[-2:] if _shape(lines[position]) in furniture}
    ends |= {position for position in (filled[0], filled[-1]) if _NUMBER_ONLY.fullmatch(lines[position])}
    return [line for position, line in enumerate(lines) if position not in ends]


def _heading_level(line: str, following: str, headings: dict[str, int], usual: int) -> int:
    """The level of a line that is a heading, else 0. The library's word is checked: it often takes text for one."""
    level = headings.get(_key(line), 0)
    if not level or len(line) > _LONGEST_HEADING or not any(character.isalpha() for character in line):
        return 0
    continues = following[:1].islower() or (len(line) > usual * _SHORT_LINE and usual > 60)
    is_point = _BULLET.match(line) or line[:2] in ("- ", "– ", "* ")
    return 0 if continues or is_point or line.endswith((".", ",", ";")) else level


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
