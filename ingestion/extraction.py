"""File to pages of text, in a child process with limits.

Uploads are whatever people have, and the libraries that read them meet bombs, loops and crashes. So each file is read
by a process of its own (`ingestion.extraction_child`, forked by `ingestion.extraction_server`), with a ceiling on
memory, processor time, wall clock, scratch space and output, with none of this process's environment, and in a cell
(`ingestion.extraction_jail`) without network, other programs or other files. Whatever happens there costs this one
document and never the worker.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import IO

from django.conf import settings

from ingestion.extraction_answer import Refusal, UnbelievableAnswer, read_answer
from ingestion.extraction_jail import MEASURES
from ingestion.extraction_process import Processes, ServerLost, environment, tail
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page, Reason

__all__ = [
    "DEFAULT_LIMITS",
    "MEASURES",
    "SCRATCH_PREFIX",
    "Extraction",
    "ExtractionError",
    "Limits",
    "Page",
    "Reason",
    "extract",
    "isolation",
    "prepare",
]

logger = logging.getLogger(__name__)

DEFAULT_LIMITS = Limits()

SCRATCH_PREFIX = "extraction-"
"""How the names of temporary folders begin that `prepare` clears away when they were left behind."""
SCRATCH_LEFT_SECONDS = 3600.0
"""Age from which on a folder was left behind: no reading may last half as long."""

_PROCESSES = Processes()
# A process that starts the others may be killed by whatever kills processes; one after the other, it cannot run here.
_ATTEMPTS = 2
_READ_BYTES = 1 << 16
# How often the child's scratch space and threads are looked at.
_WATCH_SECONDS = 0.2
# The libraries run one or two, and are told so; text recognition some more.
_MOST_THREADS = 256
_MOST_SCRATCH_FILES = 20_000
_OUT_OF_MEMORY_MARKS = ("memory allocation of", "MemoryError", "bad_alloc", "out of memory", "Out of memory")
# The child's program is not whole: a package is missing or does not load. No file is to blame for that.
_UNABLE_MARKS = ("ModuleNotFoundError:", "ImportError:")


def extract(
    path: Path, *, file_name: str, limits: Limits | None = None, parts_folder: Path | None = None
) -> Extraction:
    """Read the text of the file at `path`; `file_name` is the name it was uploaded under.

    The type is told by content; the name only tells text kinds (Markdown, HTML, CSV) apart. Takes some 0.01 s for text
    and 0.1 s for Office and PDF files, and at most `limits.seconds`. Without `limits` those of the settings hold.

    The files within the file (attachments, files of an archive) are written to `parts_folder`, an empty folder of the
    caller's, and named in the answer's `parts`; without a folder they are left alone.

    Raises ExtractionError when no text can be had, with a reason and a sentence that says what to do, OSError when
    `path` itself cannot be opened, and RuntimeError when this installation cannot read files at all.
    """
    limits = limits or settings.EXTRACTION_LIMITS
    parts_folder = parts_folder and parts_folder.resolve()
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ExtractionError(
            "too_large",
            f"The file has {_megabytes(size)} MB; at most {_megabytes(limits.file_bytes)} MB can be read. "
            "Split it, or save it with smaller images.",
        )
    for _ in range(_ATTEMPTS):
        try:
            found = _read(path, file_name, limits, parts_folder)
            break
        except ServerLost as error:
            logger.warning("extraction of %r lost its process: %s", file_name, error)
            said = str(error)
            if parts_folder:
                _empty(parts_folder)
    else:
        raise RuntimeError(f"files cannot be read here: {said}")
    if isinstance(found, Refusal):
        if found.detail:
            logger.info("extraction of %r: %s: %s", file_name, found.error.reason, found.detail)
        raise found.error
    return found


def _read(path: Path, file_name: str, limits: Limits, parts_folder: Path | None) -> Extraction | Refusal:
    """What one process makes of the file. Raises what `extract` does, and ServerLost where there was no process."""
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch,
        tempfile.TemporaryFile() as complaints,
    ):
        reading, writing = os.pipe()
        with open(reading, "rb", buffering=0) as stream:
            try:
                arguments = [str(path.resolve()), _extension(file_name), _as_json(limits), str(parts_folder or "")]
                child = _PROCESSES.start(arguments, scratch, writing, complaints.fileno())
            finally:
                os.close(writing)
            try:
                answer = _read_answer(child.pid, stream, limits, Path(scratch), parts_folder)
            except BaseException:
                with contextlib.suppress(ServerLost):
                    child.end()
                raise
            code = child.end()
        try:
            return read_answer(json.loads(answer), limits=limits, parts_folder=parts_folder)
        except (ValueError, RecursionError):
            raise _failure(code, tail(complaints), file_name) from None
        except UnbelievableAnswer as error:
            logger.error("extraction of %r gave an answer that is none of ours: %s", file_name, error)
            raise _broken() from error


def _empty(folder: Path) -> None:
    """Remove what a lost process has written of the parts."""
    for found in folder.iterdir():
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()


def isolation() -> tuple[str, ...]:
    """Which of MEASURES hold on this machine, asked of a process that goes into the cell. Takes some 0.1 s."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ingestion.extraction_jail"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=scratch,
            env=environment(scratch),
            check=True,
            timeout=30,
        )
    return tuple(json.loads(done.stdout))


def prepare() -> None:
    """What a worker does once, when it starts: clear away what killed workers left, and compile the child's program.

    The child may not write where its program lies, and would compile it anew for each file.
    """
    compileall.compile_dir(Path(__file__).parent, maxlevels=0, quiet=2)
    now = time.time()
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        try:
            found = folder.lstat()
            if folder.is_symlink() or found.st_uid != os.geteuid() or now - found.st_mtime < SCRATCH_LEFT_SECONDS:
                continue
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue  # another worker was faster
        except OSError as error:
            logger.warning("%s was left behind by an earlier worker and cannot be removed: %s", folder, error)
        else:
            logger.info("%s was left behind by an earlier worker, and is gone now", folder)


def _extension(file_name: str) -> str:
    """All that the child needs of the name, and safe on a command line whatever was uploaded."""
    return PurePath(file_name.replace("\0", "")).suffix.lower().encode("ascii", "ignore").decode()


def _as_json(limits: Limits) -> str:
    return json.dumps(asdict(limits))


def _read_answer(pid: int, stream: IO[bytes], limits: Limits, scratch: Path, parts_folder: Path | None) -> bytes:
    """Everything that the child writes, until it closes its output, within the limits of time, space and size."""
    deadline = time.monotonic() + limits.seconds
    looked = time.monotonic()
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise _timeout(limits)
            if now - looked >= _WATCH_SECONDS:
                _watch(pid, limits, scratch, parts_folder)
                looked = time.monotonic()
            if not selector.select(min(_WATCH_SECONDS, deadline - now)):
                continue
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


def _watch(pid: int, limits: Limits, scratch: Path, parts_folder: Path | None) -> None:
    """Raise ExtractionError when the child fills the disk, or starts threads without end.

    The kernel's limits know each file it writes, but not all of them together.
    """
    folders = [(scratch, limits.scratch_bytes)]
    if parts_folder:
        folders.append((parts_folder, limits.parts_bytes))
    for folder, most in folders:
        size, count = _size_and_count(folder)
        if size > most or count > _MOST_SCRATCH_FILES:
            raise ExtractionError(
                "too_large",
                f"Reading the file needs more than {_megabytes(most)} MB of disk. "
                "Split it, or save it again in a simpler form.",
            )
    tasks = Path(f"/proc/{pid}/task")
    try:
        # Two links are the folder's own.
        threads = tasks.stat().st_nlink - 2
    except OSError:
        return  # it has ended, or this is no Linux
    if threads > _MOST_THREADS:
        raise ExtractionError(
            "memory",
            "Reading the file needs more of the machine than one document may have. "
            "Split it, or save it again in a simpler form.",
        )


def _size_and_count(folder: Path) -> tuple[int, int]:
    """Bytes on disk and number of all that lies in a folder; what vanishes meanwhile is not counted."""
    size = count = 0
    for place, _, names in os.walk(folder):
        count += 1 + len(names)
        if count > _MOST_SCRATCH_FILES:
            break
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return size, count


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
    if any(mark in complaint for mark in _UNABLE_MARKS):
        raise RuntimeError(f"files cannot be read here: {complaint.splitlines()[-1]}")
    return _broken()


def _broken() -> ExtractionError:
    return ExtractionError(
        "broken", "The file cannot be read: it is damaged. Open it in its program, save it anew, and upload that."
    )


def _timeout(limits: Limits) -> ExtractionError:
    return ExtractionError(
        "timeout",
        f"Reading the file took longer than {limits.seconds:g} seconds. Save it again in a simpler form, or split it.",
    )


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.0f}" if count >= 1_000_000 else f"{count / 1_000_000:.1g}"
