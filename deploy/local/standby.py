"""Replicas of the embedded PostgreSQL: servers that follow it, copied from it where there is none to go on with."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.machine import require_room
from deploy.local.postgres import SURROUNDINGS, Postgres, accepts, server_command
from deploy.local.process import Account, titled, wrapped
from deploy.local.service import Service

# A copy of the database needs as much room as it has, and its log besides.
ROOM_BESIDES = 300_000_000
COPY_SECONDS = 3600.0

# How a replica differs from the primary. What it is asked is told to the primary, so that rows which a search still
# reads are not taken away under it; a search that stands in the way of replay all the same waits so long at most.
SETTINGS = {"hot_standby_feedback": "on", "max_standby_streaming_delay": "5s"}


FOLLOWING = """
SELECT CASE WHEN pg_is_wal_replay_paused() THEN 'paused'
            WHEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 'streaming'
            ELSE 'alone' END,
       pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,
       EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())
"""


def replicas_title(home: Home) -> str:
    """How the command lines of all replicas' processes of this home begin."""
    return f"postgres: {_cluster_name(home)}"


def _cluster_name(home: Home) -> str:
    # Not beginning as the primary's: each server's left-over processes are told by how their titles begin.
    return "replica-" + hashlib.sha256(str(home.postgres).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Standby:
    """One replica, on one port of the loopback address."""

    primary: Postgres
    number: int
    port: int

    @property
    def name(self) -> str:
        """The name of its service, its log and its folder."""
        return f"replica-{self.number}"

    @property
    def slot(self) -> str:
        """By which the primary knows what of its log this replica still needs."""
        return f"replica_{self.number}"

    @property
    def data(self) -> Path:
        return self.primary.home.replica(self.number)

    @property
    def url(self) -> str:
        """The address for the portal."""
        return f"postgres://cloister:{self.primary.secrets['POSTGRES_PASSWORD']}@127.0.0.1:{self.port}/cloister"

    @property
    def account(self) -> Account | None:
        return self.primary.account

    def initialise(self) -> bool:
        """Copy the primary, which runs, unless there is a copy that can go on; whether it was copied.

        Raises LauncherError.
        """
        if self._can_go_on():
            return False
        slot = f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.slot}'"  # noqa: S608  # nosec B608  # a name of our own
        self._asked(f"{slot}; SELECT pg_create_physical_replication_slot('{self.slot}', true);")
        size = int(self._asked("SELECT sum(pg_database_size(oid))::bigint FROM pg_database"))
        require_room(self.primary.home.path, size + ROOM_BESIDES)
        shutil.rmtree(self.data, ignore_errors=True)
        draft = self.data.with_name(f"{self.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        self._copy(draft)
        self._write(draft / "standby.signal", "")
        draft.rename(self.data)
        return True

    def service(self) -> Service:
        """How to run the server."""
        title = f"{_cluster_name(self.primary.home)}-{self.number}"
        return Service(
            name=self.name,
            command=server_command(
                self.primary.programs,
                self.data,
                self.port,
                title,
                primary_slot_name=self.slot,
                primary_conninfo=self._conninfo(),
                **SETTINGS,
            ),
            environment=SURROUNDINGS,
            ready=lambda: accepts(self.primary.programs, self.port),
            port=self.port,
            account=self.account,
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
            stop_seconds=30.0,
            before_start=self._prepare,
            leftovers=lambda: titled(f"postgres: {title}: "),
        )

    def lag(self) -> dict[str, Any]:
        """How it is: `state` (`streaming`, `paused`, `alone` where it has no primary, `away`), and how much of the
        primary's log it has not replayed, in bytes and seconds; None where one of the two does not answer."""
        found = self.primary.run_sql(FOLLOWING, port=self.port)
        position = self.primary.run_sql("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
        if found.returncode != 0:
            return {"state": "away", "lag_bytes": None, "lag_seconds": None}
        state, replayed, seconds = found.stdout.strip().split("|")
        behind = max(0, int(position.stdout) - int(replayed)) if position.returncode == 0 else None
        late = None if behind is None else round(float(seconds or 0), 1) if behind else 0.0
        return {"state": state, "lag_bytes": behind, "lag_seconds": late}

    def _can_go_on(self) -> bool:
        """Whether the copy is one of this primary, which still has all of its log that the copy needs."""
        if not (self.data / "standby.signal").exists():
            return False
        status = self._asked(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{self.slot}'")  # noqa: S608  # nosec B608  # a name of our own
        return status not in ("", "lost") and self._identifier(self.data) == self._identifier(
            self.primary.home.postgres
        )

    def _identifier(self, data: Path) -> str:
        """Which database cluster this folder is of."""
        command = [str(self.primary.programs / "pg_controldata"), str(data)]
        done = subprocess.run(
            wrapped(command, death_signal=signal.SIGKILL, account=self.account),
            env=SURROUNDINGS,
            capture_output=True,
            text=True,
            check=False,
        )
        found = [line for line in done.stdout.splitlines() if line.startswith("Database system identifier")]
        return found[0] if found else f"none in {data}"

    def _copy(self, draft: Path) -> None:
        program = str(self.primary.programs / "pg_basebackup")
        command = [
            *(program, f"--pgdata={draft}", "--wal-method=stream", f"--slot={self.slot}", "--checkpoint=fast"),
            *("--host=127.0.0.1", f"--port={self.primary.port}", "--username=cloister_replication", "--no-password"),
        ]
        try:
            done = subprocess.run(
                wrapped(command, death_signal=signal.SIGKILL, account=self.account),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=COPY_SECONDS,
                env={**SURROUNDINGS, "PGPASSWORD": self._password},
            )
        except subprocess.TimeoutExpired as error:
            raise LauncherError(f"{self.name} was not copied within {COPY_SECONDS:.0f} s: try again.") from error
        if done.returncode != 0:
            room = "No space left on device" in done.stderr
            raise LauncherError(
                f"there is no room left on the disk of {self.primary.home.path}: make room and try again."
                if room
                else f"{self.name} could not be copied from the database: read {self.primary.home.log('postgres')}.",
                log=done.stderr.strip(),
            )

    def _prepare(self) -> None:
        """Remove the pid file of a server that was killed, and write the password where the server alone reads it: a
        command line, where it would stand otherwise, can be read by every user."""
        if not titled(f"postgres: {_cluster_name(self.primary.home)}-{self.number}: "):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._write(self._password_file, f"127.0.0.1:*:*:cloister_replication:{self._password}\n")

    def _write(self, path: Path, text: str) -> None:
        """A file that the server alone reads."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def _conninfo(self) -> str:
        file = str(self._password_file).replace("\\", "\\\\").replace("'", "\\'")
        return (
            f"host=127.0.0.1 port={self.primary.port} user=cloister_replication application_name={self.slot} "
            f"passfile='{file}'"
        )

    @property
    def _password_file(self) -> Path:
        return self.data / "replication.pass"

    @property
    def _password(self) -> str:
        return self.primary.secrets["POSTGRES_REPLICATION_PASSWORD"]

    def _asked(self, statement: str) -> str:
        done = self.primary.run_sql(statement)
        if done.returncode != 0:
            raise LauncherError(
                f"the database cannot be asked about {self.name}: read {self.primary.home.log('postgres')}.",
                log=done.stderr.strip(),
            )
        return done.stdout.strip()


def forget_others(primary: Postgres, kept: int) -> None:
    """Let the primary, which runs, keep no log for replicas beyond so many: none is started that would fetch it."""
    done = primary.run_sql(
        "\\getenv kept KEPT\n"
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active"
        " AND slot_name ~ '^replica_[0-9]+$' AND substr(slot_name, 9)::integer > :kept",
        KEPT=str(kept),
    )
    if done.returncode != 0:
        raise LauncherError(
            f"the database cannot be asked about replicas: read {primary.home.log('postgres')}.",
            log=done.stderr.strip(),
        )
