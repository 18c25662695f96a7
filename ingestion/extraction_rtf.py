"""Rich Text Format: paragraphs, headings, lists, tables and notes, each font in its own character set.

Our own reader, because kreuzberg 4.10.4 reads every font as Western ("Článek" came as "Èlánek"). Format: Rich Text
Format Specification 1.9.1; packed RTF, as Outlook keeps it: Microsoft [MS-OXRTFCP].
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table
from ingestion.extraction_markdown import joined
from ingestion.extraction_origin import sane_day
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)|\\", re.DOTALL
)
# Groups that hold no text of the document.
_DROPPED = frozenset((
    b"colortbl", b"pict", b"objdata", b"fldinst", b"header", b"headerl", b"headerr", b"headerf", b"footer", b"footerl",
    b"footerr", b"footerf", b"ftnsep", b"ftnsepc", b"ftncn", b"aftnsep", b"aftnsepc", b"aftncn", b"xe", b"tc", b"rxe",
    b"nonshppict", b"listtable", b"listoverridetable", b"revtbl", b"rsidtbl", b"filetbl", b"datafield", b"themedata",
    b"pntext", b"pntxta", b"pntxtb", b"bkmkstart", b"bkmkend", b"atnid", b"atnauthor", b"annotation", b"objclass",
))  # fmt: skip
# Groups marked as unknown to old programs ('\*') that hold text all the same.
_KEPT = frozenset((b"shppict", b"shpinst", b"shptxt", b"footnote", b"fldrslt", b"shp", b"pnseclvl"))
_SIGNS = {
    b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"qmspace": " ", b"zwj": "\u200d", b"zwnj": "\u200c",
    b"tab": " ", b"line": "\n", b"softline": " ", b"chftn": "",
}  # fmt: skip
_ESCAPED = {
    b"\\": "\\",
    b"{": "{",
    b"}": "}",
    b"~": "\u00a0",
    b"_": "-",
    b"-": "",
    b"\n": "\n",
    b"\r": "\n",
    b"\t": " ",
}
# \fcharset -> Windows code page. https://learn.microsoft.com/openspecs/windows_protocols/ms-wmf (CharacterSet)
_CHARACTER_SETS = {
    0: "cp1252", 77: "mac_roman", 78: "cp932", 79: "cp949", 80: "gb18030", 81: "cp950", 128: "cp932", 129: "cp949",
    130: "johab", 134: "gb18030", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255",
    178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_HEADING_NAME = re.compile(r"(?:heading|überschrift|titre|título|titolo|nadpis)\s*([1-9])", re.IGNORECASE)
_DEEPEST_HEADING = 6
_DEEPEST_GROUP = 10_000
_PACKED_HEAD = struct.Struct("<IIII")
_PACKED, _UNPACKED = 0x75465A4C, 0x414C454D
_DICTIONARY_BYTES = 4096
# An override of a list that says that it overrides no level, and yet holds one.
_CORRUPT_OVERRIDE = re.compile(rb"\\listoverridecount0(?!\d)[^{}]*\\level[a-z]")
# What every packed text begins to refer to. [MS-OXRTFCP] 2.1.2.1
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans "
    rb"SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_LONGEST_UNPACKED = 64 * 1024 * 1024


@dataclass(frozen=True)
class _State:
    """What a group changes and its end restores."""

    destination: bytes = b""
    font: int = -1
    skipped_bytes: int = 1
    hidden: bool = False


@dataclass
class _Reading:
    state: _State = field(default_factory=_State)
    groups: list[_State] = field(default_factory=list)
    code_page: str = "cp1252"
    default_font: int = -1
    fonts: dict[int, str] = field(default_factory=dict)
    styles: dict[int, int] = field(default_factory=dict)
    """Number of a style -> level of heading."""
    information: dict[bytes, str] = field(default_factory=dict)
    created: dict[bytes, int] = field(default_factory=dict)
    raw: bytearray = field(default_factory=bytearray)
    words: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    level: int = 0
    in_table: bool = False
    is_point: bool = False
    style: int = 0
    skip: int = 0


def read_rtf(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    reading = _parse(data)
    pages = (Page(1, joined(reading.blocks)),)
    authors = (reading.information.get(b"author", ""),)
    title = reading.information.get(b"title", "")
    return Extraction(
        kinds.RTF,
        pages,
        title,
        "",
        authors=authors,
        written_on=_created(reading.created),
        # Groups that never end are those of a file that was cut off.
        is_damaged=bool(reading.groups) or _CORRUPT_OVERRIDE.search(data) is not None,
    )


def rtf_text(data: bytes) -> str:
    """The text of an RTF document as simple Markdown; '' for what is none."""
    return joined(_parse(data).blocks) if data.lstrip().startswith(b"{\\rtf") else ""


def unpacked_rtf(data: bytes) -> bytes:
    """RTF as Outlook packs it, unpacked; b'' where it is damaged."""
    if len(data) < _PACKED_HEAD.size:
        return b""
    _, size, mark, _ = _PACKED_HEAD.unpack_from(data)
    body = data[_PACKED_HEAD.size :]
    if mark == _UNPACKED:
        return body[:size]
    if mark != _PACKED or size > _LONGEST_UNPACKED:
        return b""
    return _unpacked(body, size)


def _unpacked(body: bytes, size: int) -> bytes:
    dictionary = bytearray(_DICTIONARY.ljust(_DICTIONARY_BYTES, b"\0"))
    at, write = 0, len(_DICTIONARY)
    found = bytearray()

    def put(byte: int) -> None:
        nonlocal write
        found.append(byte)
        dictionary[write] = byte
        write = (write + 1) % _DICTIONARY_BYTES

    while at < len(body) and len(found) < size:
        control = body[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                if at >= len(body):
                    return bytes(found)
                put(body[at])
                at += 1
                continue
            if at + 1 >= len(body):
                return bytes(found)
            reference = body[at] << 8 | body[at + 1]
            at += 2
            start, length = reference >> 4, (reference & 0xF) + 2
            if start == write:
                return bytes(found)
            for offset in range(length):
                put(dictionary[(start + offset) % _DICTIONARY_BYTES])
    return bytes(found)


def _parse(data: bytes) -> _Reading:
    reading = _Reading()
    at = 0
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            break
        at = match.end()
        word, number, code, escaped, brace, text = match.groups()
        if brace:
            _brace(brace, reading)
        elif word:
            value = int(number) if number else None
            if word == b"bin" and value is not None:
                at += max(0, value)
            elif word == b"u" and value is not None:
                _unicode(value, reading)
            elif _is_heard(reading, word):
                _control(word, value, reading)
        elif code:
            _put_bytes(bytes((int(code, 16),)), reading)
        elif escaped == b"*":
            _mark_unknown(data, at, reading)
        elif escaped:
            _put(_ESCAPED.get(escaped, ""), reading)
            if escaped in (b"\n", b"\r"):
                _end_paragraph(reading)
        elif text:
            _put_bytes(text, reading)
    _end_paragraph(reading)
    _end_table(reading)
    return reading


def _brace(brace: bytes, reading: _Reading) -> None:
    _flush(reading)
    reading.skip = 0
    if brace == b"{":
        if len(reading.groups) > _DEEPEST_GROUP:
            raise ExtractionError("broken", "The RTF file is damaged: its groups never end. Save it anew.")
        reading.groups.append(reading.state)
    elif reading.groups:
        if reading.state.destination == b"footnote" and reading.groups[-1].destination != b"footnote":
            reading.words.append(") ")
        reading.state = reading.groups.pop()


def _mark_unknown(data: bytes, at: int, reading: _Reading) -> None:
    following = _TOKEN.match(data, at)
    if following is None or following[1] not in _KEPT:
        reading.state = replace(reading.state, destination=b"dropped")


def _is_heard(reading: _Reading, word: bytes) -> bool:
    """Whether a control word still matters in this group: in one that is dropped, none does."""
    if reading.skip:
        reading.skip -= 1
    return reading.state.destination != b"dropped"


def _control(word: bytes, value: int | None, reading: _Reading) -> None:
    _flush(reading)
    state = reading.state
    if word in _DROPPED:
        reading.state = replace(state, destination=b"dropped")
    elif word in (b"fonttbl", b"stylesheet", b"info", b"listtext", b"footnote"):
        reading.state = replace(state, destination=word)
        if word == b"listtext":
            reading.is_point = True
        elif word == b"footnote":
            reading.words.append(" (")
    elif state.destination in (b"info", b"creatim", b"title", b"author"):
        _information(word, value, reading)
    elif word in _SIGNS:
        _put(_SIGNS[word], reading)
    elif word in (b"par", b"sect", b"page", b"cell", b"row", b"nestcell", b"nestrow"):
        _structure(word, reading)
    else:
        _property(word, value, reading)


def _information(word: bytes, value: int | None, reading: _Reading) -> None:
    if word in (b"title", b"author", b"creatim"):
        reading.state = replace(reading.state, destination=word)
        reading.information.pop(word, None)
    elif reading.state.destination == b"creatim" and word in (b"yr", b"mo", b"dy"):
        reading.created[word] = value or 0
    elif reading.state.destination == b"info":
        reading.state = replace(reading.state, destination=b"dropped")


def _property(word: bytes, value: int | None, reading: _Reading) -> None:
    state = reading.state
    if word == b"ansicpg" and value:
        reading.code_page = {65001: "utf-8", 936: "gb18030"}.get(value, f"cp{value}")
    elif word == b"mac":
        reading.code_page = "mac_roman"
    elif word == b"deff" and value is not None:
        reading.default_font = value
    elif word == b"f" and value is not None:
        reading.state = replace(state, font=value)
    elif word == b"fcharset" and value is not None and state.destination == b"fonttbl":
        if value in _CHARACTER_SETS:
            reading.fonts[state.font] = _CHARACTER_SETS[value]
    elif word == b"uc":
        reading.state = replace(state, skipped_bytes=1 if value is None else max(0, value))
    elif word in (b"v", b"deleted"):
        reading.state = replace(state, hidden=value != 0)
    elif word == b"plain":
        reading.state = replace(state, hidden=False, font=reading.default_font)
    elif word == b"pard":
        reading.level, reading.in_table, reading.is_point = 0, False, False
    elif word == b"intbl":
        reading.in_table = True
    elif word == b"s" and value is not None:
        reading.style = value
        reading.level = reading.styles.get(value, reading.level)
    elif word == b"outlinelevel" and value is not None:
        level = min(value + 1, _DEEPEST_HEADING) if 0 <= value < 9 else 0
        if state.destination == b"stylesheet":
            reading.styles[reading.style] = level
        else:
            reading.level = level


def _structure(word: bytes, reading: _Reading) -> None:
    if reading.state.destination not in (b"", b"footnote"):
        return
    if word in (b"cell", b"nestcell"):
        reading.cells.append(_take_words(reading))
    elif word in (b"row", b"nestrow"):
        reading.rows.append(reading.cells)
        reading.cells = []
    elif reading.in_table or reading.state.destination == b"footnote":
        reading.words.append(" ")
    else:
        _end_paragraph(reading)


def _put_bytes(data: bytes, reading: _Reading) -> None:
    if reading.skip:
        skipped = min(reading.skip, len(data))
        reading.skip -= skipped
        data = data[skipped:]
    # The pictures of a file, written out in digits, may be most of it.
    if reading.state.destination != b"dropped":
        reading.raw += data


def _unicode(value: int, reading: _Reading) -> None:
    _flush(reading)
    _put(chr(value & 0xFFFF), reading)
    reading.skip = reading.state.skipped_bytes


def _flush(reading: _Reading) -> None:
    """Bytes to text in the character set of their font; those of one character may come in several pieces."""
    if not reading.raw:
        return
    codec = reading.fonts.get(reading.state.font, reading.code_page)
    try:
        text = reading.raw.decode(codec, "replace")
    except LookupError:
        text = reading.raw.decode("cp1252", "replace")
    reading.raw.clear()
    _put(text, reading)


def _put(text: str, reading: _Reading) -> None:
    if reading.raw:
        _flush(reading)
    destination = reading.state.destination
    if destination in (b"", b"footnote") and not reading.state.hidden:
        reading.words.append(text)
    elif destination in (b"title", b"author"):
        reading.information[destination] = reading.information.get(destination, "") + text
    elif destination == b"stylesheet":
        match = _HEADING_NAME.match(text.strip())
        if match:
            reading.styles.setdefault(reading.style, min(int(match[1]), _DEEPEST_HEADING))


def _take_words(reading: _Reading) -> str:
    # Characters beyond the first 65,536 come as two halves.
    text = "".join(reading.words).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    reading.words.clear()
    return "\n".join(" ".join(line.split(" ")).strip() for line in text.split("\n")).strip()


def _end_paragraph(reading: _Reading) -> None:
    text = _take_words(reading)
    if not text:
        return
    _end_table(reading)
    if reading.level:
        text = f"{'#' * reading.level} {' '.join(text.split())}"
    elif reading.is_point:
        text = f"- {text}"
    reading.blocks.append(text)


def _end_table(reading: _Reading) -> None:
    if reading.cells:
        reading.rows.append(reading.cells)
        reading.cells = []
    if reading.rows:
        reading.blocks.append(as_table([[" ".join(cell.split()) for cell in row] for row in reading.rows]))
        reading.rows = []


def _created(parts: dict[bytes, int]) -> date | None:
    try:
        return sane_day(date(parts[b"yr"], parts[b"mo"], parts[b"dy"]))
    except (KeyError, ValueError):
        return None
