"""Log lines: one JSON object each, so that nothing that a user sent can forge a second line.

Whoever logs uses `logging` or `structlog`, as they like; both end here. A line says when, how bad, who and what, in
whose request, and what was given besides (`extra`, or structlog's keywords) under a name in EXTRAS.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest

Line = MutableMapping[str, Any]

EXTRAS = ("statement", "seconds", "plan", "method", "kind", "view", "status")
"""What a line may say besides. All else that libraries hang on their records stays out: it may name people."""

_SECRETS = (
    # A name and a password in an address.
    (re.compile(r"(?<=://)[^\s/@:]{0,200}:[^\s/@]{0,500}(?=@)"), "***"),
    (re.compile(r"(?i)\b(bearer|basic|api-key|token)( |=|: ?)[\w.~+/=-]{8,}"), r"\1\2***"),
    (re.compile(r"(?i)\b(password|passwd|secret|sessionid|csrftoken)(=|: ?)\S+"), r"\1\2***"),
    # PostgreSQL names the values that a constraint refused, such as a person's name or address.
    (re.compile(r"(?m)^(DETAIL|CONTEXT): .*$"), r"\1: (left out)"),
    # Of so many characters at most: a long path is not gone through from each of them to its end.
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63}){1,8}"), "(an e-mail address)"),
)
"""What no line may hold, whoever wrote it, and what stands in its place."""


class RequestIdFilter(logging.Filter):
    """Adds the id of the request, or of the task, to each line."""

    def filter(self, record: logging.LogRecord) -> bool:
        from portal.tracing import request_id

        # Django writes of a refused request when its answer has left the middleware already.
        record.request_id = request_id.get() or getattr(getattr(record, "request", None), "request_id", "")
        return True


class SampleFilter(logging.Filter):
    """Lets through a share of what some loggers say below WARNING; of a request either all lines or none."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        super().__init__()
        self._shares = dict(shares)

    def filter(self, record: logging.LogRecord) -> bool:
        share = self._share(record.name)
        if share >= 1.0 or record.levelno >= logging.WARNING:
            return True
        request_id = getattr(record, "request_id", "")
        if not request_id:
            return random.random() < share  # noqa: S311  # nosec B311  # no secret
        digest = hashlib.sha256(request_id.encode()).digest()
        return int.from_bytes(digest[:4]) < share * 2**32

    def _share(self, name: str) -> float:
        """That of the logger, or of the nearest one above it that is named."""
        while name and name not in self._shares:
            name = name.rpartition(".")[0]
        return self._shares.get(name, 1.0)


def shares_from(text: str) -> dict[str, float]:
    """What LOG_SAMPLE says: `celery=0.1,ingestion=0.5`. Raises ValueError."""
    return {name: float(share) for name, share in _pairs(text, "LOG_SAMPLE")}


def levels_from(text: str) -> dict[str, str]:
    """What LOG_LEVELS says: `search=DEBUG,celery=WARNING`. Raises ValueError."""
    return {name: level.upper() for name, level in _pairs(text, "LOG_LEVELS")}


def _pairs(text: str, setting: str) -> list[tuple[str, str]]:
    pairs = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = one.partition("=")
        if not equals:
            raise ValueError(f"{setting} has {one!r}: write NAME=VALUE, separated by commas.")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _refusal(record: logging.LogRecord) -> bool:
    """Whether the line is about a request that was refused as it should be: that is no fault, and has no traceback."""
    return record.name == "django.request" and getattr(record, "status_code", 500) < 500


def _ordered(_: Any, __: str, given: Line) -> Line:
    """When, how bad, who, what, in whose request, and what else there is; the same order in every line."""
    record: logging.LogRecord = given["_record"]
    line: Line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": str(given["event"]),
    }
    if current := getattr(record, "request_id", ""):
        line["request_id"] = current
    for name in EXTRAS:
        value = given.get(name, getattr(record, name, None))
        if isinstance(value, str | int | float):
            line[name] = value
    if given.get("exc_info") and not _refusal(record):
        line["exc_info"] = given["exc_info"]
    return line


def without_secrets(text: str) -> str:
    """The text, with what no log may hold taken out."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _discreet(_: Any, __: str, line: Line) -> Line:
    """Nothing secret in what is said, and the exception under its name."""
    if "exception" in line:
        line["traceback"] = without_secrets(line.pop("exception"))
    line["event"] = without_secrets(line["event"])
    return line


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Time, level, logger, event, request id, what else was given, and the traceback of a fault."""

    def __init__(self) -> None:
        super().__init__(
            processors=[_ordered, structlog.processors.format_exc_info, _discreet, structlog.processors.JSONRenderer()]
        )


def configure() -> None:
    """Have what is logged by structlog go the way of all else."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


requests = structlog.stdlib.get_logger("portal.requests")


def note_request(request: HttpRequest, kind: str, view: str, status: int, seconds: float) -> None:
    """A line about a request that failed or took too long, and about a share of all others (LOG_REQUESTS).

    It names the view and not the path, which may hold what somebody asked for.
    """
    failed, slow = status >= 500, seconds >= settings.SLOW_REQUEST_SECONDS
    if failed or slow or random.random() < settings.LOG_REQUESTS:  # noqa: S311  # nosec B311  # no secret
        say = requests.warning if failed or slow else requests.info
        # What is none of these may be anything that somebody typed.
        method = request.method if request.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
        say("request", method=method, kind=kind, view=view, status=status, seconds=round(seconds, 4))
