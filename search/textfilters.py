"""Filters that are typed among the words: 'exam rules dept:Registry type:policy before:2025'.

What is not understood, an unknown prefix or a value that no department, campus or type begins with, is left among the
words. Departments, campuses and types are the institution's own lists, which every upload form shows; a tag may betray
what a document is about, and is taken as it is typed without a look at which there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from django.conf.locale import LANG_INFO

from accounts.models import Campus, Department
from ingestion.lexemes import normalised
from ingestion.models import DocumentType

PREFIXES = {
    "dept": "department",
    "department": "department",
    "campus": "campus",
    "type": "doc_type",
    "doc_type": "doc_type",
    "lang": "language",
    "language": "language",
    "tag": "tag",
    "before": "reviewed_before",
    "after": "reviewed_after",
}
"""What is typed before the colon -> the public name of the filter."""

_QUOTES = '"“”„‟«»'
_FILTER = re.compile(
    rf"(?<!\S)(?P<prefix>{'|'.join(PREFIXES)}):(?:[{_QUOTES}](?P<quoted>[^{_QUOTES}]+)[{_QUOTES}](?!\S)|(?P<plain>\S+))",
    re.IGNORECASE,
)
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def take_filters(text: str) -> tuple[str, dict[str, Any]]:
    """The text without its filters, and what they are, by their public names: dates, and lists of values.

    Dates are those of `last_reviewed`: 'before:2025' means before its first day, 'after:2024-06' from its first day on.
    """
    taken: dict[str, Any] = {}
    kept: list[str] = []
    at = 0
    for found in _FILTER.finditer(text):
        name = PREFIXES[found["prefix"].lower()]
        value = _READERS[name]((found["quoted"] or found["plain"]).strip())
        if value is None:
            continue
        kept.append(text[at : found.start()])
        at = found.end()
        if isinstance(value, date):
            taken[name] = value
        else:
            taken[name] = [*(one for one in taken.get(name, []) if one != value), value]
    return (" ".join("".join([*kept, text[at:]]).split()), taken) if taken else (text, taken)


def _day(text: str) -> date | None:
    found = _DAY.fullmatch(text)
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1)) if found else None
    except ValueError:
        return None


def _meant(text: str, known: Iterable[tuple[str, str]]) -> str | None:
    """The one value of which a name is this text, or else begins with it; None where there is none, or several."""
    wanted, pairs = normalised(text), [(value, normalised(name)) for value, name in known]
    same = {value for value, name in pairs if name == wanted}
    found = same or {value for value, name in pairs if name.startswith(wanted)}
    return found.pop() if len(found) == 1 else None


def _department(text: str) -> str | None:
    return _meant(text, ((name, name) for name in Department.objects.values_list("name", flat=True)))


def _campus(text: str) -> str | None:
    return _meant(text, ((name, name) for name in Campus.objects.values_list("name", flat=True)))


def _doc_type(text: str) -> str | None:
    types = DocumentType.objects.values_list("slug", "name")
    return _meant(text, ((slug, shown) for slug, name in types for shown in (slug, name)))


def _language(text: str) -> str | None:
    """A language by its code or by its whole name, in English or its own."""
    wanted = normalised(text)
    for code, told in LANG_INFO.items():
        # Documents are told apart by language, not by country or script.
        names = (code, told.get("name", ""), told.get("name_local", ""))
        if "-" not in code and wanted in map(normalised, names):
            return code
    return "zh" if wanted in ("zh", "chinese", normalised("中文")) else None


def _tag(text: str) -> str | None:
    return text[:200] or None


_READERS: dict[str, Callable[[str], Any]] = {
    "department": _department,
    "campus": _campus,
    "doc_type": _doc_type,
    "language": _language,
    "tag": _tag,
    "reviewed_before": _day,
    "reviewed_after": _day,
}
