"""Events of the trail that the database could not take: in a folder until it can, each written exactly once.

A line of a file is one event, forced to the disk before the answer goes out. Each process appends to a file of its own.
Whoever replays takes a file away under a new name first, so that nobody waits for the database while appending.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core import serializers
from django.core.serializers.base import DeserializationError
from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.models import AutoField, Field, Model
from django.db.utils import Error as DatabaseTrouble
from prometheus_client import Counter

from accounts.models import User

logger = logging.getLogger(__name__)

LOCK_MILLISECONDS, STATEMENT_MILLISECONDS = 200, 1000
"""How long an answer waits for a trail that is locked, or slow."""

PAUSE_SECONDS = 1.0
"""After the database refused an event, the next ones go to the folder at once for so long."""

WAITING, TAKEN, REFUSED = "waiting-", "taken-", "refused"

SPOOLED = Counter("audit_spooled", "Events of the trail that the database could not take, and the folder did.")
REPLAYED = Counter("audit_replayed", "Events of the trail that were brought from the folder to the database.")
REFUSALS = Counter("audit_refused", "Lines of the folder that can never become events; they are kept in its refused.")

_limits = f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}; SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}; "
_lock = threading.Lock()
_replaying = threading.Lock()
_paused_until = 0.0
_looked = False


def write(event: Model) -> None:
    """Write one event that is part of nobody's transaction: to the database, else to the folder.

    Waits for the database for STATEMENT_MILLISECONDS at most. Raises OperationalError where neither takes it, since an
    answer that leaves no trail is not given.
    """
    global _paused_until, _looked
    if _may_try():
        try:
            _insert(event, limited=True)
        except DatabaseTrouble as trouble:
            _paused_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("the audit trail goes to the folder: %s", type(trouble).__name__)
        else:
            _paused_until = 0.0
            if not _looked:
                _looked = True
                _replay_beside()
            return
    try:
        _append(event)
    except OSError as error:
        logger.critical("the audit trail can be written neither to the database nor to AUDIT_SPOOL: %s", error)
        raise OperationalError("the audit trail cannot be written") from error
    # Whoever next reaches the database brings along what waits.
    _looked = False


def _may_try() -> bool:
    """Whether the database is asked: always while it takes events, else by one thread in PAUSE_SECONDS."""
    global _paused_until
    if not _paused_until:
        return True
    with _lock:
        now = time.monotonic()
        if now < _paused_until:
            return False
        _paused_until = now + PAUSE_SECONDS
        return True


def replay() -> int:
    """Bring what waits in the folder to the database; how many events are there now that were not.

    Raises OperationalError or InterfaceError where the database cannot take them yet: nothing is lost then, and what
    was written already is not written twice.
    """
    folder = _folder()
    for path in folder.glob(f"{WAITING}*"):
        _take(path)
    return sum(_replay_file(path) for path in sorted(folder.glob(f"{TAKEN}*")))


def waiting() -> int:
    """How many events wait in the folder."""
    folder = _folder()
    files = [*folder.glob(f"{WAITING}*"), *folder.glob(f"{TAKEN}*")]
    return sum(len(_lines(path)) for path in files)


def _folder() -> Path:
    folder = Path(settings.AUDIT_SPOOL)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@cache
def _statement(kind: type[Model]) -> tuple[list[Field], str]:
    """The columns that an event of this kind is written with, and the statement that writes it unless it is there."""
    # A number that the database counts is its own to give.
    fields = [field for field in kind._meta.concrete_fields if not isinstance(field, AutoField)]
    names = ", ".join(f'"{field.column}"' for field in fields)
    places = ", ".join(["%s"] * len(fields))
    # Names of our own columns only; ids are the one thing that two events could share.
    table = kind._meta.db_table
    return fields, f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608  # nosec B608  # our own columns


def _insert(event: Model, *, limited: bool) -> bool:
    """Insert an event unless it is there; whether it was not. One round trip, outside a transaction."""
    database = connections[DEFAULT_DB_ALIAS]
    fields, insert = _statement(type(event))
    values = [field.get_db_prep_save(getattr(event, field.attname), database) for field in fields]
    if database.in_atomic_block:
        with transaction.atomic(), database.cursor() as cursor:
            cursor.execute(insert, values)
            return bool(cursor.rowcount == 1)
    with database.cursor() as cursor:
        # Several statements in one message are one transaction, which the limits are for.
        cursor.execute(_limits + insert if limited else insert, values)
        return bool(cursor.rowcount == 1)


def _append(event: Model) -> None:
    # A line of its own even behind one that a power cut left torn.
    line = b"\n" + serializers.serialize("jsonl", [event]).strip().encode() + b"\n"
    path = _folder() / f"{WAITING}{socket.gethostname()}-{os.getpid()}"
    with _lock:
        while True:
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file).st_nlink and _is(path, file):
                    written = 0
                    while written < len(line):
                        written += os.write(file, line[written:])
                    os.fsync(file)
                    break
            finally:
                os.close(file)
        _sync(path.parent)
    SPOOLED.inc()


def _is(path: Path, file: int) -> bool:
    """Whether this open file still bears this name: whoever replays may have taken it away."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    """Names of files are on the disk too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _take(path: Path) -> None:
    with suppress(FileNotFoundError):
        file = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is(path, file):
                path.rename(path.with_name(f"{TAKEN}{uuid.uuid4().hex}"))
        finally:
            os.close(file)


def _lines(path: Path) -> list[bytes]:
    with suppress(FileNotFoundError):
        return [line for line in path.read_bytes().split(b"\n") if line.strip()]
    return []


def _replay_file(path: Path) -> int:
    events = [(line, _event(line)) for line in _lines(path)]
    named = {person for _, event in events if event is not None and (person := _person(event)) is not None}
    people = set(User.objects.filter(pk__in=named).values_list("pk", flat=True))
    brought = 0
    with transaction.atomic():
        for line, event in events:
            if event is None:
                _refuse(line)
                continue
            if _person(event) not in people:
                # Nobody, or somebody who was deleted since: their name stays.
                setattr(event, _person_field(event), None)
            try:
                brought += _insert(event, limited=False)
            except (DataError, IntegrityError) as error:
                logger.error("an event of the audit spool can never be written: %s", type(error).__name__)
                _refuse(line)
    path.unlink(missing_ok=True)
    REPLAYED.inc(brought)
    return brought


def _event(line: bytes) -> Model | None:
    """The event that a line holds; None where it holds none, or something of another kind."""
    try:
        event: Model = next(iter(serializers.deserialize("jsonl", line.decode()))).object
        _person_field(event)
    except (DeserializationError, UnicodeDecodeError, StopIteration):
        return None
    return event


def _person_field(event: Model) -> str:
    """The column of who did it. Raises StopIteration for what nobody did."""
    return next(field.attname for field in event._meta.concrete_fields if field.related_model is User)


def _person(event: Model) -> int | None:
    person: int | None = getattr(event, _person_field(event))
    return person


def _refuse(line: bytes) -> None:
    """Keep a line that can never become an event, for somebody to look at."""
    REFUSALS.inc()
    kept = os.open(_folder() / REFUSED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with open(kept, "ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _replay_beside() -> None:
    """Replay in a thread of its own where anything waits: the answer at hand is not to wait for others' events."""
    if any(one.name.startswith((WAITING, TAKEN)) for one in _folder().iterdir()):
        threading.Thread(target=_replay_quietly, name="audit-replay", daemon=True).start()


def _replay_quietly() -> None:
    if not _replaying.acquire(blocking=False):
        return
    try:
        replay()
    except (OperationalError, InterfaceError) as trouble:
        logger.warning("the audit spool waits: %s", type(trouble).__name__)
    finally:
        _replaying.release()
        connection.close()
