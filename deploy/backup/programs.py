"""PostgreSQL's own programs, run so that no password shows in a list of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from deploy.backup.place import BackupError, Place

# What an address may say besides, and the variable by which libpq is told.
_OPTIONS = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}


def program(place: Place, name: str) -> str:
    """The path of a program, or its name where the system is to look for it."""
    return str(Path(place.programs) / name) if place.programs else name


def surroundings(address: str) -> Mapping[str, str]:
    """The environment in which libpq reaches this address. Raises BackupError."""
    if not address:
        raise BackupError(
            "Set BACKUP_DATABASE_URL to the primary itself (not PgBouncer), as a role with REPLICATION: "
            "postgres://backup:PASSWORD@HOST:5432/cloister"
        )
    parts = urlsplit(address)
    given = {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "cloister-backup",
    }
    for name, value in parse_qsl(parts.query):
        if name not in _OPTIONS:
            raise BackupError(f"the address of the database has the option {name!r}, which is not understood.")
        given[_OPTIONS[name]] = value
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {name: value for name, value in given.items() if value} | {"LC_ALL": "C", "TZ": "UTC"}


def run(place: Place, name: str, *arguments: str, address: str | None = None) -> str:
    """What a program prints. Raises BackupError with what it said where it fails, or is not there."""
    try:
        done = subprocess.run(
            [program(place, name), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=None if address is None else surroundings(address),
        )
    except FileNotFoundError as error:
        raise BackupError(f"{name} is not here: set BACKUP_PROGRAMS to the folder of PostgreSQL's programs.") from error
    if done.returncode != 0:
        raise BackupError(f"{name} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def asked(place: Place, command: str) -> list[str]:
    """The first row of what the server answers to a command of the replication protocol. Raises BackupError."""
    options = ("-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1")
    answer = run(place, "psql", *options, "-d", "replication=true", "-c", command, address=place.database)
    return answer.splitlines()[0].split("\t") if answer.strip() else []


def require_same_cluster(place: Place) -> None:
    """Note of which cluster this folder's backups are, at the first; later, that it is the same. Raises BackupError."""
    system, noted = asked(place, "IDENTIFY_SYSTEM")[0], place.folder / "system"
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not noted.exists():
        noted.write_text(f"{system}\n", encoding="ascii")
    if noted.read_text(encoding="ascii").strip() != system:
        raise BackupError(
            f"{place.folder} holds the backups of another database cluster: give this one a BACKUP_FOLDER of its own."
        )


def concluded(work: Callable[[], None]) -> int:
    """Do this, and return the exit status: 0, or 1 with what went wrong on standard error."""
    try:
        work()
    except (BackupError, OSError) as error:
        print(f"Failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def sync(path: Path) -> None:
    """Have a file or folder written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
