"""From where the request comes that is being answered, for trails that are written far below the views."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from accounts.addresses import client_address

SESSION_DIGITS = 32
"""Hexadecimal digits of a session's digest: 128 bits, so that no two sessions share one."""

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


@dataclass(frozen=True)
class Circumstances:
    """Who is signed in, from which address, in which session; all empty outside requests."""

    user_id: int | None = None
    user_name: str = ""
    address: str = ""
    session: str = ""


class CircumstancesMiddleware:
    """Keeps the request at hand while it is answered. Must stand after the middleware of signing in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


def circumstances() -> Circumstances:
    """Those of the request that this thread is answering."""
    request = _request.get()
    if request is None:
        return Circumstances()
    user = getattr(request, "user", None)  # the API sets it too, once it knows who holds the token
    if user is not None and not user.is_authenticated:
        user = None
    return Circumstances(
        user_id=user.pk if user is not None else None,
        user_name=user.get_username() if user is not None else "",
        address=client_address(request),
        session=session_digest(request),
    )


def session_digest(request: HttpRequest) -> str:
    """What stands for the session in the trail: the same for all of it, and of no use to whoever reads it there."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    return salted_hmac("accounts.circumstances", key, algorithm="sha256").hexdigest()[:SESSION_DIGITS] if key else ""
