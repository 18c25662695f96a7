"""What happens around every request: its id, who may keep the answer, and honesty when a store is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control
from whitenoise.middleware import WhiteNoiseFileResponse

from accounts.throttling import TooMany, count_wrong_credentials, refused_unasked
from ingestion.storage import StorageAway
from portal.logs import note_request
from portal.metrics.requests import count_request, kind_and_view
from portal.problems import problem_response, signed_in
from portal.tracing import ACCEPTABLE_ID, new_id, request_id

logger = logging.getLogger(__name__)

MAX_FORM_BYTES = 1024 * 1024

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request an id, or keeps a well-formed one that came in, and sends it back as `X-Request-ID`.

    It stands above all others, and so it counts and times every request, however it is answered.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        current = given if ACCEPTABLE_ID.fullmatch(given) else new_id()
        token = request_id.set(current)
        request.request_id = current  # type: ignore[attr-defined]
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            seconds = time.perf_counter() - started
            kind, view = kind_and_view(request)
            count_request(kind, view, response.status_code, seconds)
            note_request(request, kind, view, response.status_code, seconds)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = current
        return response


class PrivacyMiddleware:
    """Keeps answers to whom they were given: no cache stores one, and no page of another origin loads it.

    Every answer may depend on who asks, so all of them are meant, errors included; only static files are the same for
    everybody and are kept.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        if not isinstance(response, WhiteNoiseFileResponse):
            patch_cache_control(response, private=True, no_store=True)
        return response


class TransportMiddleware:
    """Refuses requests that should never have been sent like this.

    The API by plain HTTP where TLS is expected: a redirect would work, and hide that a token travels in the clear. And
    TRACE, which nothing here answers. Must stand after Django's SecurityMiddleware, which redirects pages.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "TRACE":
            return problem_response(405, "This method is not allowed.")
        if settings.SECURE_SSL_REDIRECT and request.path.startswith("/api/") and not request.is_secure():
            return problem_response(403, "Use https. If this request held a token, it was sent in the clear: end it.")
        return self.get_response(request)


class ApiLimitMiddleware:
    """Refuses requests to the API that are too many, before anything is asked of the database for them.

    Tokens and keys that do not hold are counted here, since nobody is known by them whom the API could count. Must
    stand before the session's middleware.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/api/"):
            return self.get_response(request)
        if refusal := refused_unasked(request):
            response = problem_response(429, str(TooMany(refusal).detail))
            for name, value in refusal.headers.items():
                response[name] = value
            return response
        response = self.get_response(request)
        if response.status_code == 401 and "Authorization" in request.headers:
            count_wrong_credentials(request)
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


class ButtonOnlyMiddleware:
    """Gives Django's empty 405 a page that says so; not below /api/. Must stand after the middleware of signing in."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        empty = isinstance(response, HttpResponseNotAllowed) and not response.content
        if empty and not request.path.startswith("/api/"):
            response.content = render_to_string("405.html", {"signed_in": signed_in(request)}, request)
        return response


class DatabaseAwayMiddleware:
    """Turns a lost database, or lost originals, into 503: a problem for machines and a plain page for people."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to a view's `OperationalError`, `InterfaceError` or `StorageAway`; others go their usual way."""
        if isinstance(exception, StorageAway):
            logger.exception("originals away")
            response = render(request, "originals_away.html", {"signed_in": signed_in(request)}, status=503)
            response["Retry-After"] = "60"
            return response
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        logger.exception("database away")
        return database_away(request)


def database_away(request: HttpRequest) -> HttpResponse:
    """503 without the database: a problem for machines and a plain page for people."""
    if request.path.startswith("/api/"):
        return problem_response(503, "The database cannot be reached. Try again shortly.", retry_after=5)
    response = render(request, "503.html", status=503)
    response["Retry-After"] = "5"
    return response
