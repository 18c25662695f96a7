"""Which person here somebody at the provider is: by issuer and subject, never by e-mail address or user name."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.claims import address_is_unverified, given_now
from accounts.models import User

LONGEST_IDENTITY = 400
"""As much as User.external_id holds; a subject has at most 255 characters (OpenID Connect Core, section 2)."""

LONGEST_BASE = 140
"""Leaves room for a number after the name."""


def external_id(claims: dict[str, Any]) -> str:
    """Issuer and subject in one. An issuer has no blank, so that two different pairs never look alike."""
    return f"{claims['iss']} {claims['sub']}"


def person_of(claims: dict[str, Any]) -> User | None:
    """The person whom checked claims name, with their name and address brought up to date.

    Made at their first sign-in; None where they are new and no rule of the table gives them a role. An account that
    was made here is never taken over, however alike its name. Call it inside a transaction.
    """
    identity = external_id(claims)
    user = User.objects.select_for_update().filter(external_id=identity).first()
    if user is None:
        if not given_now(claims).role:
            return None
        user = _make(identity, _wished_name(claims))
    user.first_name = _text(claims.get("given_name"), 150)
    user.last_name = _text(claims.get("family_name"), 150)
    if not address_is_unverified(claims):
        user.email = _text(claims.get("email"), 254)
    user.save(update_fields=["first_name", "last_name", "email"])
    return user


def _make(identity: str, wished: str) -> User:
    """A new person with the wished user name, or with a number after it where somebody has it already."""
    for number in itertools.count(1):
        name = wished if number == 1 else f"{wished}-{number}"
        if User.objects.filter(username=name).exists():
            continue
        try:
            with transaction.atomic():
                return User.objects.create_user(name, external_id=identity)
        except IntegrityError:
            # In this moment the same person came in by another window, or somebody else took the name.
            if known := User.objects.select_for_update().filter(external_id=identity).first():
                return known
    raise AssertionError("there is always a next number")


def _wished_name(claims: dict[str, Any]) -> str:
    """A user name from the claims, of the characters that user names may have."""
    candidates = (claims.get(settings.OIDC_USERNAME_CLAIM), str(claims.get("email") or "").partition("@")[0])
    for candidate in candidates:
        name = re.sub(r"[^\w.@+-]+", "-", unicodedata.normalize("NFKC", str(candidate or ""))).strip("-")
        if name:
            return name[:LONGEST_BASE]
    return "member"


def _text(value: Any, length: int) -> str:
    return value.replace("\0", "")[:length] if isinstance(value, str) else ""
