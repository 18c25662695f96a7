"""Readers of text files: plain text, Markdown, CSV and HTML."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table, declared_charset, read_html
from ingestion.extraction_markdown import front_matter, tidy
from ingestion.extraction_origin import day
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, Limits, Page

_HEADING_MARK = re.compile(r"^(\s*)(#{1,6}\s)", re.MULTILINE)
_SNIFF_CHARACTERS = 16_384
_DELIMITERS = ",;\t|"


def read_text(path: Path, limits: Limits) -> Extraction:
    """Plain text is taken as it is; a form feed begins a new page."""
    text = decode(path.read_bytes())
    pages = tuple(Page(number, page) for number, page in enumerate(text.split("\f"), start=1))
    return Extraction(kinds.TEXT, pages, "", "")


def read_markdown(path: Path, limits: Limits) -> Extraction:
    text = decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    body, matter = front_matter(text)
    body = tidy(body)
    # A file that is front matter alone still has its title to be found by.
    return Extraction(
        kinds.MARKDOWN,
        (Page(1, body if body.strip() else matter.title),),
        matter.title,
        matter.language,
        authors=matter.authors,
        written_on=day(matter.written),
    )


def read_html_file(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    document = read_html(_decode_html(data))
    return Extraction(
        kinds.HTML,
        (Page(1, document.text),),
        document.title,
        document.language,
        authors=document.authors,
        written_on=day(document.written),
    )


def read_csv(path: Path, limits: Limits) -> Extraction:
    text = decode(path.read_bytes()).replace("\x00", "")
    sample = text[:_SNIFF_CHARACTERS]
    first_lines = sample.splitlines()[:20]
    delimiter = max(_DELIMITERS, key=lambda mark: sum(line.count(mark) for line in first_lines))
    rows = [
        [" ".join(cell.split()) for cell in row]
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    ]
    return Extraction(kinds.CSV, (Page(1, as_table(rows)),), "", "")


def _decode_html(data: bytes) -> str:
    """As UTF-8 when it is valid UTF-8, else as the document declares when that fits, else by statistics."""
    declared = declared_charset(data)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            codec = codecs.lookup("cp1252" if declared in ("iso-8859-1", "latin1", "ascii") else declared).name
            return data.decode(codec)
        except (LookupError, UnicodeDecodeError):
            return decode(data)
    return decode(data)


READERS = {
    kinds.TEXT: read_text,
    kinds.MARKDOWN: read_markdown,
    kinds.CSV: read_csv,
    kinds.HTML: read_html_file,
}
