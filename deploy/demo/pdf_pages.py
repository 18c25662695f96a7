"""Writes a source as a PDF of A4 pages with headings, lists, tables and page numbers.

The fonts are Debian's (packages fonts-noto-core and fonts-droid-fallback); only the letters in use are embedded.
Arabic is shaped by HarfBuzz. Each of its lines carries its own text in reading order (`ActualText`), because text
extractors otherwise give the words of a line from left to right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path

from fpdf import FPDF

from deploy.demo.source_text import Block, Source

_FONTS = Path("/usr/share/fonts/truetype")
_LATIN = (_FONTS / "noto/NotoSans-Regular.ttf", _FONTS / "noto/NotoSans-Bold.ttf")
_FAMILIES = {
    "zh": (_FONTS / "droid/DroidSansFallbackFull.ttf", _FONTS / "droid/DroidSansFallbackFull.ttf"),
    "ar": (_FONTS / "noto/NotoNaskhArabic-Regular.ttf", _FONTS / "noto/NotoNaskhArabic-Bold.ttf"),
}
_NOT_AT_LINE_START = set("，。；：、！？）》」』”’%")
_HEADING_SIZES = {1: 19.0, 2: 14.0, 3: 11.5}
_BODY_SIZE = 10.5
_LINE_HEIGHT = 1.5  # of the font size
_POINT = 25.4 / 72  # in millimetres


class _Pages(FPDF):
    def __init__(self, source: Source) -> None:
        super().__init__(format="A4")
        self.right_to_left = source.language == "ar"
        self.breaks_anywhere = source.language == "zh"
        self.set_title(source.title)
        self.set_author(f"University of Arden, {source.department}")
        self.set_lang(source.language)
        self.set_creation_date(datetime.combine(source.last_reviewed, time(9), tzinfo=UTC))
        self.set_margins(24, 22, 24)
        self.set_auto_page_break(True, margin=22)
        regular, bold = _FAMILIES.get(source.language, _LATIN)
        self.add_font("body", "", regular)
        self.add_font("body", "B", bold)
        if source.language in _FAMILIES:
            self.add_font("latin", "", _LATIN[0])
            self.add_font("latin", "B", _LATIN[1])
            self.set_fallback_fonts(["latin"], exact_match=True)
        self.set_font("body", size=_BODY_SIZE)
        self.set_text_shaping(self.right_to_left)

    def footer(self) -> None:
        """The page's number, small, at the foot."""
        self.set_y(-15)
        self.set_font("body", size=8)
        self.cell(0, 6, str(self.page_no()), align="C")

    def write_text(self, text: str, *, size: float = _BODY_SIZE, style: str = "", indent: float = 0) -> None:
        """Wraps the text into lines and writes them below one another."""
        self.set_font("body", style=style, size=size)
        height = size * _LINE_HEIGHT * _POINT
        width = self.epw - indent
        for line in self._wrapped(text, width):
            self.set_x(self.l_margin if self.right_to_left else self.l_margin + indent)
            self._write_line(line, width, height)

    def _wrapped(self, text: str, width: float) -> list[str]:
        if not self.breaks_anywhere:
            lines = self.multi_cell(
                width, 5, text, align="R" if self.right_to_left else "L", dry_run=True, output="LINES"
            )
            return [str(line) for line in lines]
        lines, line = [], ""
        for letter in text:
            fits = self.get_string_width(line + letter) < width - 3
            if fits or letter in _NOT_AT_LINE_START:
                line += letter
            else:
                lines.append(line)
                line = letter
        return [*lines, line]

    def _write_line(self, line: str, width: float, height: float) -> None:
        if not self.right_to_left:
            self.cell(width, height, line, new_x="LMARGIN", new_y="NEXT")
            return
        with self._actual_text(line, height):
            self.cell(width, height, line, align="R", new_x="LMARGIN", new_y="NEXT")

    @contextmanager
    def _actual_text(self, text: str, height: float) -> Iterator[None]:
        """What is written inside is read as `text`. A page break comes before it, never within marked content."""
        if self.will_page_break(height):
            self.add_page()
        self._out(f"/Span <</ActualText <FEFF{(text + ' ').encode('utf-16-be').hex().upper()}>>> BDC")
        yield
        self._out("EMC")

    def _write_row_right_to_left(self, cells: tuple[str, ...]) -> None:
        height = 7.0
        width = self.epw / len(cells)
        with self._actual_text(" | ".join(cells), height):
            for number, cell in enumerate(cells, start=1):
                self.set_x(self.w - self.r_margin - number * width)
                self.cell(width, height, cell, border=1, align="R")
        self.ln(height)

    def write_table(self, block: Block) -> None:
        """A ruled table whose first row is its heading; columns as wide as their longest text asks."""
        self.set_font("body", size=9)
        if self.right_to_left:
            for row in block.rows:
                self._write_row_right_to_left(row)
            return
        widths = [max(12, min(40, max(len(row[column]) for row in block.rows))) for column in range(len(block.rows[0]))]
        with self.table(
            col_widths=tuple(widths),
            line_height=5,
            padding=1,
            text_align="LEFT",
            wrapmode="CHAR" if self.breaks_anywhere else "WORD",
        ) as table:
            for cells in block.rows:
                row = table.row()
                for cell in cells:
                    row.cell(cell)

    def heading(self, text: str, level: int) -> None:
        """A heading that stays with the lines after it and appears in the outline."""
        size = _HEADING_SIZES[level]
        if level > 1:
            if self.get_y() + 28 > self.h - self.b_margin:
                self.add_page()
            elif self.get_y() > self.t_margin + 1:
                self.ln(3)
        self.start_section(text, level=level - 1, strict=False)
        self.write_text(text, size=size, style="B")
        self.ln(2 if level < 3 else 1)


def write_pdf(source: Source, target: Path) -> None:
    """Writes the document to `target`; the same source gives the same bytes."""
    pages = _Pages(source)
    pages.add_page()
    pages.heading(source.title, 1)
    for block in source.blocks:
        if block.kind == "page_break":
            pages.add_page()
        elif block.kind == "heading":
            pages.heading(block.lines[0], block.level)
        elif block.kind == "table":
            pages.write_table(block)
            pages.ln(3)
        elif block.kind == "paragraph":
            pages.write_text(block.lines[0])
            pages.ln(2.2)
        else:
            for number, line in enumerate(block.lines, start=1):
                mark = "•" if block.kind == "bullets" else f"{number}."
                pages.write_text(f"{mark} {line}", indent=5)
                pages.ln(0.6)
            pages.ln(1.8)
    pages.output(str(target))
