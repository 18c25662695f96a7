"""The claims of people who came by single sign-on are read again every quarter of an hour, without asking them."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.sign_in import by_single_sign_on

RENEW_AT = "oidc_id_token_expiration"
"""Name in the session: from when on the claims are old (the library sets it), in seconds since 1970."""

FORM_INTERVALS = 4
"""A form about somebody's own account is still taken when the claims are this many intervals old, and the page that
follows it renews. Forms of the admin site are not: they change what others may see."""

GetResponse = Callable[[HttpRequest], HttpResponse]


class RenewalMiddleware:
    """Sends a page whose session is due through the provider and back; stands after Django's authentication.

    Only a page that a person opens can take that way. Other requests get one more interval; after that parts of a page
    make the whole page load again, and for everything else the person is nobody until then. So nothing is searched, and
    nothing done in the admin site, with claims that are older than two intervals, whatever a program does with a
    session; only forms about the person's own account are taken until they are FORM_INTERVALS old.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_old(request):
            return self.get_response(request)
        interval = settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS
        late = time.time() - float(request.session.get(RENEW_AT, 0))
        if _is_page(request):
            asked = urlencode({"renew": "1", "next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('single-sign-on')}?{asked}")
        if late < interval * (FORM_INTERVALS - 1 if _is_form(request) else 1):
            return self.get_response(request)
        if "HX-Request" in request.headers:
            return HttpResponse(headers={"HX-Refresh": "true"})
        request.user = AnonymousUser()
        return self.get_response(request)


def _is_old(request: HttpRequest) -> bool:
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    try:
        return (
            by_single_sign_on(request)
            and time.time() >= float(request.session.get(RENEW_AT, 0))
            and request.user.is_authenticated
            and not request.path.startswith((reverse("single-sign-on"), reverse("logout")))
        )
    except (OperationalError, InterfaceError):
        # The view meets the same error when it asks who this is, and answers with 503.
        return False


def _is_form(request: HttpRequest) -> bool:
    """Whether somebody sent a form about their own account."""
    return request.method == "POST" and request.path.startswith("/accounts/") and "HX-Request" not in request.headers


def _is_page(request: HttpRequest) -> bool:
    """Whether the browser opens a page, as against a part of one, a picture, or a program's request."""
    return (
        request.method in ("GET", "HEAD")
        and not request.path.startswith("/api/")
        and "HX-Request" not in request.headers
        and request.headers.get("Sec-Fetch-Dest", "document") == "document"
    )
