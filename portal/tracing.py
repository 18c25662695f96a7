"""The id of a request, carried along: into log lines, into the tasks that it sends, and into its SQL statements."""

from __future__ import annotations

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.conf import settings
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from redis import RedisError

from portal import queues

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered, or that sent the task which is being done; empty outside both."""

ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""Ids are written into SQL and into logs: nothing in them may have a meaning there."""

HEADER = "request_id"

EXPLAINED_SECONDS = 300.0
"""A slow statement is explained once in so long: the plan of each would double what a slow database has to do."""

Execute = Callable[..., Any]

_explained: dict[str, float] = {}
_tokens: dict[str, Token[str]] = {}


def new_id() -> str:
    """An id for a request or a task that brings none."""
    return uuid.uuid4().hex


@before_task_publish.connect
def _send_along(headers: dict[str, Any], **_: Any) -> None:
    headers.setdefault(queues.SENT_AT, time.time())
    if current := request_id.get():
        headers.setdefault(HEADER, current)


@task_prerun.connect
def _begin_task(task_id: str, task: Any, **_: Any) -> None:
    given = str(task.request.get(HEADER) or (task.request.headers or {}).get(HEADER) or "")
    _tokens[task_id] = request_id.set(given if ACCEPTABLE_ID.fullmatch(given) else task_id)
    try:
        queues.note_moved((task.request.delivery_info or {}).get("routing_key", ""))
    except RedisError as error:
        logger.warning("it is not noted that the queue moves: %s", error)


@task_postrun.connect
def _end_task(task_id: str, **_: Any) -> None:
    if token := _tokens.pop(task_id, None):
        request_id.reset(token)


@receiver(connection_created)
def _watch_statements(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Carry a statement out with the request's id in a comment at its end, and log it where it took too long."""
    current = request_id.get()
    commented = f"{sql} /*request_id='{current}'*/" if current and isinstance(sql, str) else sql
    started = time.perf_counter()
    answer = execute(commented, params, many, context)
    seconds = time.perf_counter() - started
    if settings.SLOW_QUERY_SECONDS and seconds >= settings.SLOW_QUERY_SECONDS and isinstance(sql, str):
        _tell_of(sql, None if many else params, seconds, context["connection"])
    return answer


def _tell_of(sql: str, params: Any, seconds: float, connection: Any) -> None:
    """Log a slow statement: a digest of its text, which has no values in it, its time, and the shape of its plan."""
    digest = hashlib.sha256(sql.encode()).hexdigest()[:16]
    logger.warning(
        "slow statement",
        extra={"statement": digest, "seconds": round(seconds, 3), "plan": _shape_once(digest, sql, params, connection)},
    )


def _shape_once(digest: str, sql: str, params: Any, connection: Any) -> str:
    now = time.monotonic()
    if not sql.lstrip(" \n(").upper().startswith(("SELECT", "WITH")):
        return "not explained: it is no query"
    if now - _explained.get(digest, float("-inf")) < EXPLAINED_SECONDS:
        return "told before"
    _explained[digest] = now
    # A cursor of the driver's own: what is asked here is neither timed nor explained.
    with connection.connection.cursor() as cursor:
        try:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            return shape_of(cursor.fetchone()[0][0]["Plan"])
        except (DatabaseError, connection.Database.Error) as error:
            return f"not explained: {type(error).__name__}"


def shape_of(plan: dict[str, Any]) -> str:
    """What a plan does in which order, with the names of tables and indexes, and without any condition or value."""
    names = [str(plan[name]) for name in ("Relation Name", "Index Name") if name in plan]
    inner = ", ".join(shape_of(one) for one in plan.get("Plans", ()))
    return " ".join([str(plan["Node Type"]), *names]) + (f"({inner})" if inner else "")
