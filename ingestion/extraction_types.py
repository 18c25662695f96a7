"""What extraction gives and what it refuses: the plain data that parent and child process share.

Nothing here imports Django or an extraction library, so the child process starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

Reason = Literal["encrypted", "broken", "empty", "too_large", "needs_ocr", "unsupported", "timeout", "memory"]
REASONS: frozenset[str] = frozenset(get_args(Reason))

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Page:
    """One page, slide or sheet: its number in the original (from 1) and its text as simple Markdown."""

    number: int
    text: str


@dataclass(frozen=True)
class Heading:
    """One line of a file's outline: 1 is the outermost level."""

    level: int
    title: str
    page_number: int


@dataclass(frozen=True)
class Part:
    """A file within the file: an attachment of a mail, a mail of a mailbox, a file of a ZIP archive.

    `name` is its place within, as the file tells it: unique there, at most 500 characters, and not to be trusted as a
    path. Its content lies at `path`, in the folder that the caller of `extract` gave, under a generated name.
    """

    name: str
    path: Path
    is_attachment: bool
    """Whether it belongs to the text around it (a mail's attachment), or only came in one file with others."""


@dataclass(frozen=True)
class Extraction:
    """The text of one file, and what the file says of itself.

    `title` and `language` (ISO 639-1) are '' when unknown. `pages_without_text` names the pages of an otherwise
    readable PDF that hold only images, so that a document of which a part was scanned can be flagged. A file that only
    holds other files (a ZIP archive, a mailbox) has `parts` and no pages. `is_damaged` is a file whose structure
    contradicts its format, so that the reader had to mend it and nobody knows whether the text is whole.
    """

    mime_type: str
    pages: tuple[Page, ...]
    title: str
    language: str
    pages_without_text: tuple[int, ...] = ()
    authors: tuple[str, ...] = ()
    written_on: date | None = None
    outline: tuple[Heading, ...] = ()
    parts: tuple[Part, ...] = ()
    is_damaged: bool = False


class ExtractionError(Exception):
    """A file that gives no text. `reason` is a code from REASONS, `str(error)` a sentence for a librarian."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Limits:
    """What one file may cost before it is given up. The defaults fit a worker of 1 GB.

    They were set by measuring: the largest honest files tried (a PDF of 3,000 pages, a speech of 41) need under 100 MB
    of memory and under a second; what needs ten times that is a bomb.
    """

    file_bytes: int = 200 * MEBIBYTE
    """Size of the upload itself."""
    seconds: float = 120.0
    """Wall clock for the whole child process; it is killed with all it started."""
    cpu_seconds: int = 90
    """Processor time; caught by the kernel even when the parent is stopped."""
    memory_bytes: int = 1024 * MEBIBYTE
    """Address space of the child, of which the extraction library's program text takes about 100 MiB."""
    output_bytes: int = 64 * MEBIBYTE
    """Size of the answer that the parent is willing to read."""
    scratch_bytes: int = 64 * MEBIBYTE
    """Largest file that the child may write."""
    characters: int = 20_000_000
    """Text in one document: some 8,000 full pages."""
    pages: int = 10_000
    """Pages, slides or sheets in one document."""
    unpacked_bytes: int = 128 * MEBIBYTE
    """Unpacked size of the parts that are read out of a zip-based file (DOCX, PPTX, XLSX, ODF, EPUB)."""
    unpack_ratio: int = 250
    """Unpacked to packed size of one part, looked at above 16 MiB; honest Office XML stays under 60."""
    archive_members: int = 20_000
    """Parts in a zip-based file."""
    parts: int = 2_000
    """Files within a file: attachments, mails of a mailbox, files of a ZIP archive."""
    parts_bytes: int = 1024 * MEBIBYTE
    """Size of these together, unpacked."""
    nesting: int = 3
    """How deep files may lie within files; also how deep mails may be forwarded within mails."""
    pixels: int = 100_000_000
    """Pixels of one picture that is given to text recognition: an A4 page at 1,000 dots an inch."""
