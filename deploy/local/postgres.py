"""The embedded PostgreSQL with pgvector."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.local.account import able_to_reach, database_account
from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.process import Account, titled, wrapped
from deploy.local.service import Service

MAJOR_VERSION = "18"
EXTENSIONS = ("vector", "pg_trgm", "unaccent", "btree_gin", "fuzzystrmatch")

# Run by the superuser at every start. What is missing is made: the role, the database and the extensions; these go into
# template1 as well, so that databases that tests create have them, though the role could not create them itself.
PREPARATION = r"""
\getenv password CLOISTER_PASSWORD
SET client_min_messages = warning;
SELECT 'CREATE ROLE cloister' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cloister') \gexec
ALTER ROLE cloister LOGIN CREATEDB PASSWORD :'password';
\getenv replication_password CLOISTER_REPLICATION_PASSWORD
SELECT 'CREATE ROLE cloister_replication' WHERE NOT EXISTS (
    SELECT FROM pg_roles WHERE rolname = 'cloister_replication') \gexec
ALTER ROLE cloister_replication LOGIN REPLICATION PASSWORD :'replication_password';
\connect template1
SET client_min_messages = warning;
EXTENSIONS
\connect postgres
SELECT 'CREATE DATABASE cloister OWNER cloister'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'cloister') \gexec
\connect cloister
SET client_min_messages = warning;
EXTENSIONS
""".replace("EXTENSIONS", "\n".join(f"CREATE EXTENSION IF NOT EXISTS {name};" for name in EXTENSIONS))  # nosec B608  # our own names

# PostgreSQL's shared memory below /dev/shm holds what a parallel index build works on; containers often give 64 MB.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108  # not a temporary folder of ours
SHARED_MEMORY_BYTES = 256_000_000

# For a laptop that has other work to do. Everything that keeps data safe stays at its default.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "80",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    # The database is in memory or on a solid-state disk.
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # A replica that is away is waited for by keeping the log for it, but not until the disk is full.
    "max_slot_wal_keep_size": "1GB",
}


# Nothing of the caller's: PGPORT, PGDATA and the like would reach the server.
SURROUNDINGS = {"PATH": os.defpath, "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def cluster_title(home: Home) -> str:
    """How the command lines of this home's server processes begin."""
    return f"postgres: {_cluster_name(home)}"


def _cluster_name(home: Home) -> str:
    return "cloister-" + hashlib.sha256(str(home.postgres).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Postgres:
    """The database cluster of one home, on one port of the loopback address."""

    home: Home
    programs: Path
    port: int
    secrets: Mapping[str, str]

    @cached_property
    def account(self) -> Account | None:
        """The user to run as, None for ourselves. Raises LauncherError when root finds nobody fit for it."""
        account = database_account(self.home.postgres)
        if account is None or self.home.postgres.exists():
            return account and able_to_reach(account, self.programs, self.home.postgres)
        # Before there is a data folder, ask with one of the same kind in the same place.
        probe = self.home.path / "postgres.probe"
        shutil.rmtree(probe, ignore_errors=True)
        probe.mkdir(mode=0o700)
        try:
            os.chown(probe, account.uid, account.gid)
            return able_to_reach(account, self.programs, probe)
        finally:
            probe.rmdir()

    @property
    def url(self) -> str:
        """The address for the portal, whose role owns the database and may create others, but is no superuser."""
        return f"postgres://cloister:{self.secrets['POSTGRES_PASSWORD']}@127.0.0.1:{self.port}/cloister"

    def service(self) -> Service:
        """How to run the server."""
        return Service(
            name="postgres",
            command=server_command(self.programs, self.home.postgres, self.port, _cluster_name(self.home)),
            environment=SURROUNDINGS,
            ready=lambda: accepts(self.programs, self.port),
            port=self.port,
            account=self.account,
            # Fast shutdown, then immediate shutdown.
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
            stop_seconds=30.0,
            before_start=self._forget_dead_server,
            leftovers=lambda: titled(cluster_title(self.home)),
        )

    def ensure_database(self) -> None:
        """Make the roles, the database and the extensions, as far as they are missing. The server is running.

        Raises LauncherError.
        """
        done = self.run_sql(
            PREPARATION,
            CLOISTER_PASSWORD=self.secrets["POSTGRES_PASSWORD"],
            CLOISTER_REPLICATION_PASSWORD=self.secrets["POSTGRES_REPLICATION_PASSWORD"],
        )
        if "password authentication failed" in done.stderr:
            raise LauncherError(
                f"the database in {self.home.postgres} was made with other passwords than those in "
                f"{self.home.secrets_file}: restore that file from your backup."
            )
        if done.returncode != 0:
            raise LauncherError(
                f"the database could not be prepared: read {self.home.log('postgres')}.", log=done.stderr.strip()
            )

    def run_sql(
        self, statements: str, *, port: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run psql's commands as the superuser, here or on a replica's port; rows come unadorned.

        The commands read the variables with \\getenv.
        """
        return subprocess.run(
            [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            input=statements,
            capture_output=True,
            text=True,
            check=False,
            env={
                **SURROUNDINGS,
                **variables,
                "PGHOST": "127.0.0.1",
                "PGPORT": str(port or self.port),
                "PGUSER": "postgres",
                "PGDATABASE": "postgres",
                "PGCONNECT_TIMEOUT": "2",
                "PGPASSWORD": self.secrets["POSTGRES_SUPERUSER_PASSWORD"],
            },
        )

    def initialise(self) -> bool:
        """Make the data folder if there is none yet, and say whether it was made. Raises LauncherError."""
        version_file = self.home.postgres / "PG_VERSION"
        if self.account is None and self.home.postgres.exists() and not os.access(self.home.postgres, os.R_OK):
            raise LauncherError(
                f"{self.home.postgres} belongs to another user, who started this instance as root: start it as root "
                "again, or set CLOISTER_HOME to another folder."
            )
        if self.home.postgres.exists():
            version = _read_version(version_file)
            if version != MAJOR_VERSION:
                raise LauncherError(
                    f"the data in {self.home.postgres} is of PostgreSQL {version or '(unknown)'} and this is "
                    f"{MAJOR_VERSION}: restore a dump into a new home, or move the folder away to begin anew."
                )
            return False
        # Made under another name and renamed when complete, so that a start broken off here leaves no half of one.
        draft = self.home.postgres.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        self._run_initdb(draft)
        draft.rename(self.home.postgres)
        return True

    def _run_initdb(self, folder: Path) -> None:
        password_file = self.home.path / "postgres.password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.secrets["POSTGRES_SUPERUSER_PASSWORD"] + "\n", encoding="ascii")
        if self.account is not None:
            os.chown(password_file, self.account.uid, self.account.gid)
        command = [
            str(self.programs / "initdb"),
            f"--pgdata={folder}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        try:
            done = subprocess.run(
                wrapped(command, death_signal=signal.SIGKILL, account=self.account),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=SURROUNDINGS,
            )
        finally:
            password_file.unlink()
        with self.home.log("postgres").open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            if "No space left on device" in done.stderr:
                raise LauncherError(f"there is no room left on the disk of {self.home.path}: make room and try again.")
            raise LauncherError(
                f"the database could not be made: read {self.home.log('postgres')}.",
                log=(done.stderr or done.stdout).strip(),
            )

    def _forget_dead_server(self) -> None:
        """Remove the pid file of a server that was killed.

        PostgreSQL refuses to start when the pid in it has gone to another process of the same user. Its own
        processes are certainly gone: their title is looked for.
        """
        if not titled(cluster_title(self.home)):
            (self.home.postgres / "postmaster.pid").unlink(missing_ok=True)


def server_command(programs: Path, data: Path, port: int, cluster: str, **more: str) -> tuple[str, ...]:
    """How a server is started on this folder, with `more` settings than the usual ones."""
    shared_memory = shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0
    settings = SETTINGS | {
        "port": str(port),
        "cluster_name": cluster,
        "dynamic_shared_memory_type": "posix" if shared_memory >= SHARED_MEMORY_BYTES else "mmap",
        **more,
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    return (str(programs / "postgres"), "-D", str(data), *options)


def accepts(programs: Path, port: int) -> bool:
    """Whether the server there accepts connections (it does not while it recovers from a crash)."""
    command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
    return subprocess.run(command, env=SURROUNDINGS, capture_output=True, check=False).returncode == 0


def embedded_postgres(home: Home, packages: Path, port: int, secrets: Mapping[str, str]) -> Postgres:
    """The PostgreSQL of this home, with the programs from the installed wheel."""
    return Postgres(home, packages / "embedded_postgres" / "pginstall" / "bin", port, secrets)


def _read_version(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
