"""A database of the drill's own with its archive, and servers on what is restored from that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local.account import CAP_DAC_READ_SEARCH
from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.ports import choose
from deploy.local.postgres import SURROUNDINGS, accepts, server_command
from deploy.local.process import Account, titled, wrapped
from deploy.local.replicating import Cluster, replicating
from deploy.local.service import Running, Service

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0

SETTINGS = "summarize_wal = on\ntrack_commit_timestamp = on\nwal_level = replica\n"
"""Incremental backups need the first; the second tells the drill when what was committed."""


@dataclass
class Site:
    """The database, and the folder of its backups and of what is restored."""

    cluster: Cluster
    folder: Path

    @property
    def address(self) -> str:
        return self.cluster.primary.url

    @property
    def account(self) -> Account | None:
        """As whom the backup runs: who owns the database's files, and can reach this Python wherever it is."""
        found = self.cluster.primary.account
        return found and replace(found, capability=found.capability or CAP_DAC_READ_SEARCH)

    def environment(self) -> dict[str, str]:
        """What the backup is told."""
        primary = self.cluster.primary
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BACKUP_FOLDER": str(self.folder / "backup"),
            "BACKUP_MARK": str(self.folder / "mark"),
            "MEDIA_ROOT": str(self.folder / "originals"),
            "BACKUP_PROGRAMS": str(primary.programs),
            "BACKUP_DATABASE_URL": "postgres://cloister_replication:"
            f"{primary.secrets['POSTGRES_REPLICATION_PASSWORD']}@127.0.0.1:{primary.port}/cloister",
            "BACKUP_DUMP_DATABASE_URL": primary.url,
        }

    def backup(self, module: str, *arguments: str) -> str:
        """Run a module of the backup as the user of the database; what it prints. Raises RuntimeError."""
        done = subprocess.run(
            wrapped(_command(module, *arguments), death_signal=signal.SIGKILL, account=self.account),
            cwd="/",
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"backup {module} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def destroy(self) -> None:
        """Lose the machine of the database: the server and its data at once. What receives its log is left alone, and
        then ended, as nothing comes any more."""
        self.cluster.kill("postgres")
        shutil.rmtree(self.cluster.primary.home.postgres)
        self.cluster.kill("wal")

    @contextmanager
    def server(self, folder: Path) -> Iterator[str]:
        """A server on a folder that was laid out, when it takes writes; its address for the portal."""
        primary, title = self.cluster.primary, f"restored-{os.getpid()}-{folder.name}"
        port = choose(None, [])
        service = Service(
            name=folder.name,
            command=server_command(primary.programs, folder, port, title),
            environment=SURROUNDINGS,
            ready=lambda: accepts(primary.programs, port),
            port=port,
            account=primary.account,
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
            stop_seconds=30.0,
            leftovers=lambda: titled(f"postgres: {title}: "),
        )
        running = Running(service, primary.home)
        try:
            deadline = time.monotonic() + READY_SECONDS
            # It accepts readers before it has replayed all.
            while primary.run_sql("SELECT pg_is_in_recovery()", port=port).stdout.strip() != "f":
                if running.has_ended() or time.monotonic() > deadline:
                    raise LauncherError(f"what was restored does not start: {_end_of(primary.home.log(folder.name))}")
                time.sleep(0.1)
            yield replace(primary, port=port).url
        finally:
            running.ask_to_stop()
            running.wait_stopped()


@contextmanager
def backup_site(folder: Path) -> Iterator[Site]:
    """A new database whose log is received, for as long as this lasts."""
    with ExitStack() as stack:
        cluster = stack.enter_context(replicating(Home(folder / "database"), 0, SETTINGS))
        site = Site(cluster, folder / "site")
        account = cluster.primary.account
        for path in (site.folder, site.folder / "originals"):
            path.mkdir(mode=0o700)
            if account is not None:
                os.chown(path, account.uid, account.gid)
        receiver = Service(
            name="wal",
            command=tuple(_command("wal")),
            environment=site.environment(),
            ready=lambda: any((site.folder / "backup" / "wal").glob("*.partial")),
            account=site.account,
        )
        cluster.start(receiver)
        yield site


def _command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"deploy.backup.{module}", *arguments]


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
