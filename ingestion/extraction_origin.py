"""Who wrote a file, and when, from what files say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from ingestion.extraction_text import clean

MOST_AUTHORS = 20
_LONGEST_AUTHOR = 200
_EARLIEST_YEAR = 1900
# The zero of clocks, which programs write when they know no date.
_ZERO_DAYS = frozenset((date(1900, 1, 1), date(1601, 1, 1), date(1970, 1, 1), date(1980, 1, 1)))
# Programs and unnamed accounts are no authors.
_MACHINE_NAME = re.compile(
    r"(?:microsoft|ms)?[ -]?(?:office|windows|word|excel)?[ -]*(?:user|owner|users?)\d*|administrator|admin|author|"
    r"autor|unknown|anonymous|default|guest|root|student|test|none|null|nobody|pc|laptop|"
    r"python-(?:docx|pptx)|openpyxl|apache poi|reportlab|un-named|unnamed|utilisateur(?: .*)?|benutzer|usuario|"
    r"(?:microsoft|openoffice|libreoffice)\b.*|.*\b(?:scanner|multifunction|mfp|workcentre|bizhub)\b.*|[\W\d_]*",
    re.IGNORECASE,
)
_PDF_DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?")
_ISO_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")


def authors(names: Iterable[str]) -> tuple[str, ...]:
    """People's names, each once and cleaned, at most 20; those of programs and unnamed accounts left out."""
    found: dict[str, None] = {}
    for several in names:
        for name in re.split(r"[;\n]", clean(several)):
            name = " ".join(name.split()).strip("\"' ")[:_LONGEST_AUTHOR]
            if name and not _MACHINE_NAME.fullmatch(name):
                found.setdefault(name)
    return tuple(found)[:MOST_AUTHORS]


def day(text: str) -> date | None:
    """The day that a file's date tells: ISO 8601, as in PDF, or as in mail. None unless it is a sane one."""
    text = text.strip()
    match = _PDF_DATE.match(text) or _ISO_DATE.match(text)
    try:
        if match:
            found = date(*(int(number or 1) for number in match.groups()))
        else:
            # Imported by need: it takes longer than reading a short text.
            from email.utils import parsedate_to_datetime

            found = parsedate_to_datetime(text).date()
    except (ValueError, TypeError, IndexError, OverflowError):
        # Not every program that writes a date writes one.
        return None
    return sane_day(found)


def sane_day(found: date | None) -> date | None:
    """The day, unless it lies before 1900 or after tomorrow, or is a clock that was never set."""
    if found is None or found in _ZERO_DAYS:
        return None
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return found if found.year >= _EARLIEST_YEAR and found <= tomorrow else None
