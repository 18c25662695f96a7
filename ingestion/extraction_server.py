"""A process with all readers loaded, which forks one process for each file: `ingestion.extraction_process` starts it.

    python -P -m ingestion.extraction_server

Starting Python and loading the readers takes 0.1 to 0.3 s, a fork one or two milliseconds. So a worker has this done
once, and each file still gets a process of its own, as it was before any file was read: this one never opens a file,
and starts no threads, which a fork would not take along.

Standard input is a socket to the worker and all that this process knows of it. Over it come requests, each one line of
JSON and answered by one: `{"path": …}` with two descriptors, for the answer and for complaints, is a file to be read,
and answered with the number of the process that reads it; `{"end": number}` kills that process with all it started, and
is answered with its exit code, or minus the signal that ended it. When the worker ends, so do all of these.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion import extraction_child

# What the children would load by need. Loading them starts no thread; using the extraction library would.
_LOADED = (
    *(f"ingestion.extraction_{kind}" for kind in ("plain", "docx", "pptx", "odf", "rtf", "mail", "archive", "outlook")),
    *("ingestion.extraction_library", "ingestion.extraction_pdf", "pycld2"),
)
_LONGEST_READ = 1 << 16
_DESCRIPTORS = 2
_PR_SET_DUMPABLE, _PR_SET_NAME = 4, 15  # linux/prctl.h
_LONGEST_NAME = 15


Read = Callable[[list[str], int], int]


def main(read: Read = extraction_child.main) -> int:
    """Serve until the worker is gone. `read` is what is done in each new process."""
    # Where the kernel has no Landlock, this keeps the memory of this process from those that read files.
    _prctl(_PR_SET_DUMPABLE, 0)
    for name in _LOADED:
        # A package that is not there is missed by the files that need it, and by no others.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.disable()
    gc.freeze()
    children: set[int] = set()
    with socket.socket(fileno=0) as worker:
        try:
            _serve(worker, children, read)
        except ConnectionError:
            return 0
        finally:
            for number in tuple(children):
                _end(number, children)
    return 0


def _serve(worker: socket.socket, children: set[int], read: Read) -> None:
    """Answer requests until there are no more."""
    while True:
        line, descriptors, _, _ = socket.recv_fds(worker, _LONGEST_READ, _DESCRIPTORS)
        while line and not line.endswith(b"\n"):
            more = worker.recv(_LONGEST_READ)
            if not more:
                return
            line += more
        if not line:
            return
        request = json.loads(line)
        if "end" in request:
            given = _end(request["end"], children)
        else:
            given = _start(request, descriptors, worker, read)
            children.add(given)
            for descriptor in descriptors:
                os.close(descriptor)
        worker.sendall(b"%d\n" % given)


def _start(request: dict[str, Any], descriptors: list[int], worker: socket.socket, read: Read) -> int:
    """Fork the process that reads the file; its number."""
    server = os.getpid()
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        _become_reader(request, descriptors, worker)
        status = read(request["arguments"], server)
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code
        else:
            traceback.print_exc()
    except BaseException:  # noqa: BLE001 (whatever it is, this process ends here and says so)
        traceback.print_exc()
    finally:
        # Without the tidying up of the interpreter: all that this process has goes with it.
        os._exit(status)


def _become_reader(request: dict[str, Any], descriptors: list[int], worker: socket.socket) -> None:
    """Take off in the new process what is the server's, and put on what is for this file."""
    os.setsid()
    worker.detach()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in zip((nothing, *descriptors), (0, 1, 2), strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    _prctl(_PR_SET_DUMPABLE, 1)
    path, *_ = request["arguments"]
    # For the operator who asks what takes so long.
    _prctl(_PR_SET_NAME, os.fsencode(Path(path).name)[:_LONGEST_NAME])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["scratch"])
    gc.enable()


def _end(number: int, children: set[int]) -> int:
    """Kill the process and its group, so that nothing it started stays behind; how it ended.

    It is waited for only afterwards: until then its number cannot belong to anybody else. One that ended by itself
    keeps its own exit status.
    """
    children.remove(number)
    # The group may not be there yet, or no longer be known when only an ended process is left of it.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(number, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def _prctl(what: int, value: int | bytes) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
