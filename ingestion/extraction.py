"""File to pages of text, in a child process with limits.

Uploads are whatever people have, and the libraries that read them meet bombs, loops and crashes. So each file is read
by a process of its own (`ingestion.extraction_child`), with a ceiling on memory, processor time, wall clock and output,
with none of this process's environment, and without network where the kernel lets it. Whatever happens there costs this
one document and never the worker.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import IO, Any, cast

from ingestion.extraction_types import REASONS, Extraction, ExtractionError, Limits, Page, Reason

__all__ = ["DEFAULT_LIMITS", "Extraction", "ExtractionError", "Limits", "Page", "Reason", "extract"]

logger = logging.getLogger(__name__)

DEFAULT_LIMITS = Limits()

_SOURCE_ROOT = Path(__file__).resolve().parent.parent
_READ_BYTES = 1 << 16
_COMPLAINT_BYTES = 4096
_OUT_OF_MEMORY_MARKS = ("memory allocation of", "MemoryError", "bad_alloc", "out of memory", "Out of memory")


def extract(path: Path, *, file_name: str, limits: Limits = DEFAULT_LIMITS) -> Extraction:
    """Read the text of the file at `path`; `file_name` is the name it was uploaded under.

    The type is told by content; the name only tells text kinds (Markdown, HTML, CSV) apart. Takes some 0.05 s for text
    and 0.2 s for Office and PDF files, and at most `limits.seconds`.

    Raises ExtractionError when no text can be had, with a reason and a sentence that says what to do, and OSError when
    `path` itself cannot be opened.
    """
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ExtractionError(
            "too_large",
            f"The file has {_megabytes(size)} MB; at most {_megabytes(limits.file_bytes)} MB can be read. "
            "Split it, or save it with smaller images.",
        )
    with (
        tempfile.TemporaryDirectory(prefix="extraction-") as scratch,
        tempfile.TemporaryFile() as complaints,
    ):
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ingestion.extraction_child",
                path.resolve(),
                _extension(file_name),
                _as_json(limits),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
        )
        try:
            answer = _read_answer(child, limits)
        finally:
            _kill(child)
        try:
            given: dict[str, Any] = json.loads(answer)
        except ValueError:
            raise _failure(child.returncode, _tail(complaints), file_name) from None
    return _as_extraction(given, file_name)


def _extension(file_name: str) -> str:
    """All that the child needs of the name, and safe on a command line whatever was uploaded."""
    return PurePath(file_name.replace("\0", "")).suffix.lower().encode("ascii", "ignore").decode()


def _as_json(limits: Limits) -> str:
    return json.dumps(asdict(limits))


def _environment(scratch: str) -> dict[str, str]:
    """A bare environment: no secrets of this process, one thread, scratch space of its own."""
    python_path = [str(_SOURCE_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(python_path),
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "HOME": scratch,
        "TMPDIR": scratch,
        "XDG_CACHE_HOME": scratch,
        "KREUZBERG_CACHE_DIR": scratch,
        "RAYON_NUM_THREADS": "1",
        "TOKIO_WORKER_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # glibc reserves 64 MiB of address space a thread without it, which the memory limit would count.
        "MALLOC_ARENA_MAX": "2",
    }


def _read_answer(child: subprocess.Popen[bytes], limits: Limits) -> bytes:
    """Everything that the child writes, until it closes its output, within the limits of time and size."""
    deadline = time.monotonic() + limits.seconds
    received = bytearray()
    with selectors.DefaultSelector() as selector, cast("IO[bytes]", child.stdout) as stream:
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise _timeout(limits)
            block = os.read(stream.fileno(), _READ_BYTES)
            if not block:
                break
            received += block
            if len(received) > limits.output_bytes:
                raise ExtractionError(
                    "too_large",
                    f"The file holds more than {_megabytes(limits.output_bytes)} MB of text. "
                    "Split it into several documents.",
                )
    return bytes(received)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole process group, so that nothing it started stays behind.

    The child is waited for only afterwards: until then its number cannot belong to anybody else. One that ended by
    itself keeps its own exit status.
    """
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        # Some systems no longer know a group of which only an ended process is left.
        logger.debug("extraction child %s had ended", child.pid)
    child.wait()


def _failure(code: int, complaint: str, file_name: str) -> ExtractionError:
    """Why a child ended without an answer, from how it ended."""
    logger.warning("extraction of %r ended with %s: %s", file_name, code, complaint)
    if code == -signal.SIGXCPU:
        return ExtractionError(
            "timeout", "Reading the file took too much computing time. Save it again in a simpler form, or split it."
        )
    if code == -signal.SIGKILL or any(mark in complaint for mark in _OUT_OF_MEMORY_MARKS):
        return ExtractionError(
            "memory",
            "Reading the file needs more memory than one document may have. "
            "Split it, or save it again in a simpler form.",
        )
    return ExtractionError(
        "broken", "The file cannot be read: it is damaged. Open it in its program, save it anew, and upload that."
    )


def _as_extraction(given: dict[str, Any], file_name: str) -> Extraction:
    if "reason" in given:
        reason = given["reason"]
        if given.get("detail"):
            logger.info("extraction of %r: %s: %s", file_name, reason, given["detail"])
        raise ExtractionError(reason if reason in REASONS else "broken", given["message"])
    return Extraction(
        mime_type=given["mime_type"],
        pages=tuple(Page(number, text) for number, text in given["pages"]),
        title=given["title"],
        language=given["language"],
        pages_without_text=tuple(given["pages_without_text"]),
    )


def _timeout(limits: Limits) -> ExtractionError:
    return ExtractionError(
        "timeout",
        f"Reading the file took longer than {limits.seconds:g} seconds. Save it again in a simpler form, or split it.",
    )


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _COMPLAINT_BYTES))
    return stream.read().decode("utf-8", "replace").strip()


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.0f}" if count >= 1_000_000 else f"{count / 1_000_000:.1g}"
