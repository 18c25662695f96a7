"""What happens around every request: its id, and an honest answer when the database is away."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.problems import problem_response

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside requests."""

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request an id, or keeps a well-formed one that came in, and sends it back as `X-Request-ID`."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        current = given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(current)
        request.request_id = current  # type: ignore[attr-defined]
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = current
        return response


class DatabaseAwayMiddleware:
    """Turns a lost database into 503, as a problem for machines and as a plain page for people."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to an `OperationalError` or `InterfaceError` of a view; other errors go their usual way."""
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        logger.exception("database away")
        if request.path.startswith("/api/"):
            return problem_response(503, "The database cannot be reached. Try again shortly.", retry_after=5)
        response = render(request, "503.html", status=503)
        response["Retry-After"] = "5"
        return response
