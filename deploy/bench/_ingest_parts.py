"""A whole stack for one drill or benchmark, each part of which can be killed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deploy.bench._ingest_model import DIMENSIONS, MODEL
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.install import Installation
from deploy.local.portal import manage_command, portal_environment, portal_services
from deploy.local.ports import choose
from deploy.local.probe import get
from deploy.local.process import wait_until
from deploy.local.service import Running, Service
from deploy.local.stack import Given, Stack, make_stack

READY_SECONDS = 60.0

WORKER, QUEUE, DATABASE, NODE = "worker", "valkey", "postgres", "embedding"


class Parts:
    """The running parts. Use it from the main thread: its children die with the thread that started them."""

    def __init__(self, home: Home, stack: Stack, node: Service) -> None:
        self.home, self.stack = home, stack
        self._services = {NODE: node}
        if stack.postgres is None or stack.valkey is None:
            raise LauncherError("this runs a database and a queue of its own: none may be given to it.")
        self.postgres = stack.postgres
        self._services |= {QUEUE: stack.valkey.service()}
        self._running: dict[str, Running] = {}

    def start(self, *names: str) -> None:
        """Start parts, without waiting until they are ready."""
        for name in names:
            self._running[name] = Running(self._services[name], self.home)

    def begin(self) -> None:
        """Start the database, the queue and the node for the first time, and wait for them."""
        self.postgres.initialise()
        self._services[DATABASE] = self.postgres.service()
        self.start(DATABASE, QUEUE, NODE)
        self.wait(DATABASE, QUEUE, NODE)
        self.postgres.ensure_database()

    def wait(self, *names: str) -> None:
        """Wait until these parts answer. Raises LauncherError."""
        for name in names:
            if not wait_until(lambda name=name: self.is_ready(name), READY_SECONDS):  # type: ignore[misc]
                raise LauncherError(f"{name} is not ready within {READY_SECONDS:.0f} s: read {self.home.log(name)}.")

    def is_ready(self, name: str) -> bool:
        """Whether a part answers; one that cannot be asked does as soon as it runs."""
        ready = self._services[name].ready
        return self.runs(name) and (ready is None or ready())

    def runs(self, name: str) -> bool:
        """Whether a part is started and has not ended."""
        return name in self._running and not self._running[name].has_ended()

    def kill(self, name: str) -> None:
        """SIGKILL for a part and all its processes, at once. The queue forgets what it held."""
        self._running.pop(name).bury()
        if name == QUEUE:
            shutil.rmtree(self.home.valkey)
            self.home.valkey.mkdir(mode=0o700)

    def environment(self, database: str) -> dict[str, str]:
        """The environment of the portal's processes on this database, with a folder of its own for originals."""
        environment = portal_environment(self.stack, port=8000, demo=False)
        media = self.home.path / f"media-{database}"
        media.mkdir(exist_ok=True)
        address = urlsplit(environment["DATABASE_URL"])._replace(path=f"/{database}").geturl()
        return environment | {"DATABASE_URL": address, "MEDIA_ROOT": str(media)}

    def new_database(self, database: str) -> dict[str, str]:
        """Make and migrate a database with one department, "Registry"; the environment for it."""
        environment = self.environment(database)
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        self.manage(environment, "migrate", "--verbosity", "0")
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("INSERT INTO accounts_department (name) VALUES ('Registry')")
        return environment

    def upload(self, environment: dict[str, str], folder: Path, *, in_flight: int = 0) -> subprocess.Popen[str]:
        """Start to upload a folder: one file upon the other, or so that so many documents stay in flight.

        It ends with the last file, or after SIGTERM. Its last line is what happened.
        """
        python = str(self.stack.installation.python)
        command = [python, "-m", "deploy.bench._ingest_uploads", str(folder), str(in_flight)]
        with self.home.log("uploads").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)

    def pid(self, name: str) -> int:
        """The process of a part that runs."""
        return self._running[name].pid

    def manage(self, environment: dict[str, str], *arguments: str) -> str:
        """What a management command prints. Raises RuntimeError with what it complained of."""
        command = manage_command(self.stack.installation.python, *arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def at_work(self, environment: dict[str, str]) -> Iterator[None]:
        """A worker and the clock, in this environment."""
        _, worker, clock = portal_services(self.stack, environment)
        self._services |= {WORKER: replace(worker, stop_seconds=2.0), "beat": clock}
        self.start(WORKER, "beat")
        try:
            yield
        finally:
            for name in (WORKER, "beat"):
                if name in self._running:
                    self._running.pop(name).bury()

    def end(self) -> None:
        """Kill what runs."""
        for running in self._running.values():
            running.bury()
        self._running.clear()


@contextmanager
def parts(folder: Path, *, models: Path | None = None) -> Iterator[Parts]:
    """The parts below the portal, running, in this folder; gone afterwards.

    The node is the stand-in; with `models`, the folder where its graph is kept, it is the bundled model.
    """
    home = Home(folder)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    if models:
        home.models.symlink_to(models)
    home.create()
    installation = Installation()
    port = choose(None, ())
    given = Given("", "", "", "" if models else f"http://127.0.0.1:{port}", MODEL, str(DIMENSIONS))
    stack = make_stack(home, installation, given, running=False)
    node = stack.embedding or Service(
        name=NODE,
        command=(str(installation.python), "-m", "deploy.bench._ingest_model", "--port", str(port)),
        environment={"PATH": os.defpath, "PYTHONUNBUFFERED": "1"},
        ready=lambda: get("127.0.0.1", port, "/api/version")[0] == 200,
        port=port,
    )
    made = Parts(home, stack, node)
    try:
        made.begin()
        yield made
    finally:
        made.end()


def seconds_since(moment: float) -> float:
    """Seconds since a moment of the monotonic clock, to a tenth."""
    return round(time.monotonic() - moment, 1)
