"""What a worker takes of memory while it works: its own processes and those in which it has files read."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from deploy.bench.memory import pss_bytes
from deploy.local.process import family, rss_bytes

_EVERY_SECONDS = 0.1
# As much of a process's name as the kernel keeps.
_NAME_CHARACTERS = 15
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class WorkerWatch(threading.Thread):
    """Looks at the worker that this process started, over and over, until `end` is called."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        """Most memory that the worker and its children had at one moment; what they share is counted once."""
        self.leaders: set[int] = set()
        """The worker's first processes that were seen: more than one means that it was started anew."""
        self.pool: set[int] = set()
        """Its processes that take documents."""
        self._reading_peaks: dict[str, int] = {}
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            self._look()

    def end(self) -> None:
        """Stop looking."""
        self._done.set()
        self.join()

    def reading_peak_bytes(self, original: str) -> int:
        """Most resident memory of the process that read a stored original, by its name; 0 where none was seen."""
        return self._reading_peaks.get(Path(original).name[:_NAME_CHARACTERS], 0)

    def _look(self) -> None:
        total = 0
        for pid in family(os.getpid()):
            words = _command(pid)
            if "ingestion.extraction_server" in words:
                # It, or one that it has forked and named after what it reads.
                name = _name(pid)
                self._reading_peaks[name] = max(self._reading_peaks.get(name, 0), _peak_bytes(pid))
            elif "celery" in words and "worker" in words:
                (self.pool if "celery" in _command(_parent(pid)) else self.leaders).add(pid)
            else:
                continue
            share = pss_bytes(pid)
            total += rss_bytes(pid) if share is None else share
        self.peak_bytes = max(self.peak_bytes, total)


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _peak_bytes(pid: int) -> int:
    """The most that a process ever had resident; kept by the kernel, so that looking now and then suffices."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
