"""Title, author and date of an OLE file (Office 97-2003, HWP), from its properties. Format: Microsoft [MS-OLEPS]."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import date, datetime

import olefile

from ingestion.extraction_origin import sane_day
from ingestion.extraction_text import decode

# Numbers of properties. [MS-OLEPS] 2.25.1
_CODE_PAGE, _TITLE, _AUTHOR, _CREATED = 1, 2, 4, 12
_UTF8_CODE_PAGE = 65001


@dataclass(frozen=True)
class Summary:
    """What an OLE file's properties say of it; '' , () or None where they do not."""

    title: str = ""
    authors: tuple[str, ...] = ()
    written_on: date | None = None


def summary_of(ole: olefile.OleFileIO, stream: str = "\x05SummaryInformation") -> Summary:
    """The properties of an open OLE file. Damaged ones tell nothing."""
    if not ole.exists(stream):
        return Summary()
    try:
        told = ole.getproperties(stream, convert_time=True)
    except (OSError, ValueError, IndexError, TypeError, struct.error, OverflowError):
        return Summary()
    code_page = told.get(_CODE_PAGE) or 1252
    created = told.get(_CREATED)
    authors = tuple(filter(None, re.split(";", _property(told.get(_AUTHOR), code_page))))
    day = sane_day(created.date()) if isinstance(created, datetime) else None
    return Summary(_property(told.get(_TITLE), code_page), authors, day)


def _property(value: object, code_page: int) -> str:
    if isinstance(value, str):
        return value.partition("\0")[0]
    if not isinstance(value, bytes):
        return ""
    value = value.partition(b"\0")[0]
    # Signed 16 bits: 65001 (UTF-8) comes as a negative number.
    name = "utf-8" if code_page % 65536 == _UTF8_CODE_PAGE else f"cp{code_page % 65536}"
    try:
        return value.decode(name)
    except (LookupError, UnicodeDecodeError):
        return decode(value)
