"""How many requests a minute somebody may make, by role (DESIGN, section 2).

Who is signed in is counted as a person, whether by session, token or key; everybody else by their address. Over all
of them stands a ceiling for each address. What is counted where and why: docs/decisions/0010-throttles.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from prometheus_client import Counter
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.addresses import client_address
from accounts.clearance import ANONYMOUS_ROLE, Role
from accounts.counters import counters

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from rest_framework.views import APIView

    from accounts.models import User

REQUESTS_A_MINUTE: dict[str, int] = {
    ANONYMOUS_ROLE: 20,
    Role.STUDENT: 30,
    Role.STAFF: 60,
    Role.ACADEMIC: 100,
    Role.ADMIN: 200,
}

PAGES_TIMES = 3
"""A browser asks several times a question (as somebody types, and for each document opened), so pages may be this
many times as many; they are counted apart from the API."""

WRONG_CREDENTIALS_A_MINUTE = 10 * REQUESTS_A_MINUTE[ANONYMOUS_ROLE]
"""How many tokens and keys that do not hold one address may send. Nobody guesses 256 bits: this bounds what refusing
them costs. It is not less, because systems of a whole campus may send theirs from one address."""

SIGN_INS_TIMES = 6
"""Signing in and proving who one is take two requests or three, and a class does it at once behind one address; each
costs the digest of a password, or a session that is kept. They are counted apart from all else."""

IPV6_SITE = 64
"""Length of the prefix that one household or office has: whoever has one address of it has them all."""

COUNTED = "counted_for_the_api"
"""Name on the request: it has been counted."""

REFUSED = Counter("requests_throttled_total", "Requests refused because there were too many.", ["counter"])


@dataclass(frozen=True)
class Refusal:
    """Too many requests: of how many a minute, and in how many whole seconds the next one will be let through."""

    limit: int
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """What tells a program when to come again."""
        return {
            "Retry-After": str(self.retry_after),
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(self.retry_after),
        }


class TooMany(Throttled):
    """429, with its headers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.retry_after, f"Too many requests: {refusal.limit} a minute are let through.")
        self.headers = refusal.headers


def address_of(request: HttpRequest) -> str:
    """Whose counter a request without a person is counted in: its IPv4 address, or the site of its IPv6 address.

    All requests that come without any address (over a Unix socket) share one.
    """
    given = client_address(request)
    return site_of(given) if given else "unknown"


def site_of(given: str) -> str:
    """An IPv4 address as it is, of an IPv6 address its network (`2001:db8::/64`). ValueError for what is none."""
    address = ip_address(given)
    if not isinstance(address, IPv6Address):
        return given
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((address, IPV6_SITE), strict=False))


def _scaled(a_minute: int) -> int:
    return max(1, int(a_minute * settings.THROTTLE_FACTOR))


def _take(counter: str, whose: str, a_minute: int, requests: int = 1) -> Refusal | None:
    limit = _scaled(a_minute)
    retry_after = counters().take(counter, whose, a_minute=limit, requests=requests)
    if retry_after is None:
        return None
    REFUSED.labels(counter).inc()
    return Refusal(limit, retry_after)


def _spent(counter: str, request: HttpRequest, a_minute: int) -> Refusal | None:
    limit = _scaled(a_minute)
    retry_after = counters().spent(counter, f"address-{address_of(request)}", a_minute=limit)
    if retry_after is None:
        return None
    REFUSED.labels(counter).inc()
    return Refusal(limit, retry_after)


def count_request(
    request: HttpRequest, user: User | AnonymousUser, *, counter: str, times: int = 1, requests: int = 1
) -> Refusal | None:
    """Count a request against its person or address, and against its address' ceiling; None when both have room.

    The own limit comes first, so that what it refuses takes nothing from the others at the same address. One that is
    to be answered like several counts as so many `requests`; `times` is on the limit.
    """
    if not settings.THROTTLE_FACTOR:
        return None
    address = address_of(request)
    if user.is_authenticated:
        own = _take(counter, f"person-{user.pk}", REQUESTS_A_MINUTE[user.role] * times, requests)
    else:
        own = _take(counter, f"address-{address}", REQUESTS_A_MINUTE[ANONYMOUS_ROLE] * times, requests)
    return own or _take("ceiling", f"address-{address}", settings.ADDRESS_REQUESTS_A_MINUTE, requests)


def refused_unasked(request: HttpRequest) -> Refusal | None:
    """Whether a request to the API is refused before anybody asks who sent it, so that it costs no statement.

    It is where its address is at its ceiling, and, with a token or a key, where the address sent too many wrong ones.
    Counts nothing.
    """
    if not settings.THROTTLE_FACTOR:
        return None
    refusal = _spent("ceiling", request, settings.ADDRESS_REQUESTS_A_MINUTE)
    if refusal is None and "Authorization" in request.headers:
        refusal = _spent("credentials", request, WRONG_CREDENTIALS_A_MINUTE)
    return refusal


def count_wrong_credentials(request: HttpRequest) -> None:
    """Count, against its address, a request whose token or key did not hold."""
    if settings.THROTTLE_FACTOR:
        whose = f"address-{address_of(request)}"
        counters().take("credentials", whose, a_minute=_scaled(WRONG_CREDENTIALS_A_MINUTE))


def count_api_request(request: Request, user: User | AnonymousUser) -> None:
    """Count a request to the API, once, as soon as it is known whose it is. Raises TooMany, which knows the headers.

    Before it is asked whether they may do it, so that what they may not do is counted too.
    """
    of_request: dict[str, Any] = request._request.__dict__
    if not of_request.get(COUNTED):
        of_request[COUNTED] = True
        if refusal := count_request(request, user, counter="api"):
            raise TooMany(refusal)


def count_further(request: Request, requests: int) -> None:
    """Count that a request, which has been counted as one, asks as much as so many more. Raises TooMany."""
    if requests and (refusal := count_request(request, request.user, counter="api", requests=requests)):
        raise TooMany(refusal)


class RoleThrottle(BaseThrottle):
    """The API's, for views that ask neither who it is nor whether they may; the others have counted already."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True; raises TooMany."""
        count_api_request(request, request.user)
        return True


def _too_many(request: HttpRequest, refusal: Refusal, fragment: str) -> HttpResponse:
    """429 as a page, or as the part of one that htmx asked for."""
    template = fragment if fragment and request.headers.get("HX-Request") else "429.html"
    response = render(request, template, {"retry_after": refusal.retry_after}, status=429)
    for name, value in refusal.headers.items():
        response[name] = value
    return response


def limited(
    *,
    fragment: str = "",
    counts: Callable[[HttpRequest], bool] = lambda request: True,
    counter: str = "pages",
    times: int = PAGES_TIMES,
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Limits a page. `counts` says which of its requests count; `fragment` is shown to htmx in place of the page.

    Pages with the same `counter` are counted together; `times` is on the requests that each role may make.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def limited_view(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if counts(request) and (refusal := count_request(request, request.user, counter=counter, times=times)):
                return _too_many(request, refusal, fragment)
            return view(request, *args, **kwargs)

        return limited_view

    return decorate


def is_sent(request: HttpRequest) -> bool:
    """Whether this is a form that was sent, not a page that is read."""
    return request.method == "POST"
