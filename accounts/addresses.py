"""Where a request comes from, as far as it can be known."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The address of whoever sent the request; empty when there is none.

    Behind TRUSTED_PROXIES proxies it is what the outermost of them noted in X-Forwarded-For. What stands before that
    was claimed by the client and is not believed; without proxies the whole header is not.
    """
    given = str(request.META.get("REMOTE_ADDR") or "")
    if settings.TRUSTED_PROXIES:
        passed = [one.strip() for one in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
        if len(passed) >= settings.TRUSTED_PROXIES:
            given = passed[-settings.TRUSTED_PROXIES]
    try:
        return str(ip_address(given))
    except ValueError:
        return ""
