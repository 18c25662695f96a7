"""Positions in the primary's write-ahead log: up to where a replica must have replayed it before it answers somebody.

Two kinds of them. That of the last change of what searches answer is read from the primary with each search: whoever
made the change, and however, the database itself noted it (ingestion.corpusversion). Those of the last writes, of one
reader and of everybody, are published in the cache before a write is acknowledged (docs/decisions/0033).
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from django.db import connection

from search._store import Away, store

logger = logging.getLogger(__name__)

READER_SECONDS = 3600.0
"""How long a reader's position is kept: a replica that is behind by so much answers nobody anyway."""

EVERYBODY_SECONDS = 30 * 86400.0
"""How long that of everybody is kept. Where it is not known, replicas do not stand in for the primary."""

_reader: ContextVar[str] = ContextVar("wal_reader", default="")


@dataclass(frozen=True)
class AtPrimary:
    """Positions, in bytes: what the primary has on disk, and where it was when what searches answer had changed last.

    The second may be before or after the first.
    """

    flushed: int
    changed: int


class _Changes:
    """The last change of what searches answer, as this process found it.

    A position is read together with the version of the corpus, after the snapshot that shows the version: whatever the
    version includes was committed before it. It is kept until the version is another one.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._mark, self._position = "", 0

    def noted(self, mark: str, now: int) -> tuple[int, bool]:
        """The position of the change that led to this version, and whether it was not known before."""
        with self._turn:
            # A log that is shorter than it was is that of a new primary, which some of the old one's end never reached.
            is_new = mark != self._mark or now < self._position
            if is_new:
                self._mark, self._position = mark, now
            return self._position, is_new


_changes = _Changes()


@contextmanager
def reader(credentials: str) -> Iterator[None]:
    """Inside, whoever comes with these credentials (a session, a token; empty: nobody's) is the one who reads."""
    token = _reader.set(_key(credentials) if credentials else "")
    try:
        yield
    finally:
        _reader.reset(token)


def at_primary() -> AtPrimary:
    """Ask the primary where it is. Database errors pass through."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) || ' ' || COALESCE(bit_xor(token), 0),"
            " pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,"
            " pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint FROM ingestion_corpuschange"
        )
        mark, now, flushed = cursor.fetchone()
    changed, is_new = _changes.noted(mark, now)
    if is_new:
        _raise(_everybody(), changed, EVERYBODY_SECONDS)
    return AtPrimary(flushed, changed)


def publish(*credentials: str) -> None:
    """What was written up to now, by a reader with any of these credentials, is what they and everybody build on.

    Called after a write, before it is acknowledged. Database errors pass through; without the cache nobody is told, and
    nobody relies on it either.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
        (written,) = cursor.fetchone()
    _raise(_everybody(), written, EVERYBODY_SECONDS)
    for one in filter(None, credentials):
        _raise(_key(one), written, READER_SECONDS)


@cache
def cluster() -> int:
    """Which database cluster this process reads: the same at the primary and its replicas, and at no other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        (identifier,) = cursor.fetchone()
    return int(identifier)


def of_reader() -> int | None:
    """The position of the last write of whoever reads (0: none lately); None where the cache cannot tell."""
    try:
        return store().highest(_reader.get()) if _reader.get() else 0
    except Away:
        return None


def of_everybody() -> int | None:
    """The position of the last write of all that was acknowledged; None, also, where none was ever published."""
    try:
        return store().highest_at_last(_everybody()) or None
    except Away:
        return None


def _everybody() -> str:
    # Positions of another cluster, as before a restore, say nothing of this one.
    return f"wal:everybody:{cluster()}"


def _key(credentials: str) -> str:
    return f"wal:{hashlib.sha256(credentials.encode()).hexdigest()}"


def _raise(key: str, position: int, seconds: float) -> None:
    try:
        store().raise_to(key, position, seconds)
    except Away:
        logger.warning("a position in the log was not published: the cache is away")
