"""Where the university's OpenID provider answers, found out at first use."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

KEPT_SECONDS = 3600.0
"""How long what the provider said of itself is believed without asking again."""

PAUSE_SECONDS = 5.0
"""After a failure nobody asks again for so long, so that waiting for a dead provider does not use up the threads."""


class ProviderAway(Exception):
    """The provider does not answer, or not with what OpenID Connect Discovery asks for."""


@dataclass(frozen=True)
class Provider:
    """Addresses of the provider; `userinfo` and `end_session` are empty where it has none."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str = ""
    end_session: str = ""


_known: dict[tuple[str, ...], tuple[Provider, float]] = {}
_failed: dict[tuple[str, ...], float] = {}
_lock = threading.Lock()


def is_confidential(address: str) -> bool:
    """Whether what is sent there is read by nobody else: HTTPS, or this very machine."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http":
        return False
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def provider() -> Provider:
    """The provider of the settings. Addresses that are not set there come from its discovery document.

    Kept in this process for KEPT_SECONDS, and longer while the provider is away. Raises ProviderAway.
    """
    given = _given()
    key = tuple(given)
    with _lock:
        known = _known.get(key)
        if known and time.monotonic() - known[1] < KEPT_SECONDS:
            return known[0]
        if time.monotonic() - _failed.get(key, -PAUSE_SECONDS) < PAUSE_SECONDS:
            if known:
                return known[0]
            raise ProviderAway("it did not answer a moment ago")
    try:
        found = _complete(*given)
    except ProviderAway:
        with _lock:
            _failed[key] = time.monotonic()
        if known:
            return known[0]
        raise
    with _lock:
        _known[key] = (found, time.monotonic())
    return found


def _given() -> tuple[str, str, str, str, str, str]:
    return (
        settings.OIDC_ISSUER,
        settings.OIDC_OP_AUTHORIZATION_ENDPOINT,
        settings.OIDC_OP_TOKEN_ENDPOINT,
        settings.OIDC_OP_JWKS_ENDPOINT,
        settings.OIDC_OP_USER_ENDPOINT,
        settings.OIDC_OP_LOGOUT_ENDPOINT,
    )


def _complete(issuer: str, authorization: str, token: str, keys: str, userinfo: str, end_session: str) -> Provider:
    if authorization and token and keys:
        return Provider(issuer, authorization, token, keys, userinfo, end_session)
    said = _discovered(issuer)
    found = Provider(
        issuer,
        authorization or str(said.get("authorization_endpoint") or ""),
        token or str(said.get("token_endpoint") or ""),
        keys or str(said.get("jwks_uri") or ""),
        userinfo or str(said.get("userinfo_endpoint") or ""),
        end_session or str(said.get("end_session_endpoint") or ""),
    )
    needed = (found.authorization, found.token, found.keys)
    optional = tuple(address for address in (found.userinfo, found.end_session) if address)
    if not all(is_confidential(address) for address in needed + optional):
        raise ProviderAway("its discovery document names an address that is missing or not HTTPS")
    return found


def _discovered(issuer: str) -> dict[str, Any]:
    """The discovery document, which must speak for this issuer and no other."""
    try:
        answer = requests.get(
            f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            timeout=settings.OIDC_TIMEOUT,
            allow_redirects=False,
        )
        said = answer.json() if answer.status_code == requests.codes.ok else None
    except requests.RequestException as error:
        raise ProviderAway(f"its discovery document cannot be read ({type(error).__name__})") from error
    if not isinstance(said, dict) or said.get("issuer") != issuer:
        raise ProviderAway("its discovery document is missing or speaks for another issuer")
    return said
