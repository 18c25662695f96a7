"""What reads one file, in a process of its own that `ingestion.extraction_server` has forked for it.

Writes one JSON object to standard output: the extraction, or `reason` and `message`. It never imports Django.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ingestion import extraction_description, extraction_jail
from ingestion import extraction_kinds as kinds
from ingestion.extraction_answer import as_answer, refusal_as_answer
from ingestion.extraction_origin import authors
from ingestion.extraction_parts import Parts
from ingestion.extraction_readers import reader_for
from ingestion.extraction_text import clean
from ingestion.extraction_types import Extraction, ExtractionError, Heading, Limits, Page

# What looks like a heading in plain text and mail is none: comments of programs, marks of quotations.
_WITHOUT_HEADINGS = frozenset((kinds.TEXT, kinds.MAIL, kinds.MSG, kinds.CSV))
# A letter, digit or sign, as against the marks of an empty table or list.
_SPEAKING = re.compile(r"[^\s|#*>`_.:-]")


def main(arguments: list[str], parent: int) -> int:
    """Read the file that the four arguments tell of, for the process `parent`; the exit code.

    They are its path, its extension, the limits as JSON, and the folder for the files within it or ''.
    """
    path, extension, limits_json, parts_folder_text = arguments
    limits = Limits(**json.loads(limits_json))
    parts_folder = Path(parts_folder_text) if parts_folder_text else None
    extraction_jail.enter(
        limits,
        read=_reading_paths(Path(path)),
        write=[Path.cwd(), *([parts_folder] if parts_folder else [])],
        parent=parent,
    )
    answer = _take_standard_output()
    try:
        given = as_answer(read(Path(path), extension, limits, parts_folder))
    except ExtractionError as error:
        given = refusal_as_answer(error)
    except MemoryError:
        given = refusal_as_answer(
            ExtractionError(
                "memory",
                "Reading the file needs more memory than one document may have. "
                "Split it, or save it again in a simpler form.",
            )
        )
    with os.fdopen(answer, "w", encoding="utf-8", errors="replace") as stream:
        json.dump(given, stream, ensure_ascii=False)
    return 0


def read(path: Path, extension: str, limits: Limits, parts_folder: Path | None = None) -> Extraction:
    """The text of one file and what the file says of itself, in this process: type, reader, cleaning, limits.

    The files within it are written to `parts_folder`, where one is given.
    """
    kind = kinds.recognise(path, extension, limits)
    parts = None if parts_folder is None else Parts(parts_folder, limits)
    found = reader_for(kind, parts)(path, limits)
    pages = _checked(found, limits)
    return Extraction(
        mime_type=found.mime_type,
        pages=pages,
        title=extraction_description.title(found.title, "" if kind in kinds.SHEETS or not pages else pages[0].text),
        language=extraction_description.language(found.language, pages),
        pages_without_text=found.pages_without_text,
        authors=authors(found.authors),
        written_on=found.written_on,
        outline=_outline(found, pages),
        parts=found.parts,
        is_damaged=found.is_damaged,
    )


def _checked(found: Extraction, limits: Limits) -> tuple[Page, ...]:
    """The pages with text, cleaned. None only where the file holds other files; raises ExtractionError otherwise."""
    if len(found.pages) > limits.pages:
        raise ExtractionError(
            "too_large", f"The document has {len(found.pages)} pages; at most {limits.pages} can be read. Split it."
        )
    pages = [Page(page.number, clean(page.text)) for page in found.pages]
    pages = [page for page in pages if page.text.strip()]
    if not any(_SPEAKING.search(page.text) for page in pages):
        if found.parts:
            return ()
        raise ExtractionError("empty", "The document holds no text at all. Check that the right file was uploaded.")
    characters = sum(len(page.text) for page in pages)
    if characters > limits.characters:
        raise ExtractionError(
            "too_large",
            f"The document holds {characters / 1e6:.0f} million characters of text; at most "
            f"{limits.characters / 1e6:.0f} million can be read. Split it into several documents.",
        )
    return tuple(pages)


def _outline(found: Extraction, pages: tuple[Page, ...]) -> tuple[Heading, ...]:
    own = extraction_description.outline(found.outline)
    return own or (() if found.mime_type in _WITHOUT_HEADINGS else extraction_description.headings(pages))


def _reading_paths(path: Path) -> list[Path]:
    """What this one reading needs beside Python: the file, and the data of text recognition."""
    recognition = os.environ.get("TESSDATA_PREFIX")
    return [path, Path(recognition)] if recognition else [path]


def _take_standard_output() -> int:
    """A private descriptor of standard output; what a library prints goes to standard error instead."""
    answer = os.dup(1)
    os.dup2(2, 1)
    return answer
