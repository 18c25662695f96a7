"""Searches are read from replicas: which one is fit to answer, and what happens where it fails.

While a search is read from a replica, that stands for the default database in this thread: no statement of the search
can miss it, and none can be answered by a database that was not found fit. Nothing may be written meanwhile; a replica
refuses it.
"""

from __future__ import annotations

import logging
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from search.metrics import ROUTES
from search.walpositions import at_primary, cluster, of_everybody, of_reader

logger = logging.getLogger(__name__)

FIRST_REST, LAST_REST = 1.0, 10.0
"""Seconds for which a database that failed is left alone: after the first failure, doubled by each further one."""

LAST_REST_OF_PRIMARY = 2.0
"""The same for the primary: nobody writes until it is found to be back."""

KNOCK_SECONDS = 0.25
"""How long the machine of a database that failed may take to open a connection, before it is asked anything."""

Answer = TypeVar("Answer")


class Server:
    """One database server as this process has found it: it rests after a failure, and is tried again."""

    def __init__(self, alias: str, weight: float = 0.0, *, last_rest: float = LAST_REST) -> None:
        self.alias = alias
        self.weight = weight
        self._last_rest = last_rest
        self._turn = threading.Lock()
        self._failures = 0
        self._rests_until = 0.0
        self._is_tried = False

    def may_be_asked(self) -> bool:
        """Whether to try it. After a failure and a rest it is knocked at first: that takes less than to connect."""
        if not self._failures:
            return True
        with self._turn:
            if time.monotonic() < self._rests_until:
                return False
            # One request tries it; the others go elsewhere meanwhile.
            self._rests_until = time.monotonic() + FIRST_REST
            self._is_tried = True
        if self._opens():
            return True
        self.failed("refuses connections")
        return False

    def failed(self, why: object) -> None:
        """It could not be reached: leave it alone for a while."""
        with self._turn:
            if self._failures and not self._is_tried:
                return  # Of many requests that meet the same failure the first one counts.
            rest = min(self._last_rest, FIRST_REST * 2.0**self._failures)
            self._failures = min(self._failures + 1, 10)
            self._rests_until = time.monotonic() + rest
            self._is_tried = False
        logger.warning("the database %s is left alone for %.0f s: %s", self.alias, rest, why)

    def answered(self) -> None:
        """It works."""
        if self._failures:
            with self._turn:
                self._failures, self._is_tried = 0, False
            logger.warning("the database %s answers again", self.alias)

    def _opens(self) -> bool:
        place = connections[self.alias].settings_dict
        host = str(place["HOST"])
        if not host or host.startswith("/") or "," in host:
            return True  # no single machine to knock at
        try:
            with socket.create_connection((host, int(place["PORT"] or 5432)), timeout=KNOCK_SECONDS):
                return True
        except OSError:
            return False


class Replica(Server):
    """A server that follows the primary."""

    def is_fit(self, position: int, *, primary: int | None = None) -> bool:
        """Whether it has replayed the primary's log up to this position, and follows it closely.

        `primary` is what the primary has on disk, if that is known. A server that is no replica any more, since it was
        promoted, or one of another cluster, is not fit: positions there are of another log. Database errors pass
        through.
        """
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                "SELECT pg_is_in_recovery(), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,"
                " EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,"
                " (SELECT system_identifier FROM pg_control_system())"
            )
            follows, replayed, seconds, identifier = cursor.fetchone()
        self.answered()
        if not follows or identifier != cluster() or replayed is None or replayed < position:
            return False
        return primary is None or replayed >= primary or (seconds or 0.0) <= settings.DATABASE_REPLICA_MAX_LAG_SECONDS

    @contextmanager
    def standing_in(self) -> Iterator[BaseDatabaseWrapper]:
        """Inside, this replica stands for the default database in this thread."""
        primary, ours = connections[DEFAULT_DB_ALIAS], connections[self.alias]
        connections[DEFAULT_DB_ALIAS] = ours
        try:
            yield ours
        finally:
            connections[DEFAULT_DB_ALIAS] = primary

    def met(self, error: Exception) -> None:
        """A statement failed: rest, unless the connection is as it was (a conflict with replay, a time-out)."""
        if is_lost(connections[self.alias]):
            # What is left of the connection is of no use to the next search of this thread.
            connections[self.alias].close()
            self.failed(error)
        else:
            logger.info("a search is asked again elsewhere, %s: %s", self.alias, error)


def is_lost(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection in which something failed is one no more."""
    return connection.connection is None or not connection.is_usable()


@cache
def replicas() -> tuple[Replica, ...]:
    """The replicas that the settings name."""
    return tuple(Replica(alias, weight) for alias, weight in settings.REPLICA_WEIGHTS.items())


@cache
def primary() -> Server:
    """The primary as this process has found it."""
    return Server(DEFAULT_DB_ALIAS, last_rest=LAST_REST_OF_PRIMARY)


def by_weight() -> Iterator[Replica]:
    """The replicas that may be asked, in the order of this search: each is first as often as its weight says.

    Whether one may is looked at when its turn comes: who tries a server that had failed must then ask it.
    """
    # Efraimidis and Spirakis 2006: the smallest of exponential times whose rates are the weights.
    drawn = [(-math.log(1.0 - random.random()) / one.weight, one) for one in replicas() if one.weight]  # noqa: S311  # nosec B311  # a draw, no secret
    for _, one in sorted(drawn, key=lambda pair: pair[0]):
        if one.may_be_asked():
            yield one


def reading(ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns, read from a replica that is fit for whoever reads, else from the primary.

    A replica that fails, or is behind, is passed over, and `ask` is called again elsewhere: it must write nothing. In a
    transaction it stays in there.
    """
    here = connections[DEFAULT_DB_ALIAS]
    if not replicas() or here.alias != DEFAULT_DB_ALIAS or here.in_atomic_block:
        return ask()
    at, own = at_primary(), of_reader()
    if own is not None:
        for replica in by_weight():
            try:
                if replica.is_fit(max(at.changed, own), primary=at.flushed):
                    with replica.standing_in():
                        answer = ask()
                    ROUTES.labels(replica.alias).inc()
                    return answer
            except (DatabaseError, InterfaceError) as error:
                replica.met(error)
    ROUTES.labels("primary").inc()
    return ask()


def standing_in_for_primary() -> Iterator[Replica]:
    """The replicas that may answer while the primary is away: they have replayed every write that was acknowledged.

    None where that position is not known: whoever may have been shut out in the meantime stays so.
    """
    for replica in by_weight():
        try:
            with replica.standing_in():
                cluster()  # which a process that never reached the primary learns here
                position = of_everybody()
            fit = position is not None and replica.is_fit(position)
        except (DatabaseError, InterfaceError) as error:
            replica.met(error)
            continue
        if fit:
            yield replica
        elif position is None:
            logger.warning("no replica stands in for the primary: the last acknowledged write is not known")
            return
        else:
            logger.warning("%s does not stand in for the primary: it lacks acknowledged writes", replica.alias)
