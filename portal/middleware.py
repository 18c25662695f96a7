"""What happens around every request: its id, and an honest answer when the database is away."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.problems import problem_response

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside requests."""

MAX_FORM_BYTES = 1024 * 1024

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


class BodyLimitMiddleware:
    """Refuses a form that is too large before anything of it is read, so that nobody fills the disk with one request.

    Curators' uploads may have MAX_BATCH_BYTES, every other form 1 MB. The API's parsers have limits of their own. Must
    stand after the session's middleware, and works before a view or the CSRF check reads the body.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > MAX_FORM_BYTES and not request.path.startswith("/api/"):
            uploads = request.path.startswith("/admin/ingestion/document/") and request.user.is_authenticated
            if not uploads or not request.user.is_staff or int(length) > settings.MAX_BATCH_BYTES:
                return render(request, "413.html", status=413)
        return self.get_response(request)


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
