"""The files in which processes share what they count (PROMETHEUS_MULTIPROC_DIR).

Each process has files of its own, which must outlive it, or counters would fall. Web processes and workers are replaced
all the time, so the files of those that are gone are added up into one of each kind, or every scrape would read more.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

FEW = 4
"""So many files of dead processes are left as they are: adding up has everybody wait who reads."""

SUMMED = ("counter", "histogram", "summary")
"""Kinds of files whose values are sums. What gauges said of a process goes with it."""

MERGED = "dead"
"""Stands in the name of a file in the place of the process' number."""


def folder() -> Path | None:
    """Where the processes share their metrics; None where each has its own alone."""
    place = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    return Path(place) if place else None


def gather(shared: Path) -> CollectorRegistry:
    """What all processes counted, once the files of those that are gone are few. For `generate_latest`, at once."""
    with _held(shared, fcntl.LOCK_SH):
        dead = _dead(shared)
    if len(dead) > FEW:
        with _held(shared, fcntl.LOCK_EX):
            _merge(shared, _dead(shared))
    registry = CollectorRegistry()
    with _held(shared, fcntl.LOCK_SH):
        metrics = list(MultiProcessCollector(None, path=str(shared)).collect())  # type: ignore[no-untyped-call]
    registry.register(_Gathered(metrics))
    return registry


class _Gathered:
    """Metrics that were read while the files were held still."""

    def __init__(self, metrics: list) -> None:
        self._metrics = metrics

    def collect(self) -> list:
        """All of them."""
        return self._metrics


def _merge(shared: Path, dead: list[Path]) -> None:
    for kind in SUMMED:
        files = [path for path in dead if path.name.startswith(f"{kind}_")]
        target = shared / f"{kind}_{MERGED}.db"
        values: dict[str, float] = {}
        for path in [target, *files]:
            if path.exists():
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                    values[key] = values.get(key, 0.0) + value
        if not files:
            continue
        with tempfile.TemporaryDirectory(dir=shared) as apart:
            summed = Path(apart, "summed")
            written = MmapedDict(str(summed))  # type: ignore[no-untyped-call]
            for key, value in values.items():
                written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
            written.close()  # type: ignore[no-untyped-call]
            os.replace(summed, target)
        for path in files:
            path.unlink()
    for path in dead:
        path.unlink(missing_ok=True)


def _dead(shared: Path) -> list[Path]:
    """The files of processes that are gone."""
    found = []
    for path in shared.glob("*.db"):
        number = path.stem.rpartition("_")[2]
        if number.isdigit() and not _is_alive(int(number)):
            found.append(path)
    return found


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _held(shared: Path, how: int) -> Iterator[None]:
    with (shared / "lock").open("a") as lock:
        fcntl.flock(lock, how)
        yield
