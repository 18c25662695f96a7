"""Files within a file, written one by one for the caller: attachments, mails of a mailbox, files of an archive.

Every reader of such files writes by way of `Parts`, which alone decides where a part lies and how much there may be.
What the file says (names, sizes) is never believed: names are only told, and bytes are counted as they come.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from pathlib import Path

from ingestion.extraction_text import clean
from ingestion.extraction_types import ExtractionError, Limits, Part

LONGEST_NAME = 500
_SEPARATORS = re.compile(r"[/\\]+")
_MEGABYTE = 1_000_000


class Parts:
    """Writes the files within one file to a folder, under generated names."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._found: list[Part] = []
        self._names: set[str] = set()
        self._written_bytes = 0

    @property
    def found(self) -> tuple[Part, ...]:
        """What was written so far, in order."""
        return tuple(self._found)

    @property
    def written_bytes(self) -> int:
        """Size of all parts so far."""
        return self._written_bytes

    def add(self, name: str, content: Iterable[bytes], *, is_attachment: bool) -> None:
        """Write one part, block by block. `name` is its place within, as the file tells it.

        Raises ExtractionError ('too_large') when there are too many parts or too many bytes.
        """
        if len(self._found) >= self._limits.parts:
            raise ExtractionError(
                "too_large",
                f"There are more than {self._limits.parts:,} files within this file. Split it, and upload the pieces.",
            )
        path = self._folder / f"{len(self._found):06}"
        try:
            self._write(path, name, content)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._too_large(name) from error
        self._found.append(Part(self._unique(readable_name(name)), path, is_attachment))

    def _write(self, path: Path, name: str, content: Iterable[bytes]) -> None:
        size = 0
        with path.open("xb") as stream:
            for block in content:
                size += len(block)
                self._written_bytes += len(block)
                if size > self._limits.file_bytes or self._written_bytes > self._limits.parts_bytes:
                    raise self._too_large(name)
                stream.write(block)

    def _too_large(self, name: str) -> ExtractionError:
        return ExtractionError(
            "too_large",
            f"The files within this file are too large, from '{readable_name(name)[-80:]}' on: one may have "
            f"{self._limits.file_bytes / _MEGABYTE:.0f} MB, and all together "
            f"{self._limits.parts_bytes / _MEGABYTE:.0f} MB. Split it, and upload the pieces.",
        )

    def _unique(self, name: str) -> str:
        candidate = name
        count = 1
        while candidate in self._names:
            count += 1
            stem, dot, extension = name.rpartition(".") if "." in name[1:] else (name, "", "")
            mark = f" ({count})"
            room = LONGEST_NAME - len(mark) - len(dot) - len(extension)
            candidate = f"{stem[-room:]}{mark}{dot}{extension}"
        self._names.add(candidate)
        return candidate


def readable_name(name: str) -> str:
    """A part's name without control characters, steps out of the file, or more than 500 characters; never ''."""
    steps = [" ".join(clean(step).split()) for step in _SEPARATORS.split(name)]
    kept = "/".join(step for step in steps if step not in ("", ".", ".."))
    # The end of it tells most: the file's own name, and its kind.
    return kept[-LONGEST_NAME:].strip("/ ") or "unnamed"
