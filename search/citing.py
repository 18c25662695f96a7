"""How a document is cited: BibTeX, RIS and plain text. Pure; no database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

UNDATED = "n.d."
"""What stands for the year of a document that does not say when it was written."""

_BIBTEX_SPECIAL = re.compile(r"[\\{}$&#^_%~]")
_BIBTEX_ESCAPES = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "{": r"\{", "}": r"\}",
    "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
}  # fmt: skip
_UNWRITABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what has no place in a line: a line break in a title would begin a field of its own."""


class Citable(Protocol):
    """What is read of a document to cite it."""

    authors: list[str]
    written_on: date | None
    last_reviewed: date | None
    language: str


@dataclass(frozen=True)
class Source:
    """A document as it is cited. `dated` is when it was written, else last reviewed; `authors` may be empty."""

    title: str
    authors: tuple[str, ...]
    publisher: str
    kind: str
    dated: date | None
    language: str
    url: str
    seen_on: date

    @property
    def year(self) -> str:
        """Four digits, or UNDATED."""
        return f"{self.dated.year:04}" if self.dated else UNDATED


def source_of(document: Citable, *, publisher: str, kind: str, url: str, seen_on: date) -> Source:
    """A document as a source. `publisher` is its department, `kind` its type, `url` the full address of its page."""
    return Source(
        title=_line(str(document)),
        authors=tuple(filter(None, map(_line, document.authors))),
        publisher=_line(publisher),
        kind=_line(kind),
        dated=document.written_on or document.last_reviewed,
        language=document.language,
        url=_line(url),
        seen_on=seen_on,
    )


def bibtex(source: Source) -> str:
    """A BibTeX reference in UTF-8; every value is escaped and braced, so that none can end itself or the rest."""
    authors = " and ".join(map(_bibtex_name, source.authors)) or f"{{{_bibtex(source.publisher)}}}"
    fields = {
        "title": f"{{{_bibtex(source.title)}}}",
        "author": authors,
        "institution": _bibtex(source.publisher),
        "type": _bibtex(source.kind),
        "year": source.year if source.dated else "",
        "date": source.dated.isoformat() if source.dated else "",
        "langid": _bibtex(source.language),
        "url": _bibtex_url(source.url),
        "urldate": source.seen_on.isoformat(),
    }
    lines = [f"  {name:<11} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@techreport{{{_key(source)},", *lines, "}", ""])


def ris(source: Source) -> str:
    """A RIS reference: a tag a line, each line ended as the format asks."""
    lines = [("TY", "RPRT"), ("TI", source.title)]
    lines += [("AU", author) for author in source.authors or (source.publisher,)]
    lines += [("PB", source.publisher), ("M3", source.kind)]
    if source.dated:
        lines += [("PY", source.year), ("DA", f"{source.dated:%Y/%m/%d}")]
    if source.language:
        lines.append(("LA", source.language))
    lines += [("UR", source.url), ("Y2", f"{source.seen_on:%Y/%m/%d}"), ("ER", "")]
    return "".join(f"{tag}  - {value}\r\n" for tag, value in lines)


def plain(source: Source) -> str:
    """One line for a list of references: who, when, what, where, and the day on which it was looked at."""
    who = ", ".join(source.authors) or source.publisher
    end = "" if source.title.endswith((".", "?", "!", "。", "؟")) else "."
    said_by = f" {source.publisher}." if source.authors else ""
    return f"{who} ({source.year}). {source.title}{end} {source.kind}.{said_by} {source.url} (seen {source.seen_on})\n"


@dataclass(frozen=True)
class CitationFormat:
    """A form in which a document is cited, and how the answer names it."""

    write: Callable[[Source], str]
    content_type: str
    extension: str


FORMATS = {
    "bibtex": CitationFormat(bibtex, "application/x-bibtex", "bib"),
    "ris": CitationFormat(ris, "application/x-research-info-systems", "ris"),
    "text": CitationFormat(plain, "text/plain", "txt"),
}
"""The values of `format` in the address of a citation."""


def _line(text: str) -> str:
    """The text as one line without control characters."""
    kept = (" " if unicodedata.category(one) in _UNWRITABLE and one.isspace() else one for one in text)
    kept = (one for one in kept if unicodedata.category(one) not in _UNWRITABLE)
    return " ".join("".join(kept).split())


def _bibtex(text: str) -> str:
    return _BIBTEX_SPECIAL.sub(lambda found: _BIBTEX_ESCAPES[found[0]], text)


def _bibtex_url(url: str) -> str:
    """An address, in which BibTeX' packages take every character but braces and the backslash as it is."""
    return re.sub(r"[\\{}]", lambda found: f"%{ord(found[0]):02X}", url)


def _bibtex_name(name: str) -> str:
    """A name, braced as one whole where BibTeX would take it apart wrongly."""
    whole = _bibtex(name)
    return f"{{{whole}}}" if " and " in f" {name.casefold()} " or name.count(",") > 1 else whole


def _key(source: Source) -> str:
    """A key of ASCII letters and digits: the first author or the publisher, the year, the title's first long word."""
    who = (source.authors or (source.publisher,))[0].split(",")[0].split()
    words = [word for word in source.title.split() if len(word) > 3] or [source.title]
    parts = (who[-1] if source.authors and who else "".join(who), source.year if source.dated else "", words[0])
    return "".join(filter(None, map(_ascii, parts))).lower() or "document"


def _ascii(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", unicodedata.normalize("NFKD", text))
