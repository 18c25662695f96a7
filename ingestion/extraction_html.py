"""HTML to the plain Markdown of the corpus: headings, paragraphs, lists and tables.

Written on the standard library's parser, which walks without recursion: 50,000 nested elements cost it nothing, where
the extraction library gave back no text at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_DROPPED = frozenset(
    ("script", "style", "template", "noscript", "svg", "math", "iframe", "object", "canvas", "select", "button", "head")
)
_FURNITURE = frozenset(("nav", "footer"))
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "html", "legend", "main", "nav", "p",
    "section", "summary", "title", "caption", "pre", "ul", "ol", "li", "table", "thead", "tbody", "tfoot", "tr",
    "td", "th", "h1", "h2", "h3", "h4", "h5", "h6",
))  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{2,40})", re.IGNORECASE)
_DEEPEST_LIST = 8
_AUTHOR_NAMES = ("author", "dc.creator", "dcterms.creator", "citation_author")
_DATE_NAMES = (
    "article:published_time", "dc.date", "dcterms.created", "dcterms.date", "dc.date.created", "citation_date", "date",
)  # fmt: skip


@dataclass(frozen=True)
class HtmlDocument:
    text: str
    title: str
    language: str
    authors: tuple[str, ...] = ()
    written: str = ""
    """When, as the page tells it."""


def declared_charset(data: bytes) -> str:
    """The character set that the document names in its first 4 KiB, or ''."""
    match = _CHARSET.search(data[:4096]) or _XML_ENCODING.search(data[:4096])
    return match[1].decode("ascii").lower() if match else ""


def read_html(text: str) -> HtmlDocument:
    """The document's text as Markdown, without navigation and footers unless they are all there is."""
    reader = _Reader(_DROPPED | _FURNITURE)
    reader.feed(text)
    reader.close()
    if not reader.markdown().strip():
        reader = _Reader(_DROPPED)
        reader.feed(text)
        reader.close()
    authors = tuple(filter(None, (reader.told.get(name, "") for name in _AUTHOR_NAMES)))
    written = next(filter(None, (reader.told.get(name, "") for name in _DATE_NAMES)), "")
    return HtmlDocument(reader.markdown(), " ".join(reader.title.split()), reader.language, authors, written)


@dataclass
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None


class _Reader(HTMLParser):
    def __init__(self, dropped: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.language = ""
        self.told: dict[str, str] = {}
        """What the page's `meta` elements say: name in small letters -> content."""
        self._dropped = dropped
        self._dropping: list[str] = []
        self._in_title = False
        self._blocks: list[str] = []
        self._words: list[str] = []
        self._prefix = ""
        self._lists: list[int] = []
        self._tables: list[_Table] = []
        self._preformatted = 0

    def markdown(self) -> str:
        self._end_block()
        return "\n".join(self._blocks)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "html":
            self.language = self.language or attributes.get("lang") or attributes.get("xml:lang") or ""
        if tag == "meta":
            name = attributes.get("name") or attributes.get("property") or ""
            self.told.setdefault(name.lower(), attributes.get("content") or "")
        if tag == "title" and not self.title:
            self._in_title = True
        if tag == "body":
            # A head left open ends here at the latest.
            self._dropping.clear()
        if self._dropping or tag in self._dropped or "hidden" in attributes:
            if tag not in _VOID:
                self._dropping.append(tag)
            return
        if tag == "br":
            self._words.append("\n" if not self._tables else " ")
        elif tag == "img":
            self._words.append(f" {attributes.get('alt') or ''} ")
        elif tag in _BLOCKS:
            self._start_block(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if self._dropping:
            self._end_dropping(tag)
        elif tag in _BLOCKS:
            self._finish_block(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._dropping:
            self._words.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _end_dropping(self, tag: str) -> None:
        if tag in self._dropping:
            while self._dropping.pop() != tag:
                pass

    def _start_block(self, tag: str, attributes: dict[str, str | None]) -> None:
        if self._tables and tag not in ("table", "tr", "td", "th"):
            self._words.append(" ")
            return
        self._end_block()
        if tag in _HEADINGS:
            self._blocks.append("")
            self._prefix = "#" * _HEADINGS[tag] + " "
        elif tag in ("ul", "ol"):
            self._gap()
            start = attributes.get("start") or "1"
            self._lists.append(0 if tag == "ul" else int(start) if start.isascii() and start.isdigit() else 1)
        elif tag == "li":
            self._start_point()
        elif tag == "table":
            self._tables.append(_Table())
        elif tag == "tr" and self._tables:
            self._tables[-1].rows.append([])
        elif tag in ("td", "th") and self._tables:
            self._tables[-1].cell = []
        elif tag == "pre":
            self._preformatted += 1

    def _finish_block(self, tag: str) -> None:
        if tag in ("td", "th") and self._tables:
            self._end_cell()
            return
        if tag == "table" and self._tables:
            self._end_table()
            return
        if self._tables:
            if tag == "tr":
                self._end_cell()
            self._words.append(" ")
            return
        self._end_block()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        if tag in _HEADINGS or tag in ("p", "ul", "ol", "pre", "blockquote", "div", "section", "dl", "figure"):
            self._gap()

    def _start_point(self) -> None:
        depth = min(len(self._lists), _DEEPEST_LIST)
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] += 1
        self._prefix = "  " * max(0, depth - 1) + (f"{number}. " if number else "- ")

    def _gap(self) -> None:
        if not self._lists and self._blocks and self._blocks[-1]:
            self._blocks.append("")

    def _end_block(self) -> None:
        """Close the text collected so far: as a cell's content inside a table, else as a block of its own."""
        text = "".join(self._words)
        self._words.clear()
        if self._tables and self._tables[-1].cell is not None:
            self._tables[-1].cell.append(text)
            return
        if not self._preformatted:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
        if text.strip():
            flat = " ".join(text.split()) if self._prefix.startswith("#") else text.strip("\n")
            self._blocks.append(self._prefix + flat)
            self._prefix = ""

    def _end_cell(self) -> None:
        self._end_block()
        table = self._tables[-1]
        if table.cell is not None:
            if not table.rows:
                table.rows.append([])
            table.rows[-1].append(" ".join(" ".join(table.cell).split()))
            table.cell = None

    def _end_table(self) -> None:
        self._end_cell()
        table = self._tables.pop()
        text = as_table(table.rows)
        if self._tables:
            self._words.append(" " + " ".join(cell for row in table.rows for cell in row if cell) + " ")
        elif text:
            self._blocks += ["", text, ""]


def as_table(rows: list[list[str]]) -> str:
    """Rows of cells as a Markdown table; a table of one column, which is layout, as paragraphs."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    if width == 1:
        return "\n\n".join(row[0] for row in rows)
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in [*row, *[""] * (width - len(row))]) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])
