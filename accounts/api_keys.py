"""API keys: what another system signs in with. A key is shown once, when it is made; here is only its digest."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiKey, Scope, User

logger = logging.getLogger(__name__)

SCHEME = "Api-Key"
"""What stands before the key in the header `Authorization`."""

DEFAULT_LIFETIME = timedelta(days=365)
LONGEST_LIFETIME = timedelta(days=731)
"""Two years, one of which may be a leap year."""

SECRET_BYTES = 32
"""256 bits: nobody guesses it, so that a fast digest is enough to keep it by."""

USE_NOTED_EVERY = timedelta(minutes=1)
"""The last use is noted at most so often: a busy key would otherwise write at each request."""

_KEY = re.compile(r"clst_(?P<prefix>[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NO_DIGEST = "0" * 64


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def issue(
    user: User, *, name: str, scopes: list[str], expires_at: datetime, created_by: User | None
) -> tuple[ApiKey, str]:
    """A new key of this service account, and its text, which nothing can show again.

    Raises ValueError for a person's account, for scopes that do not exist or none, and for an end in the past or
    further away than LONGEST_LIFETIME.
    """
    now = timezone.now()
    if not user.is_service:
        raise ValueError("Only service accounts have API keys.")
    if not scopes or not set(scopes) <= set(Scope.values):
        raise ValueError("A key has one scope at least, of those that there are.")
    if not now < expires_at <= now + LONGEST_LIFETIME:
        raise ValueError("A key ends in the future, within two years.")
    prefix = secrets.token_hex(6)
    key = f"clst_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    kept = ApiKey.objects.create(
        name=name,
        user=user,
        prefix=prefix,
        digest=_digest(key),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=created_by,
    )
    return kept, key


def key_of(text: str) -> ApiKey | None:
    """The key with this text, if it holds now: not revoked, not expired, of a service account that is open.

    Whatever is wrong, the same work is done.
    """
    found = _KEY.fullmatch(text)
    kept = ApiKey.objects.select_related("user").filter(prefix=found["prefix"] if found else "").first()
    if not constant_time_compare(kept.digest if kept else _NO_DIGEST, _digest(text)) or kept is None:
        return None
    holds = kept.revoked_at is None and kept.expires_at > timezone.now() and kept.user.is_active
    return kept if holds and kept.user.is_service else None


def _note_use(key: ApiKey) -> None:
    """Note the last use. A database that cannot be written to fails no request for that."""
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < USE_NOTED_EVERY:
        return
    unnoted = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    try:
        with transaction.atomic():
            ApiKey.objects.filter(unnoted, pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the use of an API key was not noted: %s", type(error).__name__)


def revoke(key: ApiKey) -> bool:
    """Take the key back, from the next request on. False when it was revoked already."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()))


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key clst_…`. `request.auth` is the key, whose scopes the permissions read."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """The service account and its key; None where the header is another's. Raises AuthenticationFailed."""
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != SCHEME.lower():
            return None
        key = key_of(text.strip())
        if key is None:
            raise AuthenticationFailed("This API key is not valid: it is unknown, out of date, or was revoked.")
        _note_use(key)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 offers."""
        return f'{SCHEME} realm="api"'


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the API's description names it."""

    target_class = "accounts.api_keys.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A header, since OpenAPI has no kind of its own for it."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": f"`{SCHEME} clst_…`, for service accounts",
        }
