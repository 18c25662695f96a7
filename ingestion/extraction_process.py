"""The processes in which files are read, as the worker sees them: started, ended, and started anew when lost.

Each worker process has one `ingestion.extraction_server`, started when the first file comes, in a bare environment and
with nothing of the worker's but a socket. It forks a process for each file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

SERVER = "ingestion.extraction_server"

# Where the data of text recognition lies, and its languages. Nothing else of this process's environment.
_PASSED_ON = ("TESSDATA_PREFIX", "OCR_LANGUAGES")
_SOURCE_ROOT = Path(__file__).resolve().parent.parent
_COMPLAINT_BYTES = 4096
_ANSWER_BYTES = 64
# It answers within milliseconds, but for the first file, for which it first loads the readers.
_MOST_SECONDS = 60.0
# How a process ends that limits stopped. Any other signal is a crash.
_STOPPED = (-signal.SIGKILL, -signal.SIGXCPU)


class ServerLost(Exception):
    """The process that starts the others is gone, and with it those that it started; the sentence says what it said."""


@dataclass(frozen=True)
class Child:
    """A process that reads one file."""

    pid: int
    _server: _Server

    def end(self) -> int:
        """Kill it with all it started; its exit code, or minus the signal that ended it. Raises ServerLost."""
        return self._server.end(self.pid)


class Processes:
    """Starts processes that read files. Safe to use from several threads, and after a fork."""

    def __init__(self, program: str = SERVER) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._server: _Server | None = None
        os.register_at_fork(after_in_child=self._forget)

    def start(self, arguments: Sequence[str], scratch: str, answer: int, complaints: int) -> Child:
        """Have a file read: `arguments` are those of `ingestion.extraction_child`, the rest are two open files.

        Raises ServerLost when the server is, or cannot be started.
        """
        with self._lock:
            if self._server is None or not self._server.is_fit:
                self._server = _Server(self._program)
            server = self._server
        request = {"arguments": arguments, "scratch": scratch, "environment": environment(scratch)}
        return Child(server.start(request, [answer, complaints]), server)

    def close(self) -> None:
        """End the server, and what it started. The next file gets a new one."""
        with self._lock:
            if self._server is not None:
                self._server.close()
            self._server = None

    def _forget(self) -> None:
        """In a fork of this process: the server is the parent's, and would outlive it with this end of its socket."""
        self._lock = threading.Lock()
        if self._server is not None:
            self._server.let_go()
        self._server = None


class _Server:
    """One server process, and the socket to it."""

    def __init__(self, program: str) -> None:
        self.is_fit = True
        """False once it is gone, or is not to start any more."""
        self._children = 0
        self._lock = threading.Lock()
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the server)
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_MOST_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                # Modules come from where they belong, never from the folder that a child writes to.
                [sys.executable, "-P", "-m", program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                cwd="/",
                env=environment("/nonexistent"),
                start_new_session=True,
            )

    def start(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """The number of the new process. Raises ServerLost."""
        with self._lock:
            number = self._ask(request, descriptors)
            self._children += 1
        return number

    def end(self, number: int) -> int:
        """How the process ended, which it has after this. Raises ServerLost."""
        with self._lock:
            code = self._ask({"end": number})
            self._children -= 1
            if code < 0 and code not in _STOPPED:
                # All that it forks have the same addresses in memory. An attacker must not try twice at the same ones.
                self.is_fit = False
            if not self.is_fit and not self._children:
                self.close()
        return code

    def close(self) -> None:
        """End it, with all that it started."""
        self.is_fit = False
        self._socket.close()
        self._process.wait()
        self._complaints.close()

    def let_go(self) -> None:
        """Leave it to another process, whose child it is."""
        self._socket.close()
        self._complaints.close()
        # Not ours to wait for.
        self._process.returncode = 0

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> int:
        line = json.dumps(request).encode() + b"\n"
        answer = b""
        try:
            sent = socket.send_fds(self._socket, [line], descriptors)
            self._socket.sendall(line[sent:])
            while not answer.endswith(b"\n"):
                more = self._socket.recv(_ANSWER_BYTES)
                if not more:
                    raise ServerLost(self._last_words())
                answer += more
        except OSError as error:
            raise ServerLost(self._last_words()) from error
        except BaseException:
            # Interrupted: the answer would be taken for that to the next request.
            self.is_fit = False
            self._socket.close()
            raise
        return int(answer)

    def _last_words(self) -> str:
        """What the lost server complained of last."""
        self.is_fit = False
        self._socket.close()
        with contextlib.suppress(ValueError):  # closed before
            # One that does not answer is as good as gone. What it started ends with it.
            self._process.kill()
            code = self._process.wait()
            words = tail(self._complaints)
            self._complaints.close()
            return words.splitlines()[-1] if words else f"it ended with {code}"
        return "it was closed"


def environment(scratch: str) -> dict[str, str]:
    """A bare environment: no secrets of this process, one thread, scratch space of its own."""
    python_path = [str(_SOURCE_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(python_path),
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
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


def tail(stream: IO[bytes]) -> str:
    """The last of what was written to an open file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _COMPLAINT_BYTES))
    return stream.read().decode("utf-8", "replace").strip()
