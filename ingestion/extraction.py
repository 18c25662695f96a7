"""File to pages of text, in a child process with limits.

Uploads are whatever people have, and the libraries that read them meet bombs, loops and crashes. So each file is read
by a process of its own (`ingestion.extraction_child`), with a ceiling on memory, processor time, wall clock, scratch
space and output, with none of this process's environment, and in a cell (`ingestion.extraction_jail`) without network,
other programs or other files. Whatever happens there costs this one document and never the worker.
"""

from __future__ import annotations

import compileall
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
from typing import IO, cast

from django.conf import settings

from ingestion.extraction_answer import Refusal, UnbelievableAnswer, read_answer
from ingestion.extraction_jail import MEASURES, PARENT_VARIABLE
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

# Where the data of text recognition lies, and its languages. Nothing else of this process's environment.
_PASSED_ON = ("TESSDATA_PREFIX", "OCR_LANGUAGES")
_CHILD = "ingestion.extraction_child"
_SOURCE_ROOT = Path(__file__).resolve().parent.parent
_READ_BYTES = 1 << 16
_COMPLAINT_BYTES = 4096
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

    The type is told by content; the name only tells text kinds (Markdown, HTML, CSV) apart. Takes some 0.05 s for text
    and 0.2 s for Office and PDF files, and at most `limits.seconds`. Without `limits` those of the settings hold.

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
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch,
        tempfile.TemporaryFile() as complaints,
    ):
        child = subprocess.Popen(
            [
                sys.executable,
                # Modules come from where they belong, never from the folder that the child writes to.
                "-P",
                "-m",
                _CHILD,
                path.resolve(),
                _extension(file_name),
                _as_json(limits),
                parts_folder or "",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
        )
        try:
            answer = _read_answer(child, limits, Path(scratch), parts_folder)
        finally:
            _kill(child)
        try:
            found = read_answer(json.loads(answer), limits=limits, parts_folder=parts_folder)
        except (ValueError, RecursionError):
            raise _failure(child.returncode, _tail(complaints), file_name) from None
        except UnbelievableAnswer as error:
            logger.error("extraction of %r gave an answer that is none of ours: %s", file_name, error)
            raise _broken() from error
    if isinstance(found, Refusal):
        if found.detail:
            logger.info("extraction of %r: %s: %s", file_name, found.error.reason, found.detail)
        raise found.error
    return found


def isolation() -> tuple[str, ...]:
    """Which of MEASURES hold on this machine, asked of a process that goes into the cell. Takes some 0.1 s."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ingestion.extraction_jail"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=scratch,
            env=_environment(scratch),
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


def _environment(scratch: str) -> dict[str, str]:
    """A bare environment: no secrets of this process, one thread, scratch space of its own."""
    python_path = [str(_SOURCE_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(python_path),
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        PARENT_VARIABLE: str(os.getpid()),
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
        "MALLOC_ARENA_MAX": "1",
        # Pictures of pages go back to the system at once: 410 MB instead of 570 for a scan of several pages.
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    }


def _read_answer(child: subprocess.Popen[bytes], limits: Limits, scratch: Path, parts_folder: Path | None) -> bytes:
    """Everything that the child writes, until it closes its output, within the limits of time, space and size."""
    deadline = time.monotonic() + limits.seconds
    looked = time.monotonic()
    received = bytearray()
    with selectors.DefaultSelector() as selector, cast("IO[bytes]", child.stdout) as stream:
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise _timeout(limits)
            if now - looked >= _WATCH_SECONDS:
                _watch(child.pid, limits, scratch, parts_folder)
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


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _COMPLAINT_BYTES))
    return stream.read().decode("utf-8", "replace").strip()


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.0f}" if count >= 1_000_000 else f"{count / 1_000_000:.1g}"
