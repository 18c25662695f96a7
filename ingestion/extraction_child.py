"""The program that reads one file, run by `ingestion.extraction` in a process of its own.

    python -m ingestion.extraction_child PATH EXTENSION LIMITS_AS_JSON

Writes one JSON object to standard output: the extraction, or `reason` and `message`. It never imports Django, and
imports an extraction library only when the type needs one, so that a text file costs some 50 ms.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_text import clean
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page
from ingestion.language import detect_language, language_code

Reader = Callable[[Path, Limits], Extraction]

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
# Below this a statistical guess is less sure than what the file says of itself.
_DETECTION_CHARACTERS = 200
_LONGEST_TITLE = 300
# Titles that programs put in by themselves say nothing.
_MACHINE_TITLE = re.compile(
    r"(?:untitled|unbenannt|sans titre|document\d*|presentation\d*|powerpoint presentation|powerpoint-präsentation|"
    r"présentation powerpoint|slide \d+|folie \d+|title|titel|microsoft (?:word|excel|powerpoint) - .*|"
    r"[^ ]+\.(?:docx?|pptx?|xlsx?|pdf|odt|rtf|indd|tex|jpe?g|png|tiff?|qxd|dvi|html?|txt|md)|[\W\d_]*)"
    r"(?: document| dokument)?",
    re.IGNORECASE,
)
# A letter, digit or sign, as against the marks of an empty table or list.
_SPEAKING = re.compile(r"[^\s|#*>`_.:-]")
_TOP_HEADING = re.compile(r"^# +(\S[^\n]*)$", re.MULTILINE)
# How far from the beginning a heading may stand to be the document's title.
_TITLE_WITHIN = 1500


def main(arguments: list[str]) -> int:
    path, extension, limits_json = arguments
    limits = Limits(**json.loads(limits_json))
    _set_limits(limits)
    _leave_network()
    answer = _take_standard_output()
    try:
        given = _as_answer(read(Path(path), extension, limits))
    except ExtractionError as error:
        given = {"reason": error.reason, "message": str(error), "detail": str(error.__cause__ or "")[:500]}
    except MemoryError:
        given = {
            "reason": "memory",
            "message": "Reading the file needs more memory than one document may have. Split it, or save it in a "
            "simpler form.",
        }
    with os.fdopen(answer, "w", encoding="utf-8", errors="replace") as stream:
        json.dump(given, stream, ensure_ascii=False)
    return 0


def read(path: Path, extension: str, limits: Limits) -> Extraction:
    """The text of one file, in this process: type, reader, cleaning, limits, title and language."""
    kind = kinds.recognise(path, extension, limits)
    found = _reader(kind)(path, limits)
    if len(found.pages) > limits.pages:
        raise ExtractionError(
            "too_large", f"The document has {len(found.pages)} pages; at most {limits.pages} can be read. Split it."
        )
    pages = [Page(page.number, clean(page.text)) for page in found.pages]
    pages = [page for page in pages if page.text.strip()]
    if not any(_SPEAKING.search(page.text) for page in pages):
        raise ExtractionError("empty", "The document holds no text at all. Check that the right file was uploaded.")
    characters = sum(len(page.text) for page in pages)
    if characters > limits.characters:
        raise ExtractionError(
            "too_large",
            f"The document holds {characters / 1e6:.0f} million characters of text; at most "
            f"{limits.characters / 1e6:.0f} million can be read. Split it into several documents.",
        )
    return Extraction(
        mime_type=found.mime_type,
        pages=tuple(pages),
        title=_title(found.title, "" if kind in kinds.SHEETS else pages[0].text),
        language=_language(found.language, pages),
        pages_without_text=found.pages_without_text,
    )


def _reader(kind: str) -> Reader:
    # Imported by need: the extraction library alone takes 0.1 s and 80 MB.
    if kind in (kinds.TEXT, kinds.MARKDOWN, kinds.CSV, kinds.HTML):
        from ingestion import extraction_plain

        return extraction_plain.READERS[kind]
    if kind == kinds.DOCX:
        from ingestion.extraction_docx import read_docx

        return read_docx
    if kind == kinds.PPTX:
        from ingestion.extraction_pptx import read_pptx

        return read_pptx
    if kind == kinds.MAIL:
        from ingestion.extraction_mail import read_mail

        return read_mail
    if kind == kinds.PDF:
        from ingestion.extraction_pdf import read_pdf

        return read_pdf
    from ingestion.extraction_library import reader_for

    return reader_for(kind)


def _title(named: str, first_page: str) -> str:
    """The title that the file names, else a top heading near its beginning, else ''."""
    title = " ".join(clean(named).split())
    if not title or _MACHINE_TITLE.fullmatch(title):
        heading = _TOP_HEADING.search(first_page[:_TITLE_WITHIN])
        title = heading[1].strip() if heading else ""
    return title[:_LONGEST_TITLE]


def _language(named: str, pages: list[Page]) -> str:
    """Detected from enough text, because office programs name their own language; else what the file says."""
    sample = "\n".join(page.text for page in pages[:50])
    declared = language_code(named)
    if declared and len(sample) < _DETECTION_CHARACTERS:
        return declared
    return detect_language(sample) or declared


def _as_answer(extraction: Extraction) -> dict[str, object]:
    return {
        "mime_type": extraction.mime_type,
        "title": extraction.title,
        "language": extraction.language,
        "pages": [(page.number, page.text) for page in extraction.pages],
        "pages_without_text": extraction.pages_without_text,
    }


def _set_limits(limits: Limits) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.scratch_bytes),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        resource.setrlimit(kind, (value, value))
    # One second between the signal that ends it and the one that cannot be caught.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))


def _leave_network() -> None:
    """Move into a network namespace with no interfaces, where the kernel allows it (Linux, most set-ups)."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    unshare = ctypes.CDLL(None).unshare
    # As root the first suffices and keeps the right to read any file; others need a user namespace for it.
    if unshare(_CLONE_NEWNET) != 0:
        unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _take_standard_output() -> int:
    """A private descriptor of standard output; what a library prints goes to standard error instead."""
    answer = os.dup(1)
    os.dup2(2, 1)
    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
