"""Office Open XML packages: parts, relationships and safe parsing, shared by the Word and PowerPoint readers.

We read DOCX and PPTX ourselves: kreuzberg 4.10.4 drops every `&`, `<` and `>` ("R&D" became "RD"), the items of styled
lists and speakers' notes, and fails on slides with a missing picture.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from ingestion.extraction_types import ExtractionError

DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
_DUBLIN_TERMS = "{http://purl.org/dc/terms/}"
# ISO/IEC 29500 Strict names its elements in other namespaces than the usual Transitional form.
_STRICT = "http://purl.oclc.org/ooxml/"
_BLOCK_BYTES = 4096

BROKEN = ExtractionError(
    "broken", "The Office file is damaged or incomplete. Open it in its program, save it anew, and upload that."
)

_UNSAFE = ExtractionError(
    "broken",
    "The Office file holds declarations that no Office program writes, and is refused as unsafe. "
    "Open it in its program, save it anew, and upload that.",
)
_STRICT_FORM = ExtractionError(
    "unsupported",
    "The file is saved as 'Strict Open XML'. Save it as an ordinary Word, PowerPoint or Excel file and upload that.",
)


class Package:
    """A zip of XML parts. Part names are those inside the zip; nothing is ever unpacked to disk."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise BROKEN from error
        self._names = {name.lstrip("/").lower(): name for name in self._archive.namelist()}

    def __enter__(self) -> Package:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._names

    def read(self, part: str) -> bytes:
        """The bytes of a part, b'' when there is none. Raises ExtractionError when it cannot be unpacked."""
        name = self._names.get(part.lower())
        if name is None:
            return b""
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
            raise BROKEN from error

    def stream(self, part: str) -> IO[bytes]:
        """The part, to be read piece by piece. Raises ExtractionError when it is missing or unsafe."""
        name = self._names.get(part.lower())
        if name is None:
            raise BROKEN
        try:
            with self._archive.open(name) as begin:
                _refuse_unsafe(begin)
            return self._archive.open(name)
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
            raise BROKEN from error

    def tree(self, part: str) -> ElementTree.Element | None:
        """The root element of a part; None when it is missing. Raises ExtractionError when it is no safe XML."""
        data = self.read(part)
        if not data:
            return None
        _refuse_unsafe(io.BytesIO(data))
        try:
            return ElementTree.fromstring(data)  # noqa: S314  # nosec B314  # without declarations nothing expands
        except ElementTree.ParseError as error:
            raise BROKEN from error

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Relationship id -> (last word of its type, target part), for the relationships of `part` ('' = package)."""
        folder, name = posixpath.split(part)
        tree = self.tree(posixpath.join(folder, "_rels", name + ".rels"))
        found: dict[str, tuple[str, str]] = {}
        for relation in () if tree is None else tree.iter(_RELATIONSHIP):
            if relation.get("TargetMode") == "External":
                continue
            target = relation.get("Target", "")
            part_name = posixpath.normpath(
                target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
            )
            found[relation.get("Id", "")] = (relation.get("Type", "").rsplit("/", 1)[-1], part_name)
        return found

    def related(self, part: str, *types: str) -> list[str]:
        """The parts that `part` refers to by a relationship of one of `types`, in the order of the file."""
        return [target for kind, target in self.relations(part).values() if kind in types and target in self]

    def core_property(self, name: str) -> str:
        """A Dublin Core property of the package ('title', 'language', 'creator', 'created'), or ''."""
        tree = self.tree("docProps/core.xml")
        space = _DUBLIN_TERMS if name == "created" else _DUBLIN_CORE
        return "" if tree is None else (tree.findtext(f"{space}{name}") or "").strip()


def drawing_lines(tree: ElementTree.Element) -> Iterator[str]:
    """The paragraphs of DrawingML text below `tree`: text boxes, SmartArt, chart titles."""
    for paragraph in tree.iter(f"{DRAWING}p"):
        line = paragraph_text(paragraph)
        if line:
            yield line


def chart_lines(tree: ElementTree.Element) -> Iterator[str]:
    """Titles, series names and categories of a chart; its numbers say nothing without it."""
    yield from drawing_lines(tree)
    seen: set[str] = set()
    for cache in tree.iter(f"{CHART}strCache"):
        for value in cache.iter(f"{CHART}v"):
            text = " ".join((value.text or "").split())
            if text and text not in seen:
                seen.add(text)
                yield text


def paragraph_text(paragraph: ElementTree.Element) -> str:
    """The text of one DrawingML paragraph on one line."""
    pieces: list[str] = []
    for node in paragraph.iter():
        if node.tag == f"{DRAWING}t":
            pieces.append(node.text or "")
        elif node.tag in (f"{DRAWING}br", f"{DRAWING}tab"):
            pieces.append(" ")
    return " ".join("".join(pieces).split())


def _refuse_unsafe(source: IO[bytes]) -> None:
    """Read as far as the root element and refuse a document type declaration before it.

    No Office program writes one: they only serve entity bombs and the reading of other files.
    """

    def refuse(*_declaration: object) -> None:
        raise _UNSAFE

    def stop(_name: str, attributes: dict[str, str]) -> None:
        if any(value.startswith(_STRICT) for value in attributes.values()):
            raise _STRICT_FORM
        raise _AtRoot

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        while block := source.read(_BLOCK_BYTES):
            parser.Parse(block)
    except _AtRoot:
        return
    except expat.ExpatError as error:
        raise BROKEN from error


class _AtRoot(Exception):
    """The root element was reached."""
