"""Signing in with a password, what is noted about every sign-in, and the end of all of them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.audit import note
from accounts.lockout import forget_failures
from accounts.metrics import SIGN_INS
from accounts.models import User
from accounts.reauthentication import remember_proof

SINGLE_SIGN_ON = "accounts.oidc.SingleSignOnBackend"
"""What a session says that began at the university's provider."""

SIGNED_IN_AT = "signed_in_at"
"""Name in the session: when it began, in seconds since 1970."""


class PasswordBackend(ModelBackend):
    """People with a password of their own. Service accounts have keys, people of the provider sign in there."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The person with this name and password, if they may sign in with one."""
        user = super().authenticate(request, username, password, **kwargs)
        if not isinstance(user, User) or user.external_id:
            return None
        if request is not None:
            forget_failures(request, user.username)
        return user

    def user_can_authenticate(self, user: Any) -> bool:
        """Neither closed accounts nor those of other systems; also asked at each request of a session."""
        return super().user_can_authenticate(user) and not user.is_service


def by_single_sign_on(request: HttpRequest) -> bool:
    """Whether this session began at the university's provider."""
    return bool(request.session.get(BACKEND_SESSION_KEY) == SINGLE_SIGN_ON)


def sign_out_everywhere(user: User, *, actor: User | AnonymousUser | None, request: HttpRequest | None) -> None:
    """End every session and every token of this person, from the next request on. `actor` is who wants it.

    API keys stay: they are revoked one by one.
    """
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(sign_in_epoch=F("sign_in_epoch") + 1)
        note("signed_out_everywhere", actor=actor, subject=user.username, request=request)
    user.refresh_from_db(fields=["sign_in_epoch"])


def limit_session(request: HttpRequest) -> None:
    """End a session that is older than SESSION_COOKIE_AGE, or was not used for SESSION_IDLE_SECONDS."""
    session, now = request.session, time.time()
    began = float(session.get(SIGNED_IN_AT, 0))
    used = float(session.get("used_at", began))
    if now - began > settings.SESSION_COOKIE_AGE or now - used > settings.SESSION_IDLE_SECONDS:
        session.flush()
        request.user = AnonymousUser()
    elif now - used > settings.SESSION_IDLE_SECONDS / 20:
        # Written at once, not after the view: until then another window may have changed the session.
        session["used_at"] = now
        session.save()
        session.modified = False


def _unavailable(error: Exception) -> NoReturn:
    raise error


class SessionLimitMiddleware:
    """Sessions end in time, whatever a browser does with its cookies. Stands after Django's authentication."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        try:
            if settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session:
                limit_session(request)
        except (OperationalError, InterfaceError) as error:
            # Whoever asks for the user meets the same error, where it becomes a 503: no session goes unchecked.
            request.user = SimpleLazyObject(partial(_unavailable, error))  # type: ignore[assignment]
        return self.get_response(request)


@receiver(user_logged_in)
def _signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    request.session[SIGNED_IN_AT] = time.time()
    # It may have been nobody's until now, and short.
    request.session.set_expiry(None)
    single = by_single_sign_on(request)
    if not single:
        # The provider says itself when it last asked (accounts.oidc).
        remember_proof(request)
    note("signed_in", actor=user, subject=user.username, request=request, by="provider" if single else "password")
    SIGN_INS.labels("succeeded").inc()


@receiver(user_logged_out)
def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        note("signed_out", actor=user, subject=user.username, request=request)


@receiver(user_login_failed)
def _sign_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A failure at the page or the API. A name that nobody has is not kept: it may be a password in the wrong field.

    What was not even tried, because of the lock, is counted but not noted: nobody fills the trail by knocking on.
    """
    name = credentials.get("username")
    if request is None or name is None:
        return
    locked = bool(getattr(request, "axes_locked_out", False))
    SIGN_INS.labels("locked" if locked else "failed").inc()
    if locked and getattr(request, "axes_failures_since_start", None) is None:
        return
    known = User.objects.filter(username=name[:150]).values_list("username", flat=True).first()
    note("sign_in_failed", actor=None, subject=known or "", request=request, locked=locked)
