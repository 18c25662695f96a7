"""PowerPoint 97 to 2003 (PPT): one page a slide, with title, text boxes and notes.

Our own reader, because kreuzberg 4.10.4 gave the prompts of the master ('Click to edit Master text styles') and cut
slides in the wrong places. A file is a tree of records, of which the newest edition of each is looked up in a
directory. Format: Microsoft [MS-PPT]; the numbers below are its record types.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import olefile

from ingestion import extraction_kinds as kinds
from ingestion.extraction_library import reader_for
from ingestion.extraction_properties import summary_of
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_USER_EDIT, _PERSIST_DIRECTORY = 0x0FF5, 0x1772
_SLIDE_LIST, _PERSIST, _NOTES = 0x0FF0, 0x03F3, 0x03F1
_TEXT_HEADER, _TEXT_WIDE, _TEXT_NARROW, _OUTLINE_TEXT = 0x0F9F, 0x0FA0, 0x0FA8, 0x0F9E
_SLIDES, _NOTE_PAGES = 0, 2
_TITLES, _POINTS, _NOTE_TEXT = (0, 6), (1, 7, 8), 2
_OTHER_TEXT = 4
_CURRENT_EDIT_AT = 16
_HEAD = struct.Struct("<HHI")
# Text of no kind on a page of notes: shorter ones are its header, footer and number.
_SHORTEST_FREE_NOTE = 40
_DEEPEST = 60
_MOST_EDITS = 10_000


@dataclass(frozen=True)
class _Text:
    kind: int
    text: str


@dataclass
class _Slide:
    place: int
    """Number of its record in the directory."""
    identity: int
    outline: list[_Text] = field(default_factory=list)


def read_ppt(path: Path, limits: Limits) -> Extraction:
    try:
        with olefile.OleFileIO(path) as ole:
            told = summary_of(ole)
            data = ole.openstream("PowerPoint Document").read()
            edit = struct.unpack_from("<I", ole.openstream("Current User").read(), _CURRENT_EDIT_AT)[0]
        pages = tuple(_pages(data, edit))
    except (olefile.OleFileError, OSError, struct.error, IndexError, KeyError) as error:
        found = reader_for(kinds.PPT)(path, limits)
        if not any(page.text.strip() for page in found.pages):
            raise ExtractionError(
                "broken", "The PowerPoint file is damaged. Open it in its program, save it anew, and upload that."
            ) from error
        return found
    return Extraction(kinds.PPT, pages, told.title, "", authors=told.authors, written_on=told.written_on)


def _pages(data: bytes, edit: int) -> Iterator[Page]:
    places, document = _directory(data, edit)
    lists = {
        instance: list(_listed(data, start, end))
        for kind, instance, start, end in _records(data, *_body(data, places[document]))
        if kind == _SLIDE_LIST
    }
    notes: dict[int, list[str]] = {}
    for page in lists.get(_NOTE_PAGES, []):
        if page.place in places:
            identity, written = _note(data, places[page.place])
            notes.setdefault(identity, []).extend(written)
    for number, slide in enumerate(lists.get(_SLIDES, []), start=1):
        texts = list(_texts(data, *_body(data, places[slide.place]), slide.outline)) if slide.place in places else []
        blocks = [_as_markdown(text) for text in sorted(texts, key=lambda text: text.kind not in _TITLES)]
        yield Page(number, "\n\n".join(filter(None, [*blocks, *notes.get(slide.identity, [])])))


def _records(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(type, instance, begin and end of the body) of the records that lie side by side."""
    while start + _HEAD.size <= end:
        options, kind, size = _HEAD.unpack_from(data, start)
        body = start + _HEAD.size
        yield kind, options >> 4, body, min(body + size, end)
        start = body + size


def _body(data: bytes, at: int) -> tuple[int, int]:
    size = _HEAD.unpack_from(data, at)[2]
    return at + _HEAD.size, min(at + _HEAD.size + size, len(data))


def _directory(data: bytes, edit: int) -> tuple[dict[int, int], int]:
    """(number of a record -> where its newest edition begins, number of the document's record)."""
    places: dict[int, int] = {}
    document = -1
    for _ in range(_MOST_EDITS):
        before, directory, number = struct.unpack_from("<III", data, edit + _HEAD.size + 8)
        document = number if document < 0 else document
        at, end = _body(data, directory)
        while at + 4 <= end:
            first = struct.unpack_from("<I", data, at)[0]
            count = first >> 20
            offsets = struct.unpack_from(f"<{count}I", data, at + 4)
            for number, offset in enumerate(offsets, start=first & 0xFFFFF):
                places.setdefault(number, offset)
            at += 4 + 4 * count
        if not before or before == edit:
            break
        edit = before
    return places, document


def _listed(data: bytes, start: int, end: int) -> Iterator[_Slide]:
    slide: _Slide | None = None
    kind = _OTHER_TEXT
    for record, _, begin, stop in _records(data, start, end):
        if record == _PERSIST:
            if slide is not None:
                yield slide
            slide = _Slide(struct.unpack_from("<I", data, begin)[0], struct.unpack_from("<I", data, begin + 12)[0])
        elif record == _TEXT_HEADER:
            kind = struct.unpack_from("<I", data, begin)[0]
        elif record in (_TEXT_WIDE, _TEXT_NARROW) and slide is not None:
            slide.outline.append(_Text(kind, _decoded(record, data[begin:stop])))
    if slide is not None:
        yield slide


def _texts(data: bytes, start: int, end: int, outline: list[_Text], depth: int = 0) -> Iterator[_Text]:
    """The texts of a slide's shapes in the order of the file; some stand in the list of slides instead."""
    kind = _OTHER_TEXT
    for record, _, begin, stop in _records(data, start, end):
        is_container = data[begin - _HEAD.size] & 0xF == 0xF
        if is_container and depth < _DEEPEST:
            yield from _texts(data, begin, stop, outline, depth + 1)
        elif record == _TEXT_HEADER:
            kind = struct.unpack_from("<I", data, begin)[0]
        elif record in (_TEXT_WIDE, _TEXT_NARROW):
            yield _Text(kind, _decoded(record, data[begin:stop]))
        elif record == _OUTLINE_TEXT:
            at = struct.unpack_from("<I", data, begin)[0]
            if at < len(outline):
                yield outline[at]


def _note(data: bytes, at: int) -> tuple[int, list[str]]:
    """(identity of the slide, texts) of a page of notes."""
    begin, end = _body(data, at)
    slide = 0
    for record, _, start, _ in _records(data, begin, end):
        if record == _NOTES:
            slide = struct.unpack_from("<I", data, start)[0]
    texts = _texts(data, begin, end, [])
    return slide, [
        text.text.strip()
        for text in texts
        if text.text.strip() and (text.kind == _NOTE_TEXT or len(text.text) >= _SHORTEST_FREE_NOTE)
    ]


def _decoded(record: int, data: bytes) -> str:
    text = data.decode("utf-16-le", "replace") if record == _TEXT_WIDE else data.decode("latin-1")
    return text.replace("\r", "\n").replace("\x0b", "\n")


def _as_markdown(text: _Text) -> str:
    lines = [" ".join(line.split()) for line in text.text.split("\n")]
    lines = [line for line in lines if line.strip("*\x00 ")]
    if not lines:
        return ""
    if text.kind in _TITLES:
        return f"# {' '.join(lines)}"
    return "\n".join(f"- {line}" if text.kind in _POINTS else line for line in lines)
