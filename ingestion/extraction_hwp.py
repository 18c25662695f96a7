"""Hangul Word Processor 5 (HWP): the paragraphs of its sections.

An OLE file; each section is a stream, most often deflated, of tagged records. Format: Hancom's 'HWP Document File
Formats 5.0'. Our own reader: kreuzberg 4.10 gave no text for the files tried.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import olefile

from ingestion import extraction_kinds as kinds
from ingestion.extraction_properties import summary_of
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_COMPRESSED, _ENCRYPTED, _FOR_DISTRIBUTION = 0x1, 0x2, 0x4  # flags of the file's header
_FLAGS_AT = 36
_PARAGRAPH_TEXT = 67
_LONG_RECORD = 0xFFF
_LINE_BREAK, _PARAGRAPH_END, _HYPHEN, _HARD_SPACE, _FIXED_SPACE = 10, 13, 24, 30, 31
# Control characters that stand alone; all others are eight characters long, with data of their own.
_SINGLE = frozenset((0, _LINE_BREAK, _PARAGRAPH_END, *range(24, 32)))
_CONTROL_UNITS = 8
_SHOWN = {_LINE_BREAK: "\n", _HYPHEN: "-", _HARD_SPACE: "\u00a0", _FIXED_SPACE: " "}
_TAB = 9


def read_hwp(path: Path, limits: Limits) -> Extraction:
    try:
        with olefile.OleFileIO(path) as ole:
            flags = struct.unpack_from("<I", ole.openstream("FileHeader").read(), _FLAGS_AT)[0]
            if flags & (_ENCRYPTED | _FOR_DISTRIBUTION):
                raise ExtractionError(
                    "encrypted", "The HWP document is protected. Save a copy without protection and upload that."
                )
            names = sorted((entry[1] for entry in ole.listdir() if entry[0] == "BodyText"), key=_section_number)
            pages = tuple(
                Page(number, "\n\n".join(_paragraphs(_unpacked(ole, name, flags, limits))))
                for number, name in enumerate(names, start=1)
            )
            told = summary_of(ole, "\x05HwpSummaryInformation")
    except (olefile.OleFileError, OSError, struct.error, zlib.error, IndexError) as error:
        raise ExtractionError(
            "broken", "The HWP document is damaged. Open it in its program, save it anew, and upload that."
        ) from error
    # Sections are no pages: the file does not say where its pages end.
    text = "\n\n".join(page.text for page in pages)
    return Extraction(kinds.HWP, (Page(1, text),), told.title, "", authors=told.authors, written_on=told.written_on)


def _section_number(name: str) -> int:
    digits = "".join(filter(str.isdigit, name))
    return int(digits) if digits else 0


def _unpacked(ole: olefile.OleFileIO, name: str, flags: int, limits: Limits) -> bytes:
    data: bytes = ole.openstream(["BodyText", name]).read()
    if not flags & _COMPRESSED:
        return data
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    found = unpacker.decompress(data, limits.unpacked_bytes)
    if unpacker.unconsumed_tail:
        raise ExtractionError("too_large", "The HWP document unpacks to more than can be read. Split it.")
    return found


def _paragraphs(data: bytes) -> Iterator[str]:
    at = 0
    while at + 4 <= len(data):
        head = struct.unpack_from("<I", data, at)[0]
        at += 4
        tag, size = head & 0x3FF, head >> 20
        if size == _LONG_RECORD:
            if at + 4 > len(data):
                return
            size = struct.unpack_from("<I", data, at)[0]
            at += 4
        if tag == _PARAGRAPH_TEXT:
            text = _text(data[at : at + size])
            if text.strip():
                yield text.strip()
        at += size


def _text(data: bytes) -> str:
    units = memoryview(data[: len(data) // 2 * 2]).cast("H")
    pieces: list[str] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit >= 32:
            pieces.append(chr(unit))
            at += 1
            continue
        pieces.append("\t" if unit == _TAB else _SHOWN.get(unit, ""))
        at += 1 if unit in _SINGLE else _CONTROL_UNITS
    # Characters beyond the first 65,536 come as two halves.
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
