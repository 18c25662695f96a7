"""What the drill of a change of model runs on: a stand-in node, web servers, a worker that can be killed, the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from deploy.drill._stale_servers import ROOT, prepare, web_servers
from deploy.local.ports import answers, choose

LIMIT_SECONDS = 120.0
"""For each step that the workers do."""


def wait(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds. Raises RuntimeError when it does not in time."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the workers did not do it within {LIMIT_SECONDS:.0f} s")
        time.sleep(0.2)


class Worker:
    """A worker of the portal, which can be killed, and the clock."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start()
        clock = ("beat", "--schedule", str(log.parent / "schedule"), "--pidfile=")
        self._processes["clock"] = self._started(*clock)

    def start(self) -> None:
        """Start the worker."""
        queues = ("-Q", "ingestion,maintenance,reembed", "--without-gossip", "--without-mingle")
        self._processes["worker"] = self._started("worker", "--concurrency", "2", *queues)

    def kill(self) -> None:
        """SIGKILL for the worker and its children."""
        self._end("worker")

    def end(self) -> None:
        """Kill both."""
        for name in list(self._processes):
            self._end(name)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _started(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "portal", *arguments, "--loglevel", "INFO"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )


@contextmanager
def stand_in(folder: Path) -> Iterator[str]:
    """The stand-in node; its address."""
    port = choose(None, ())
    with (folder / "stand-in.log").open("wb") as log:
        command = [sys.executable, "-m", "deploy.drill._reembed_model", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait(lambda: answers("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def portal(folder: Path, node: str) -> Iterator[tuple[list[str], Worker]]:
    """A migrated database, two web servers, a worker and the clock on it; the servers' addresses."""
    given = urlsplit(os.environ["REDIS_URL"])
    number = (int(given.path.strip("/") or 0) + 3) % 16
    environment = prepare(
        folder,
        CELERY_BROKER_URL=given._replace(path=f"/{number}").geturl(),
        OLLAMA_URLS=f"{os.environ['OLLAMA_URLS']},{node}",
        INGESTION_STALE_SECONDS="10",
        INGESTION_RECONCILE_SECONDS="5",
        LOG_LEVEL="WARNING",
    )
    with web_servers(environment, 2) as servers:
        worker = Worker(os.environ, folder / "worker.log")
        try:
            yield servers, worker
        except BaseException:
            sys.stderr.write((folder / "worker.log").read_text(errors="replace")[-3000:])
            raise
        finally:
            worker.end()
