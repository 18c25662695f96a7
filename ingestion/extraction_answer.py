"""What the child process says to its parent, on its standard output: one JSON object, written and read here.

The child reads files of strangers, so the parent believes nothing of what comes: every member is checked for its type
and against the limits, and a part must be a plain file in the folder that it was to be put into.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ingestion.extraction_types import (
    REASONS,
    Extraction,
    ExtractionError,
    Heading,
    Limits,
    Page,
    Part,
)

LONGEST_NAME = 500
"""Characters of a part's name, as of a document's `file_name`."""
_LONGEST_MESSAGE = 1000
_LONGEST_TITLE = 500
_LONGEST_LANGUAGE = 35
_LONGEST_TYPE = 200


class UnbelievableAnswer(Exception):
    """An answer that no honest child gives."""


@dataclass(frozen=True)
class Refusal:
    """A child's own 'no': `error` for the librarian, `detail` for the log."""

    error: ExtractionError
    detail: str


def as_answer(extraction: Extraction) -> dict[str, Any]:
    """An extraction as it travels."""
    return {
        "mime_type": extraction.mime_type,
        "title": extraction.title,
        "language": extraction.language,
        "pages": [[page.number, page.text] for page in extraction.pages],
        "pages_without_text": list(extraction.pages_without_text),
        "authors": list(extraction.authors),
        "written_on": extraction.written_on and extraction.written_on.isoformat(),
        "outline": [[line.level, line.title, line.page_number] for line in extraction.outline],
        "parts": [[part.name, str(part.path), part.is_attachment] for part in extraction.parts],
        "is_damaged": extraction.is_damaged,
    }


def refusal_as_answer(error: ExtractionError) -> dict[str, Any]:
    """A refusal as it travels."""
    return {"reason": error.reason, "message": str(error), "detail": str(error.__cause__ or "")[:500]}


def read_answer(given: Any, *, limits: Limits, parts_folder: Path | None) -> Extraction | Refusal:
    """The extraction or the refusal that the answer holds. Raises UnbelievableAnswer for anything else."""
    try:
        if "reason" in given:
            if given["reason"] not in REASONS:
                raise UnbelievableAnswer(f"reason {given['reason']!r:.50}")
            message, detail = _text(given["message"], _LONGEST_MESSAGE), _text(given["detail"], _LONGEST_MESSAGE)
            return Refusal(ExtractionError(given["reason"], message), detail)
        return Extraction(
            mime_type=_text(given["mime_type"], _LONGEST_TYPE),
            pages=tuple(
                Page(_number(number), _text(text, limits.characters))
                for number, text in _few(given["pages"], limits.pages)
            ),
            title=_text(given["title"], _LONGEST_TITLE),
            language=_text(given["language"], _LONGEST_LANGUAGE),
            pages_without_text=tuple(_number(one) for one in _few(given["pages_without_text"], limits.pages)),
            authors=tuple(_text(one, LONGEST_NAME) for one in _few(given["authors"], limits.parts)),
            written_on=date.fromisoformat(given["written_on"]) if given["written_on"] is not None else None,
            outline=tuple(
                Heading(_number(level), _text(title, limits.characters), _number(number))
                for level, title, number in _few(given["outline"], limits.characters)
            ),
            parts=_parts(_few(given["parts"], limits.parts), limits, parts_folder),
            is_damaged=_truth(given["is_damaged"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnbelievableAnswer(f"{type(error).__name__}: {error}") from error


def _parts(given: list[Any], limits: Limits, folder: Path | None) -> tuple[Part, ...]:
    """The parts, each a plain file of its own, directly in the folder."""
    if given and folder is None:
        raise UnbelievableAnswer("parts that nobody asked for")
    parts = []
    size = 0
    for name, path_text, is_attachment in given:
        path = Path(_text(path_text, os.pathconf("/", "PC_PATH_MAX")))
        if path.parent != folder or path.name in ("", ".", ".."):
            raise UnbelievableAnswer(f"a part outside its folder: {path_text!r:.200}")
        try:
            found = path.lstat()
        except OSError as error:
            raise UnbelievableAnswer(f"a part that is not there: {error}") from error
        # A second name of the same content would be a file from elsewhere.
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise UnbelievableAnswer(f"a part that is no plain file: {path_text!r:.200}")
        size += found.st_size
        parts.append(Part(_text(name, LONGEST_NAME), path, bool(is_attachment)))
    if len({part.name for part in parts}) != len(parts) or len({part.path for part in parts}) != len(parts):
        raise UnbelievableAnswer("two parts of one name")
    if size > limits.parts_bytes:
        raise UnbelievableAnswer(f"{size} bytes of parts")
    return tuple(parts)


def _text(given: Any, longest: int) -> str:
    if not isinstance(given, str) or len(given) > longest:
        raise UnbelievableAnswer(f"no text of at most {longest} characters: {given!r:.50}")
    return given


def _number(given: Any) -> int:
    # True is an int to Python, and never a page.
    if type(given) is not int or given < 0:
        raise UnbelievableAnswer(f"no number: {given!r:.50}")
    return given


def _truth(given: Any) -> bool:
    if not isinstance(given, bool):
        raise UnbelievableAnswer(f"neither true nor false: {given!r:.50}")
    return given


def _few(given: Any, most: int) -> list[Any]:
    if not isinstance(given, list) or len(given) > most:
        raise UnbelievableAnswer(f"no list of at most {most}")
    return given
