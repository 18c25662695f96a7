"""A primary and its replicas that nobody supervises: for tests and drills, which stop, freeze and start them again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.install import Installation
from deploy.local.orphans import stop_orphans
from deploy.local.ports import choose
from deploy.local.postgres import Postgres, embedded_postgres
from deploy.local.service import Running, Service
from deploy.local.standby import Standby

READY_SECONDS = 60.0


@dataclass
class Cluster:
    """Running servers, by the names of their services."""

    primary: Postgres
    replicas: tuple[Standby, ...]
    running: dict[str, Running] = field(default_factory=dict)

    def start(self, service: Service) -> None:
        """Start a server, and wait until it accepts connections. Raises LauncherError when it does not."""
        running = self.running[service.name] = Running(service, self.primary.home)
        deadline = time.monotonic() + READY_SECONDS
        while not (service.ready and service.ready()):
            if running.has_ended() or time.monotonic() > deadline:
                raise LauncherError(f"{service.name} does not start: read {self.primary.home.log(service.name)}.")
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """End a server without warning, as a lost machine does."""
        running = self.running.pop(name)
        os.kill(running.pid, signal.SIGKILL)
        running.wait_stopped()

    def stop(self) -> None:
        """Stop all of them at once: nobody needs their data afterwards."""
        for running in self.running.values():
            os.kill(running.pid, signal.SIGQUIT)
        for running in self.running.values():
            running.wait_stopped()
        self.running.clear()

    def pause(self, replica: Standby) -> None:
        """Let a replica replay nothing more; it goes on fetching the log, and answering."""
        self._on(replica, "SELECT pg_wal_replay_pause()")
        deadline = time.monotonic() + READY_SECONDS
        while self._on(replica, "SELECT pg_get_wal_replay_pause_state()") != "paused":
            if time.monotonic() > deadline:
                raise LauncherError(f"{replica.name} does not pause.")
            time.sleep(0.01)

    def resume(self, replica: Standby) -> None:
        """Let it replay on."""
        self._on(replica, "SELECT pg_wal_replay_resume()")

    def delay(self, replica: Standby, seconds: int) -> None:
        """Let a replica replay each commit so many seconds after it was made; 0: at once."""
        self._on(replica, f"ALTER SYSTEM SET recovery_min_apply_delay = '{int(seconds)}s'")
        self._on(replica, "SELECT pg_reload_conf()")

    def catch_up(self, *replicas: Standby) -> None:
        """Wait until these replicas, else all, have replayed what the primary has written up to now."""
        position = self._asked(self.primary.port, "SELECT pg_current_wal_flush_lsn()")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"  # nosec B608  # what the server said
        deadline = time.monotonic() + READY_SECONDS
        for replica in replicas or self.replicas:
            while self._on(replica, reached) != "t":
                if time.monotonic() > deadline:
                    raise LauncherError(f"{replica.name} does not catch up.")
                time.sleep(0.02)

    def _on(self, replica: Standby, statement: str) -> str:
        return self._asked(replica.port, statement)

    def _asked(self, port: int, statement: str) -> str:
        done = self.primary.run_sql(statement, port=port)
        if done.returncode != 0:
            raise LauncherError(f"a server does not answer: {done.stderr.strip()}")
        return done.stdout.strip()


@contextmanager
def replicating(home: Home, count: int, settings: str = "") -> Iterator[Cluster]:
    """A new primary with so many replicas in this home, for as long as this lasts; `settings` are lines of its
    configuration, for what the launcher gives no option."""
    home.create()
    ports: list[int] = []
    for _ in range(count + 1):
        ports.append(choose(None, ports))
    primary = embedded_postgres(home, Installation().packages(), ports[0], home.secrets())
    cluster = Cluster(primary, tuple(Standby(primary, number, port) for number, port in enumerate(ports[1:], start=1)))
    try:
        primary.initialise()
        with (home.postgres / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(settings)
        cluster.start(primary.service())
        primary.ensure_database()
        for replica in cluster.replicas:
            replica.initialise()
            cluster.start(replica.service())
        yield cluster
    finally:
        cluster.stop()
        stop_orphans(home, lambda line: None)
