"""Word 2 to 2003 (DOC). The extraction library reads what it knows; the text of the others we take out ourselves.

It does not know Word 2, 6 and 95, nor files whose streams another program named in capitals. Of these the main text,
notes and text boxes are read, without headings. Format: Microsoft [MS-DOC]; for Word 2 to 95 the same block at the
beginning, with the places of an older edition of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import olefile

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import as_table
from ingestion.extraction_library import reader_for
from ingestion.extraction_properties import summary_of
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_OLE = b"\xd0\xcf\x11\xe0"
_WORD_2 = b"\xdb\xa5"
_VERSION_AT, _FLAGS_AT, _TEXT_AT = 0x02, 0x0A, 0x18
_FIRST_OF_WORD_97 = 0xC1
_IN_PIECES, _ENCRYPTED, _SECOND_TABLE = 0x0004, 0x0100, 0x0200
_EIGHT_BIT = 0x40000000
_PIECE_BYTES = 8


@dataclass(frozen=True)
class _Edition:
    """Where a version keeps the lengths of its texts (in characters) and its table of pieces."""

    main: int
    notes: tuple[int, ...]
    """Footnotes, headers, macros, comments, endnotes, text boxes, in the order of the file."""
    pieces: int


_WORD_97 = _Edition(0x4C, (0x50, 0x54, 0x58, 0x5C, 0x60, 0x64), 0x1A2)
_BEFORE_97 = _Edition(0x34, (0x38, 0x3C, 0x40, 0x44, 0x48, 0x4C), 0x160)
# Of the texts above: footnotes, endnotes and text boxes.
_WANTED_NOTES = (0, 4, 5)
_TRANSLATED: dict[int, str | None] = dict.fromkeys((*range(1, 7), 8, 0x1F, *range(0x0F, 0x13), *range(0x16, 0x1E)))
_TRANSLATED |= {0x0B: "\n", 0x0C: "\r", 0x0E: "\r", 0x1E: "-"}
_CELL_END, _FIELD_BEGIN, _FIELD_RESULT, _FIELD_END = "\x07", "\x13", "\x14", "\x15"
_BROKEN = "The Word file is damaged. Open it in its program, save it anew, and upload that."


def read_doc(path: Path, limits: Limits) -> Extraction:
    with path.open("rb") as stream:
        begin = stream.read(4)
    if begin.startswith(_WORD_2):
        return Extraction(kinds.DOC, (Page(1, _text(path.read_bytes(), b"")),), "", "")
    if not begin.startswith(_OLE):
        # Word's older XML form goes by this name too.
        return reader_for(kinds.DOC)(path, limits)
    try:
        with olefile.OleFileIO(path) as ole:
            told = summary_of(ole)
            word = ole.openstream("WordDocument").read()
            if _version(word) >= _FIRST_OF_WORD_97:
                found = _by_library(path, limits)
                if found is not None:
                    return found
            second = struct.unpack_from("<H", word, _FLAGS_AT)[0] & _SECOND_TABLE
            name = "1Table" if second else "0Table"
            table = ole.openstream(name).read() if ole.exists(name) else b""
            text = _text(word, table)
    except (olefile.OleFileError, OSError, struct.error, IndexError) as error:
        raise ExtractionError("broken", _BROKEN) from error
    return Extraction(kinds.DOC, (Page(1, text),), told.title, "", authors=told.authors, written_on=told.written_on)


def _by_library(path: Path, limits: Limits) -> Extraction | None:
    try:
        found = reader_for(kinds.DOC)(path, limits)
    except ExtractionError as error:
        if error.reason != "broken":
            raise
        return None
    return found if any(page.text.strip() for page in found.pages) else None


def _version(word: bytes) -> int:
    return int(struct.unpack_from("<H", word, _VERSION_AT)[0])


def _text(word: bytes, table: bytes) -> str:
    """The main text, then footnotes, endnotes and text boxes, as Markdown."""
    is_97 = _version(word) >= _FIRST_OF_WORD_97
    edition = _WORD_97 if is_97 else _BEFORE_97
    flags = struct.unpack_from("<H", word, _FLAGS_AT)[0]
    if flags & _ENCRYPTED:
        raise ExtractionError(
            "encrypted", "The Word file is protected with a password. Save a copy without protection and upload that."
        )
    start, end = struct.unpack_from("<II", word, _TEXT_AT)
    if is_97 or flags & _IN_PIECES:
        characters = _pieces(word, table if is_97 else word, edition, is_97=is_97)
    else:
        characters = decode(word[start:end])
    lengths = [struct.unpack_from("<I", word, at)[0] for at in (edition.main, *edition.notes)]
    found = [characters[: lengths[0]]]
    for number in _WANTED_NOTES:
        begin = sum(lengths[: number + 1])
        found.append(characters[begin : begin + lengths[number + 1]])
    return "\n\n".join(filter(None, map(_as_markdown, found)))


def _pieces(word: bytes, table: bytes, edition: _Edition, *, is_97: bool) -> str:
    """The text put together from its pieces, which lie about in the file as they were edited."""
    at, size = struct.unpack_from("<II", word, edition.pieces)
    block = table[at : at + size]
    at = 0
    # Sets of properties come first.
    while at + 3 <= len(block) and block[at] == 1:
        at += 3 + struct.unpack_from("<H", block, at + 1)[0]
    if at >= len(block) or block[at] != 2:
        raise ExtractionError("broken", _BROKEN)
    length = struct.unpack_from("<I", block, at + 1)[0]
    plan = block[at + 5 : at + 5 + length]
    count = (len(plan) - 4) // (4 + _PIECE_BYTES)
    ends = struct.unpack_from(f"<{count + 1}I", plan)
    found: list[str] = []
    for number in range(count):
        (place,) = struct.unpack_from("<I", plan, 4 * (count + 1) + number * _PIECE_BYTES + 2)
        characters = ends[number + 1] - ends[number]
        if not is_97:
            found.append(decode(word[place : place + characters]))
        elif place & _EIGHT_BIT:
            start = (place & ~_EIGHT_BIT) // 2
            found.append(word[start : start + characters].decode("cp1252", "replace"))
        else:
            found.append(word[place : place + 2 * characters].decode("utf-16-le", "replace"))
    return "".join(found)


def _as_markdown(text: str) -> str:
    blocks: list[str] = []
    rows: list[list[str]] = []
    for paragraph in _without_fields(text.translate(_TRANSLATED)).split("\r"):
        # Within a row each cell ends with a mark, and the row with one more.
        *cells, rest = paragraph.replace(_CELL_END * 2, f"{_CELL_END}\n{_CELL_END}").split(_CELL_END)
        row: list[str] = []
        for cell in cells:
            if cell == "\n":
                rows.append(row)
                row = []
            else:
                row.append(" ".join(cell.split()))
        if row:
            rows.append(row)
        if rest.strip():
            if rows:
                blocks.append(as_table(rows))
                rows = []
            blocks.append(rest.strip())
    if rows:
        blocks.append(as_table(rows))
    return "\n\n".join(blocks)


def _without_fields(text: str) -> str:
    """Fields as they are shown: their instructions go, their results stay."""
    pieces: list[str] = []
    open_fields: list[bool] = []
    for character in text:
        if character == _FIELD_BEGIN:
            open_fields.append(False)
        elif character == _FIELD_RESULT and open_fields:
            open_fields[-1] = True
        elif character == _FIELD_END and open_fields:
            open_fields.pop()
        elif all(open_fields):
            pieces.append(character)
    return "".join(pieces)
