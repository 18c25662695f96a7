"""Guessing passwords is slow: failed sign-ins are counted in the database, which all workers share (django-axes)."""

from __future__ import annotations

import math
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, cast

from axes.backends import AxesStandaloneBackend
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_credentials
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, QuerySet, Sum
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled

from accounts.addresses import client_address
from accounts.audit import note
from accounts.metrics import SIGN_INS
from accounts.models import User
from accounts.throttling import site_of

LONGEST_NAME = 150
"""As long as a user name can be: whoever tries a longer one tries nobody's."""

NOWHERE = str(ip_address(0))
"""Stands for all clients without an address, so that they share one count instead of having none."""


def counted_address(request: HttpRequest) -> str:
    """Where a sign-in is counted: at its IPv4 address, or at the first one of the site of its IPv6 address."""
    given = client_address(request)
    return _first_of_site(given) if given else NOWHERE


def _first_of_site(address: str) -> str:
    return site_of(address).partition("/")[0]


def digest_of(username: str) -> str:
    """As what a name is kept, whether somebody has it or not: it may be a password in the wrong field."""
    return salted_hmac("accounts.lockout", username, algorithm="sha256").hexdigest()


def counted_name(_request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """What axes keeps, compares and logs as the name of these credentials."""
    name = (credentials or {}).get("username")
    return None if name is None else digest_of(name)


@receiver(pre_save, sender=AccessAttempt)
def _keep_no_form(instance: AccessAttempt, **_: Any) -> None:
    """Axes keeps the whole form and the whole query, and knows only one field of a password by its name."""
    instance.get_data = instance.post_data = ""


def _of_the_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


class LockoutBackend(AxesStandaloneBackend):
    """Stands before all others: whoever failed too often is not even tried.

    Calls without a request come from inside and are not counted; those without a user name are the provider's matter.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Never anybody. Raises PermissionDenied, and for the API Throttled, where this name is locked."""
        if request is None or username is None:
            return
        credentials = get_credentials(username=username)
        if _of_the_api(request) and not AxesProxyHandler.is_allowed(request, credentials):
            SIGN_INS.labels("locked").inc()
            raise Throttled(wait=seconds_locked(request, username), detail="Too many failed sign-ins.")
        super().authenticate(request, username=username, password=password, **kwargs)


class Attempts(AxesDatabaseHandler):
    """What axes counts: a name from an address, and an address over all names, known or not.

    Two counts, since one person tries many passwords, and a program one password with many names.
    """

    def user_login_failed(
        self, sender: str, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count one failure."""
        name = credentials.get("username")
        if request is None or not name or len(name) > LONGEST_NAME:
            return
        already = self.is_locked(request, credentials)
        super().user_login_failed(sender, credentials, request, **kwargs)
        if not already and self.is_locked(request, credentials):
            known = User.objects.filter(username=name).values_list("username", flat=True).first()
            note("locked_out", actor=None, subject=known or "", request=request)
        if _of_the_api(request):
            # The API's answers are its own: this failure is a 401 still, the next attempt a 429.
            request.axes_locked_out = False  # type: ignore[attr-defined]

    def reset_attempts(
        self, *, ip_address: str | None = None, username: str | None = None, ip_or_username: bool = False
    ) -> int:
        """Forget failures, for operators (`axes_reset_username`, `axes_reset_ip`); answers of how many counts."""
        forgotten: int = super().reset_attempts(
            ip_address=_first_of_site(ip_address) if ip_address else None,
            username=digest_of(username) if username else None,
            ip_or_username=ip_or_username,
        )
        return forgotten

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether this name, or whatever comes from this address, has to wait."""
        return locking_attempts(counted_address(request), (credentials or {}).get("username") or "") is not None


def locking_attempts(address: str, username: str) -> QuerySet[AccessAttempt] | None:
    """The failures because of which this name has to wait at this address; None if it need not."""
    recent = AccessAttempt.objects.filter(
        ip_address=address, attempt_time__gte=timezone.now() - settings.AXES_COOLOFF_TIME
    )
    limits = (
        (recent.filter(username=digest_of(username)), settings.AXES_FAILURE_LIMIT),
        (recent, settings.SIGN_IN_ATTEMPTS_PER_ADDRESS),
    )
    for attempts, limit in limits:
        if (attempts.aggregate(failures=Sum("failures_since_start"))["failures"] or 0) >= limit:
            return cast("QuerySet[AccessAttempt]", attempts)
    return None


def seconds_locked(request: HttpRequest, username: str) -> int:
    """For how long this name has to wait at most, from now on; at least 1."""
    attempts = locking_attempts(counted_address(request), username)
    last = attempts.aggregate(last=Max("attempt_time"))["last"] if attempts is not None else None
    if last is None:
        return 1
    left: timedelta = last + settings.AXES_COOLOFF_TIME - timezone.now()
    return max(1, math.ceil(left.total_seconds()))


def forget_failures(request: HttpRequest, username: str) -> None:
    """Whoever knew the password in the end starts at none again; what the address did with other names stays."""
    AccessAttempt.objects.filter(username=digest_of(username), ip_address=counted_address(request)).delete()


def locked_page(request: HttpRequest, _response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """429 with the time to wait. The same for names that nobody has."""
    seconds = seconds_locked(request, (credentials or {}).get("username") or "")
    page = render(
        request,
        "accounts/locked.html",
        {"minutes": math.ceil(seconds / 60), "at": timezone.now() + timedelta(seconds=seconds)},
        status=429,
    )
    page["Retry-After"] = str(seconds)
    add_never_cache_headers(page)
    return page
