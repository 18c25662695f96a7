"""Replicas in the portal: requests while the primary is away, positions of writes, and how each replica is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.http import HttpRequest, HttpResponse, UnreadablePostError

from portal.middleware import database_away
from search.metrics import ROUTES
from search.replicas import is_lost, primary, replicas, standing_in_for_primary
from search.walpositions import publish, reader

logger = logging.getLogger(__name__)

SEARCH_ADDRESS = "/api/v1/search/"
"""Where a POST asks for something and writes nothing."""

OPERATORS = ("/health", "/metrics")
"""Addresses that say how the primary is: nobody answers for it there."""

DESK = "/admin/"
"""Where people write, and are shown nothing that they could not go on with."""

QUERY_BYTES = 65536
"""Of a query in a body: a larger one is not read in advance, and not asked a second time."""

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))

GetResponse = Callable[[HttpRequest], HttpResponse]


class ReplicaMiddleware:
    """Publishes how far a reader has written, and has a replica answer readers while the primary is away.

    Who asks is read from the primary as long as it is there, and searches from replicas (search.replicas). Where it is
    not, a replica that has every acknowledged write answers whole requests that only read. Must stand before the
    session's middleware.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not replicas() or request.path.startswith(OPERATORS):
            return self.get_response(request)
        with reader(_credentials(request)):
            reads = _reads(request)
            if not primary().may_be_asked():
                # Nobody waits for what is known not to come.
                return (self._answered_by_replica(request) if reads else None) or database_away(request)
            response = self.get_response(request)
            if _failed_here() and response.status_code >= 500:
                primary().failed("a request failed")
                return (self._answered_by_replica(request) if reads else None) or response
            primary().answered()
            # Who comes back from the provider signs in by a GET, which may take roles and departments away.
            begins = settings.SESSION_COOKIE_NAME in response.cookies
            if begins or (request.method not in SAFE_METHODS and not reads):
                self._publish(request, response)
            return response

    @staticmethod
    def _publish(request: HttpRequest, response: HttpResponse) -> None:
        session = response.cookies.get(settings.SESSION_COOKIE_NAME)
        try:
            publish(_credentials(request), session.value if session else "")
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the position of a write was not published: %s", error)

    def _answered_by_replica(self, request: HttpRequest) -> HttpResponse | None:
        for replica in standing_in_for_primary():
            # Whom an attempt before this one found asking.
            request.__dict__.pop("_cached_user", None)
            with replica.standing_in() as ours:
                response = self.get_response(request)
                failed = response.status_code >= 500 and ours.errors_occurred
            if not failed:
                ROUTES.labels(replica.alias).inc()
                return response
            replica.met(RuntimeError("a request failed"))
        return None


@dataclass(frozen=True)
class ReplicaState:
    """How a replica is. Lags are those behind the primary; None where it does not answer, or the primary does not."""

    alias: str
    healthy: bool
    error: str = ""
    replaying: bool = False
    lag_seconds: float | None = None
    lag_bytes: int | None = None


def states() -> list[ReplicaState]:
    """Ask every replica how it is, over connections that are closed again."""
    position = None
    if primary().may_be_asked():
        try:
            position = _position_of_primary()
            primary().answered()
        except (DatabaseError, InterfaceError) as error:
            primary().failed(error)
        finally:
            connection.close()
    return [_state(one.alias, position) for one in replicas()]


def lag(alias: str) -> float:
    """How many seconds a replica is behind, 0 where it has all; infinite where it does not answer."""
    found = next(one for one in states() if one.alias == alias)
    return float("inf") if found.lag_seconds is None else found.lag_seconds


def _state(alias: str, position: int | None) -> ReplicaState:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT pg_is_in_recovery(), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,"
                " EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,"
                " CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END"
            )
            follows, replayed, seconds, paused = cursor.fetchone()
    except (DatabaseError, InterfaceError) as error:
        return ReplicaState(alias, healthy=False, error=str(error).strip())
    finally:
        connections[alias].close()
    if not follows:
        return ReplicaState(alias, healthy=False, error="it is no replica: it was promoted, or never followed")
    behind = None if position is None else max(0, position - replayed)
    lag_seconds = 0.0 if behind == 0 else seconds
    near = lag_seconds is None or lag_seconds <= settings.DATABASE_REPLICA_MAX_LAG_SECONDS
    return ReplicaState(
        alias,
        healthy=near and not paused,
        error="" if near and not paused else "replay is paused" if paused else f"{lag_seconds:.0f} s behind",
        replaying=not paused,
        lag_seconds=lag_seconds,
        lag_bytes=behind,
    )


def _position_of_primary() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
        (position,) = cursor.fetchone()
    return int(position)


def _failed_here() -> bool:
    """Whether the connection to the primary is what failed."""
    ours = connections[DEFAULT_DB_ALIAS]
    return ours.errors_occurred and is_lost(ours)


def _credentials(request: HttpRequest) -> str:
    """By what a reader is known before anybody asks who they are; empty for nobody."""
    return request.headers.get("Authorization", "") or request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")


def _reads(request: HttpRequest) -> bool:
    """Whether the request writes nothing that must be kept, so that a replica may answer it, or answer it again."""
    if request.method in SAFE_METHODS:
        return not request.path.startswith(DESK)
    length = request.META.get("CONTENT_LENGTH") or "0"
    if request.method != "POST" or request.path != SEARCH_ADDRESS or not length.isdigit() or int(length) > QUERY_BYTES:
        return False
    try:
        return bool(request.body) or True  # read now, so that it can be read again
    except (RequestDataTooBig, UnreadablePostError):
        return False
