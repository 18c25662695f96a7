"""Where backups are kept, and what the environment says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

RETENTION_DAYS = 30
"""Back to each moment of so many days there is a way: issue 9."""

STAMP = "%Y%m%dT%H%M%SZ"
SEGMENT = re.compile(r"^[0-9A-F]{24}$")
"""The name of a file of the write-ahead log: timeline, log, segment, eight digits each."""

_BASE = re.compile(r"^(\d{8}T\d{6}Z)\.(full|incremental)\.([0-9A-F]{24})$")


class BackupError(Exception):
    """A backup, or a restore, that cannot go on; the message says what to do."""


@dataclass(frozen=True, order=True)
class Base:
    """One base backup. Its name says all there is to know: when it was complete, its kind, where its log begins."""

    at: datetime
    kind: str
    segment: str

    @property
    def name(self) -> str:
        return f"{self.at.strftime(STAMP)}.{self.kind}.{self.segment}"


@dataclass(frozen=True)
class Place:
    """The folder of backups, and how the database is reached.

    Below `folder`: `wal/` the log, `base/` the base backups, `dump/` the logical dumps, `media/` the originals.
    """

    folder: Path
    database: str
    dump_database: str
    programs: str
    mark: str
    media: str
    retention: timedelta
    full_every: timedelta

    @property
    def wal(self) -> Path:
        return self.folder / "wal"

    @property
    def bases_folder(self) -> Path:
        return self.folder / "base"

    @property
    def dumps_folder(self) -> Path:
        return self.folder / "dump"

    @property
    def media_folder(self) -> Path:
        return self.folder / "media"

    def bases(self) -> list[Base]:
        """The complete base backups, the oldest first."""
        if not self.bases_folder.is_dir():
            return []
        return sorted(base for path in self.bases_folder.iterdir() if (base := base_named(path.name)))


def base_named(name: str) -> Base | None:
    """The base backup of this name; None where it is no such name."""
    found = _BASE.match(name)
    return Base(moment(found[1]), found[2], found[3]) if found else None


def moment(stamp: str) -> datetime:
    """The time that a name begins with. Raises ValueError."""
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)


def chain_to(base: Base, bases: list[Base]) -> list[Base]:
    """The bases that this one is restored from, a full one first. Raises BackupError where there is none.

    An incremental backup is always taken against the one before it.
    """
    chain = [base]
    for earlier in sorted((one for one in bases if one < base), reverse=True):
        if chain[0].kind == "full":
            break
        chain.insert(0, earlier)
    if chain[0].kind != "full":
        raise BackupError(f"{base.name} is incremental, and the full backup before it is not here.")
    return chain


def place_from(environment: Mapping[str, str] = os.environ) -> Place:
    """What the environment says. Raises BackupError where BACKUP_FOLDER is missing or a number is none."""
    if not environment.get("BACKUP_FOLDER"):
        raise BackupError("Set BACKUP_FOLDER to the folder that is to hold the backups.")
    database = environment.get("BACKUP_DATABASE_URL", "")
    return Place(
        folder=Path(environment["BACKUP_FOLDER"]),
        database=database,
        dump_database=environment.get("BACKUP_DUMP_DATABASE_URL") or database,
        programs=environment.get("BACKUP_PROGRAMS", ""),
        mark=environment.get("BACKUP_MARK", ""),
        media=environment.get("MEDIA_ROOT", ""),
        retention=timedelta(days=_number(environment, "BACKUP_RETENTION_DAYS", RETENTION_DAYS)),
        full_every=timedelta(days=_number(environment, "BACKUP_FULL_EVERY_DAYS", 7)),
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit():
        raise BackupError(f"{name} is {text!r}: give a whole number of days.")
    return int(text)
