"""Writes a source as a Word document, a presentation or a workbook.

The three are zip archives; `_settle` rewrites them with fixed dates, so that the same source gives the same bytes.
"""

from __future__ import annotations

import re
import zipfile
from datetime import datetime, time
from itertools import takewhile
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.table import Table, TableStyleInfo
from pptx.util import Inches, Pt

from deploy.demo.source_text import Block, Source

_LETTERS_A_LINE = 80  # of a slide, at 18 points
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold


def _settle(source: Source, target: Path) -> None:
    stamp = f"{source.last_reviewed.isoformat()}T09:00:00Z".encode()
    with zipfile.ZipFile(target) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:(created|modified)[^>]*>)[^<]*", rb"\g<1>" + stamp, content)
            part = zipfile.ZipInfo(name, _ZIP_DATE)
            part.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(part, content)


def _set_properties(properties: Any, source: Source) -> None:
    properties.title = source.title
    properties.author = f"University of Arden, {source.department}"
    properties.language = source.language
    properties.created = properties.modified = datetime.combine(source.last_reviewed, time(9))


def write_docx(source: Source, target: Path) -> None:
    """A Word document with heading, list and table styles; right to left for Arabic."""
    document = docx.Document()
    _set_properties(document.core_properties, source)
    paragraphs = [document.add_heading(source.title, level=0)]
    for block in source.blocks:
        if block.kind == "page_break":
            document.add_page_break()
        elif block.kind == "heading":
            paragraphs.append(document.add_heading(block.lines[0], level=block.level - 1))
        elif block.kind == "paragraph":
            paragraphs.append(document.add_paragraph(block.lines[0]))
        elif block.kind == "table":
            paragraphs += _docx_table(document, block)
        else:
            style = "List Bullet" if block.kind == "bullets" else "List Number"
            paragraphs += [document.add_paragraph(line, style=style) for line in block.lines]
    if source.language == "ar":
        for paragraph in paragraphs:
            _turn_right_to_left(paragraph)
    document.save(str(target))
    _settle(source, target)


def _docx_table(document: Any, block: Block) -> list[Any]:
    table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
    paragraphs = []
    for number, cells in enumerate(block.rows):
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            paragraph = cell.paragraphs[0]
            paragraph.add_run(text).bold = number == 0
            paragraphs.append(paragraph)
    document.add_paragraph()
    return paragraphs


def _turn_right_to_left(paragraph: Any) -> None:
    paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))
    for run in paragraph.runs:
        mark = OxmlElement("w:rtl")
        mark.set(qn("w:val"), "1")
        run._r.get_or_add_rPr().append(mark)


def write_pptx(source: Source, target: Path) -> None:
    """A presentation: a title slide, then a slide for each second-level heading, its table below its bullets."""
    deck = pptx.Presentation()
    _set_properties(deck.core_properties, source)
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text = source.title
    first.placeholders[1].text = f"University of Arden, {source.department}"
    for number, block in enumerate(source.blocks):
        if block.kind == "heading":
            later = source.blocks[number + 1 :]
            _add_slide(deck, block.lines[0], tuple(takewhile(lambda block: block.kind != "heading", later)))
    deck.save(str(target))
    _settle(source, target)


def _add_slide(deck: Any, heading: str, blocks: tuple[Block, ...]) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = heading
    body = slide.placeholders[1]
    lines = [line for block in blocks for line in block.lines]
    for number, line in enumerate(lines):
        paragraph = body.text_frame.paragraphs[0] if number == 0 else body.text_frame.add_paragraph()
        paragraph.text = line
        paragraph.font.size = Pt(18)
    if not lines:
        body._element.getparent().remove(body._element)
    for block in blocks:
        if block.kind == "table":
            rows_of_text = sum(1 + len(line) // _LETTERS_A_LINE for line in lines)
            _pptx_table(slide, block, top=Inches(1.8 + 0.4 * rows_of_text))


def _pptx_table(slide: Any, block: Block, *, top: int) -> None:
    rows, columns = len(block.rows), len(block.rows[0])
    shape = slide.shapes.add_table(rows, columns, Inches(0.5), top, Inches(9), Inches(0.35 * rows))
    for row, cells in enumerate(block.rows):
        for column, text in enumerate(cells):
            cell = shape.table.cell(row, column)
            cell.text = text
            cell.text_frame.paragraphs[0].font.size = Pt(13)


def write_xlsx(source: Source, target: Path) -> None:
    """A workbook: a sheet for each second-level heading, notes above its table, whole numbers as numbers."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    _set_properties(book.properties, source)
    tables = 0
    for block in source.blocks:
        if block.kind == "heading":
            sheet = book.create_sheet(block.lines[0][:31])
            sheet.append([source.title])
            sheet["A1"].font = Font(bold=True, size=14)
        elif block.kind == "table":
            tables += 1
            _xlsx_table(sheet, block, f"Table{tables}")
        else:
            for line in block.lines:
                sheet.append([line])
    book.save(target)
    _settle(source, target)


def _xlsx_table(sheet: Any, block: Block, name: str) -> None:
    sheet.append([])
    top = sheet.max_row + 1 if sheet.max_row > 1 else 3
    for row, cells in enumerate(block.rows):
        for column, text in enumerate(cells, start=1):
            cell = sheet.cell(top + row, column, int(text) if re.fullmatch(r"[1-9]\d*", text) else text)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    last = sheet.cell(top + len(block.rows) - 1, len(block.rows[0]))
    table = Table(displayName=name, ref=f"A{top}:{last.coordinate}")
    table.tableStyleInfo = TableStyleInfo(name="TableStyleLight9", showRowStripes=True)
    sheet.add_table(table)
    for column in range(1, len(block.rows[0]) + 1):
        longest = max(len(row[column - 1]) for row in block.rows)
        sheet.column_dimensions[get_column_letter(column)].width = min(50, longest + 3)
