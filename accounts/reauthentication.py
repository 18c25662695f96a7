"""Sensitive pages ask people to prove again who they are: a session that was left open must not be enough for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

P = ParamSpec("P")

PROVEN_AT = "proven_at"
"""Name in the session: when the person last proved who they are, in seconds since 1970."""


def remember_proof(request: HttpRequest, at: float | None = None) -> None:
    """Note in the session that its person proved who they are, now or at that moment (seconds since 1970).

    A moment that is still to come, by a provider's wrong clock, counts as now.
    """
    now = time.time()
    request.session[PROVEN_AT] = now if at is None else min(at, now)


def recently_proven(request: HttpRequest) -> bool:
    """Whether this session's person proved who they are within the last REAUTHENTICATION_SECONDS."""
    if not request.user.is_authenticated:
        return False
    age = time.time() - float(request.session.get(PROVEN_AT, 0))
    return bool(age < settings.REAUTHENTICATION_SECONDS)


def local_address(request: HttpRequest, address: str) -> str:
    """The address if it is one of this portal, else nothing."""
    safe = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if safe else ""


def ask_for_proof(request: HttpRequest) -> HttpResponse:
    """Sends to the page that asks for the password, and from there back to the page or to the form."""
    back, resend = request.get_full_path(), ""
    if request.method not in ("GET", "HEAD"):
        came_from = urlsplit(local_address(request, request.headers.get("Referer", "")))
        back = came_from._replace(scheme="", netloc="", fragment="").geturl() or back
        resend = "1"
    address = f"{reverse('confirm')}?{urlencode({'next': back} | ({'resend': resend} if resend else {}))}"
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def proof_required(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Decorator of a view, or of a method that is one: without a recent proof it asks for one and comes back.

    A form that was sent meanwhile is not kept: it has to be sent again, and the page says so. Whether the person may
    use the view at all is the view's own matter, or that of a decorator outside this one.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request = next(one for one in args if isinstance(one, HttpRequest))
        return view(*args, **kwargs) if recently_proven(request) else ask_for_proof(request)

    return guarded


class ReauthenticationRequired:
    """For a ModelAdmin, named before it: adding, changing, deleting and actions need a recent proof.

    Forms are asked for as well as sent, so that nobody fills one in for nothing. Lists may be read without. Whoever
    has no permission is refused as ever, and is not asked first.
    """

    def changeform_view(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form of one, new or not."""
        # Who may only look cannot change anything.
        may = self.has_add_permission(request) or self.has_change_permission(request)
        if may and not recently_proven(request):
            return ask_for_proof(request)
        page: HttpResponse = super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]
        return page

    def delete_view(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page that asks whether to delete one."""
        if self.has_delete_permission(request) and not recently_proven(request):
            return ask_for_proof(request)
        page: HttpResponse = super().delete_view(request, *args, **kwargs)  # type: ignore[misc]
        return page

    def changelist_view(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list; what is sent from it are actions and edits."""
        if request.method == "POST" and self.has_view_or_change_permission(request) and not recently_proven(request):
            return ask_for_proof(request)
        page: HttpResponse = super().changelist_view(request, *args, **kwargs)  # type: ignore[misc]
        return page
