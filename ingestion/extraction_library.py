"""Readers on top of the extraction library (kreuzberg): Excel, OpenDocument, old Office, RTF, EPUB and mail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kreuzberg
import olefile

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table
from ingestion.extraction_markdown import tidy
from ingestion.extraction_ooxml import Package
from ingestion.extraction_origin import day
from ingestion.extraction_properties import Summary, summary_of
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page


def run(path: Path, kind: str, **settings: Any) -> kreuzberg.ExtractionResult:
    """What the library makes of the file; its errors become ExtractionError."""
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        output_format="markdown",
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        pages=kreuzberg.PageConfig(extract_pages=True),
        **settings,
    )
    try:
        return kreuzberg.extract_file_sync(str(path), kind, config=config)
    except (kreuzberg.KreuzbergError, OSError, ValueError, RuntimeError) as error:
        raise _explain(error) from error


def reader_for(kind: str) -> Callable[[Path, Limits], Extraction]:
    """The reader of one of the kinds that this module knows."""

    def read(path: Path, limits: Limits) -> Extraction:
        result = run(path, kind)
        metadata: dict[str, Any] = dict(result.metadata)
        pages = _sheets(result, metadata) if kind in kinds.SHEETS else (Page(1, tidy(result.content)),)
        told = _told(path, kind)
        return Extraction(
            kind,
            pages,
            str(metadata.get("title") or told.title),
            str(metadata.get("language") or ""),
            authors=tuple(map(str, metadata.get("authors") or told.authors)),
            written_on=day(str(metadata.get("created_at") or "")) or told.written_on,
        )

    return read


def _told(path: Path, kind: str) -> Summary:
    """What the file says of itself where the library does not pass it on."""
    if kind == kinds.XLSX:
        with Package(path) as package:
            authors = (package.core_property("creator"),)
            return Summary(package.core_property("title"), authors, day(package.core_property("created")))
    if not olefile.isOleFile(path):
        return Summary()
    with olefile.OleFileIO(path) as ole:
        return summary_of(ole)


def _sheets(result: kreuzberg.ExtractionResult, metadata: dict[str, Any]) -> tuple[Page, ...]:
    """One page a sheet, under the sheet's name."""
    names: list[str] = list(metadata.get("sheet_names") or [])
    tables: dict[int, list[str]] = {}
    for table in result.tables:
        rows = [[" ".join(cell.split()) for cell in row] for row in table.cells]
        tables.setdefault(table.page_number, []).append(as_table(rows))
    pages: list[Page] = []
    for number, texts in sorted(tables.items()):
        text = "\n\n".join(filter(None, texts))
        name = names[number - 1] if 0 < number <= len(names) else ""
        if text:
            pages.append(Page(number, f"# {name}\n\n{text}" if name else text))
    return tuple(pages)


def _explain(error: Exception) -> ExtractionError:
    complaint = str(error).lower()
    if "password" in complaint or "encrypted" in complaint:
        return ExtractionError(
            "encrypted",
            "The file is protected with a password. Save a copy without password protection and upload that.",
        )
    if "security limit" in complaint or "limit exceeded" in complaint:
        return ExtractionError(
            "too_large", "The file unpacks to more than can be read. Split it into several documents."
        )
    return ExtractionError(
        "broken",
        "The file cannot be read: it is damaged or not what its name says. "
        "Open it in its program, save it anew, and upload that.",
    )
