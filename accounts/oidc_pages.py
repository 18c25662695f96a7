"""The way to the university's provider and back, and the pages for when it does not work out."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.contrib import auth, messages
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from accounts.audit import note
from accounts.metrics import SIGN_INS
from accounts.oidc import SignInFailed
from accounts.provider import ProviderAway, provider
from accounts.reauthentication import remember_proof
from accounts.sign_in import by_single_sign_on
from accounts.throttling import SIGN_INS_TIMES, limited

logger = logging.getLogger(__name__)

STATUS = {
    "broken": HTTPStatus.BAD_REQUEST,
    "refused": HTTPStatus.FORBIDDEN,
    "closed": HTTPStatus.FORBIDDEN,
    "cancelled": HTTPStatus.FORBIDDEN,
    "away": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""How a sign-in that failed is answered, by its reason."""

HAS_TO_ASK = ("login_required", "interaction_required", "consent_required", "account_selection_required")
"""What a provider answers that was to ask nobody, and had to."""

NOBODYS_SESSION_SECONDS = 10 * 60
"""How long a session is kept that only waits for somebody to come back from the provider."""

ASKS_NOBODY = {"prompt": "none"}
"""Renews if the person is still signed in at the provider, and fails if they are not."""

ASKS_ANEW = {"prompt": "login", "max_age": "0"}
"""Makes the provider ask for the password, even of somebody who is signed in there, and say when it did."""


class _Start(OIDCAuthenticationRequestView):
    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        """The library's, but for the address that the provider tells."""
        if attr == "OIDC_OP_AUTHORIZATION_ENDPOINT":
            return provider().authorization
        return OIDCAuthenticationRequestView.get_settings(attr, *args)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        """Whether the provider is to ask for the password, or to ask for nothing."""
        if "prove" in request.GET:
            return ASKS_ANEW
        return ASKS_NOBODY if "renew" in request.GET else {}


class _Callback(OIDCAuthenticationCallbackView):
    def login_success(self) -> HttpResponse:
        """Signed in, or renewed. The provider says when it last asked for the password; nobody else knows."""
        page: HttpResponse = super().login_success()
        at = getattr(self.request, "auth_time", None)
        if isinstance(at, int | float) and not isinstance(at, bool):
            remember_proof(self.request, at)
        return page

    def login_failure(self) -> HttpResponse:
        """The library refuses without a reason where the session or the answer is not what it should be."""
        raise SignInFailed("broken", "the answer is none to a question of this session")


@never_cache
@require_GET
@limited(counter="sign-ins", times=SIGN_INS_TIMES)
def single_sign_on(request: HttpRequest) -> HttpResponse:
    """Off to the provider. `next` is a page of this portal; `prove` makes it ask for the password again."""
    _require_single_sign_on()
    try:
        page: HttpResponse = _Start.as_view()(request)
    except ProviderAway as error:
        return _failed(request, "away", error)
    if not request.user.is_authenticated:
        request.session.set_expiry(NOBODYS_SESSION_SECONDS)
    return page


@never_cache
@require_GET
def single_sign_on_callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider, with a code or with an error."""
    _require_single_sign_on()
    back = request.session.get("oidc_login_next") or ""
    known = request.GET.get("state") in (request.session.get("oidc_states") or {})
    issuer = request.GET.get("iss", settings.OIDC_ISSUER)
    if not known or issuer != settings.OIDC_ISSUER:
        # Nothing of this session's is touched: anybody can send somebody here.
        return _failed(request, "broken", SignInFailed("broken", "it answers no question of this session"), noted=False)
    if request.GET.get("error"):
        return _error(request, request.GET["error"], back)
    try:
        page: HttpResponse = _Callback.as_view()(request)
    except SignInFailed as error:
        if error.reason in ("refused", "closed"):
            auth.logout(request)
        return _failed(request, error.reason, error)
    except SuspiciousOperation as error:
        return _failed(request, "broken", error)
    except requests.HTTPError as error:
        ours = error.response is not None and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        return _failed(request, "broken" if ours else "away", error)
    except (ProviderAway, requests.RequestException) as error:
        return _failed(request, "away", error)
    return page


def signed_out_at_provider(request: HttpRequest) -> str:
    """Where to go on to so that the session at the provider ends too; empty where it has no such address.

    Ask before the session here ends.
    """
    try:
        address = provider().end_session
    except ProviderAway:
        return ""
    if not address:
        return ""
    asked = {"client_id": settings.OIDC_RP_CLIENT_ID, "post_logout_redirect_uri": _home(request)}
    if token := request.session.get("oidc_id_token"):
        asked["id_token_hint"] = token
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def _home(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("login"))


def _require_single_sign_on() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404


def _error(request: HttpRequest, error: str, back: str) -> HttpResponse:
    """The provider did not let the person in. Whose session it no longer confirms is signed out here too."""
    request.session["oidc_states"].pop(request.GET["state"])
    request.session.modified = True
    if by_single_sign_on(request):
        auth.logout(request)
        if error in HAS_TO_ASK:
            messages.info(request, _("Your sign-in at the university has ended. Sign in again to go on."))
            return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': back})}" if back else reverse("login"))
    away = error in ("server_error", "temporarily_unavailable")
    return _failed(request, "away" if away else "cancelled", SignInFailed("cancelled", "the provider said no"))


def _failed(request: HttpRequest, reason: str, error: Exception, *, noted: bool = True) -> HttpResponse:
    """The page that says what is wrong and what to do. The log says why, without anything of the person's.

    What anybody could send without having asked here is not noted, so that nobody fills the trail.
    """
    why = str(error) if isinstance(error, SignInFailed | ProviderAway) else type(error).__name__
    logger.warning("single sign-on failed: %s (%s)", reason, why)
    SIGN_INS.labels({"cancelled": "failed", "broken": "failed", "closed": "refused"}.get(reason, reason)).inc()
    if noted:
        note("sign_in_failed", actor=None, request=request, by="provider", reason=reason)
    return render(request, "accounts/single_sign_on_failed.html", {"reason": reason}, status=STATUS[reason])
