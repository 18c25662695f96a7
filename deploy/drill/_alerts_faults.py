"""What is broken in the drill of the alerts, how, and how it is mended."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.bench._ingest_parts import DATABASE, NODE, WORKER, Parts
from deploy.local.process import family
from deploy.local.standby import Standby

LOCKED_SECONDS = 2.0
"""How long a session keeps what each search reads, again and again: searches take about as long."""

DISK_BYTES = 2_000_000_000
"""What the drill takes of the disk for a moment."""


@dataclass(frozen=True)
class Fault:
    """An alert, what is done that it is told, and what undoes that."""

    alert: str
    what: str
    make: Callable[[], None]
    mend: Callable[[], None]


class SlowDatabase:
    """Another session locks the table that every search names, lets go, and locks it again."""

    def __init__(self, url: str) -> None:
        self._url, self._over, self._thread = url, threading.Event(), threading.Thread()

    def make(self) -> None:
        """Begin."""
        self._over.clear()
        self._thread = threading.Thread(target=self._lock, daemon=True)
        self._thread.start()

    def mend(self) -> None:
        """Let go for good."""
        self._over.set()
        self._thread.join()

    def _lock(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.is_set():
                with connection.transaction():
                    connection.execute("LOCK TABLE ingestion_vectorspace IN ACCESS EXCLUSIVE MODE")
                    self._over.wait(LOCKED_SECONDS)


class StoppedWorker:
    """A worker and its children that hang."""

    def __init__(self, stack: Parts) -> None:
        self._stack = stack
        self._stopped: list[int] = []

    def make(self) -> None:
        """Stop them."""
        self._stopped = family(self._stack.pid(WORKER))
        for process in self._stopped:
            os.kill(process, signal.SIGSTOP)

    def mend(self) -> None:
        """Let them go on."""
        for process in self._stopped:
            os.kill(process, signal.SIGCONT)


class FullDisk:
    """A large file on the disk of the originals."""

    def __init__(self, folder: Path) -> None:
        usage = shutil.disk_usage(folder)
        if usage.free < 2 * DISK_BYTES:
            raise RuntimeError(f"The drill takes {DISK_BYTES / 1e9:.0f} GB of the disk for a moment: make room.")
        self._file = folder / "large"
        self.low_share = (usage.free - DISK_BYTES / 2) / usage.total
        """Below it the share that is free falls by that file."""

    def make(self) -> None:
        """Take the room."""
        with self._file.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, DISK_BYTES)

    def mend(self) -> None:
        """Give it back."""
        self._file.unlink()


def faults_without_replica(stack: Parts, url: str, disk: FullDisk) -> list[Fault]:
    """Latency, embedding, queue, disk, errors."""
    slow, worker = SlowDatabase(url), StoppedWorker(stack)

    def start(name: str) -> Callable[[], None]:
        def started() -> None:
            stack.start(name)
            stack.wait(name)

        return started

    return [
        Fault(
            "HighQueryLatency",
            f"a session locks what searches read, {LOCKED_SECONDS:.0f} s at a time",
            slow.make,
            slow.mend,
        ),
        Fault("EmbeddingServiceDown", "the embedding node is killed", lambda: stack.kill(NODE), start(NODE)),
        Fault("QueueStuck", "the worker is stopped (SIGSTOP)", worker.make, worker.mend),
        Fault("LowDiskSpace", f"a file of {DISK_BYTES / 1e9:.0f} GB", disk.make, disk.mend),
        Fault("HighErrorRate", "the database is killed", lambda: stack.kill(DATABASE), start(DATABASE)),
    ]


def fault_of_replica(standby: Standby) -> Fault:
    """Replay on the replica is paused, while searches write their lines of the trail on the primary."""

    def ask(statement: str) -> None:
        done = standby.primary.run_sql(statement, port=standby.port)
        if done.returncode != 0:
            raise RuntimeError(f"The replica cannot be asked: {done.stderr}")

    return Fault(
        "ReplicaLagHigh",
        "replay on the replica is paused",
        lambda: ask("SELECT pg_wal_replay_pause()"),
        lambda: ask("SELECT pg_wal_replay_resume()"),
    )
