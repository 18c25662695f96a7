"""Excel before 97 (versions 2 to 95), which the extraction library does not know: one page a sheet, by xlrd."""

from __future__ import annotations

import io
import struct
from datetime import datetime
from pathlib import Path

import xlrd

from ingestion.extraction_html import as_table
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_READER_ERRORS = (
    xlrd.XLRDError, struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError, OSError,
    NotImplementedError,
)  # fmt: skip


def read_xls(path: Path, limits: Limits) -> Extraction:
    try:
        # What xlrd has to say of a file, it prints.
        book = xlrd.open_workbook(path, logfile=io.StringIO())
        pages = tuple(
            Page(number, _sheet(book, sheet)) for number, sheet in enumerate(book.sheets(), start=1) if sheet.nrows
        )
    except _READER_ERRORS as error:
        if "encrypted" in str(error).lower():
            raise ExtractionError(
                "encrypted", "The Excel file is protected with a password. Save a copy without one and upload that."
            ) from error
        raise ExtractionError(
            "broken", "The Excel file is damaged, or too old. Save it as XLSX and upload that."
        ) from error
    return Extraction("application/vnd.ms-excel", pages, "", "", authors=(book.user_name or "",))


def _sheet(book: xlrd.Book, sheet: xlrd.sheet.Sheet) -> str:
    rows = [[" ".join(_shown(book, cell).split()) for cell in sheet.row(number)] for number in range(sheet.nrows)]
    table = as_table(rows)
    return f"# {sheet.name}\n\n{table}" if sheet.name and table else table


def _shown(book: xlrd.Book, cell: xlrd.sheet.Cell) -> str:
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return f"{cell.value:.15g}"
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            moment: datetime = xlrd.xldate_as_datetime(cell.value, book.datemode)
        except (ValueError, OverflowError):
            return f"{cell.value:.15g}"
        return moment.isoformat(sep=" ").removesuffix(" 00:00:00")
    return str(cell.value)
