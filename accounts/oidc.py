"""Single sign-on with the university's OpenID provider: the code flow, and what the library leaves to its users.

mozilla-django-oidc brings state, nonce, PKCE and the exchange of the code. Here are added: issuer, audience and dates
of the ID token, the subject of the userinfo answer, identity by issuer and subject alone, and rights from the claims.
"""

from __future__ import annotations

import logging
from typing import Any

import jwt
import requests
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from accounts.claims import apply_claims
from accounts.identity import LONGEST_IDENTITY, external_id, person_of
from accounts.models import User
from accounts.provider import provider

logger = logging.getLogger(__name__)

CLOCK_SKEW_SECONDS = 60
"""How much the provider's clock may differ from ours."""

OF_THE_TOKEN = ("iss", "sub", "aud", "azp", "exp", "iat", "nonce", "auth_time", "acr", "amr")
"""Claims about the sign-in itself: only the signed token may make them."""


class SignInFailed(Exception):
    """This person is not let in; `reason` is one of `broken`, `away`, `refused`, `closed`."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class SingleSignOnBackend(OIDCAuthenticationBackend):
    """Takes the provider's answer for what it is, after checking all of it."""

    def __init__(self) -> None:
        # Not the library's own, which asks for every address at each request of each session.
        self.UserModel = User

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> User | None:
        """Whoever the code of this callback belongs to, with the rights that their claims give now.

        Raises SignInFailed, ProviderAway, SuspiciousOperation, and RequestException where the provider does not answer.
        """
        if request is None or "nonce" not in kwargs:
            return None
        found = provider()
        self.OIDC_OP_TOKEN_ENDPOINT = found.token
        self.OIDC_OP_USER_ENDPOINT = found.userinfo
        self.OIDC_OP_JWKS_ENDPOINT = found.keys
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET
        user: User | None = super().authenticate(request, **kwargs)
        return user

    def get_user(self, user_id: Any) -> Any:
        """The person of a session; nobody once the account is closed, which the library does not ask."""
        return ModelBackend.get_user(self, user_id)

    def user_can_authenticate(self, user: Any) -> bool:
        """Neither closed accounts nor those of other systems."""
        return super().user_can_authenticate(user) and not user.is_service

    def verify_token(self, token: Any, **kwargs: Any) -> dict[str, Any]:
        """The claims of an ID token: signed by the provider, for us, not expired, and asked for by this session."""
        claims = self._signed(token, required=["exp", "iat", "iss", "aud", "sub"])
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if (several or "azp" in claims) and claims.get("azp") != settings.OIDC_RP_CLIENT_ID:
            raise SignInFailed("broken", "the ID token was made for another client")
        nonce = kwargs.get("nonce")
        if not nonce or not constant_time_compare(str(claims.get("nonce", "")), nonce):
            raise SignInFailed("broken", "the ID token has another nonce")
        return claims

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the provider tells about the person beyond the ID token; nothing where it has no such address."""
        if not self.OIDC_OP_USER_ENDPOINT:
            return {}
        answer = requests.get(
            self.OIDC_OP_USER_ENDPOINT,
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=settings.OIDC_TIMEOUT,
            allow_redirects=False,
        )
        answer.raise_for_status()
        if answer.headers.get("content-type", "").lower().startswith("application/jwt"):
            told = self._signed(answer.text, required=["iss", "aud", "sub"])
        else:
            told = answer.json()
        if not isinstance(told, dict) or not constant_time_compare(str(told.get("sub", "")), str(payload["sub"])):
            raise SignInFailed("broken", "the userinfo answer is about somebody else")
        return told

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User:
        """The person whom the checked token names, made at the first sign-in, with the rights of their claims."""
        told = self.get_userinfo(access_token, id_token, payload)
        claims = {**payload, **{name: value for name, value in told.items() if name not in OF_THE_TOKEN}}
        if len(external_id(claims)) > LONGEST_IDENTITY or "\0" in external_id(claims):
            raise SignInFailed("broken", "the subject is longer than the standard allows")
        with transaction.atomic():
            user = person_of(claims)
            if user is not None and self.user_can_authenticate(user):
                given = apply_claims(user, claims, request=self.request)
        if user is None or not self.user_can_authenticate(user):
            reason = "refused" if user is None else "closed"
            raise SignInFailed(reason, "no rule gives a role" if user is None else "the account is closed")
        if not given.role:
            raise SignInFailed("refused", "no rule gives a role any more")
        self.request.auth_time = payload.get("auth_time")
        return User.objects.get(pk=user.pk)

    def _signed(self, token: Any, *, required: list[str]) -> dict[str, Any]:
        """The claims of a token that the provider signed for us. Raises SignInFailed."""
        algorithm = settings.OIDC_RP_SIGN_ALGO
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(kid),
                algorithms=[algorithm],
                issuer=settings.OIDC_ISSUER,
                audience=settings.OIDC_RP_CLIENT_ID,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": required},
            )
        except (jwt.PyJWTError, SuspiciousOperation) as error:
            raise SignInFailed("broken", f"the token does not hold ({type(error).__name__})") from error
        return claims

    def _key(self, kid: str | None) -> jwt.PyJWK:
        """The provider's key with this id, read anew at each sign-in, so that a key it withdrew holds no longer."""
        answer = requests.get(self.OIDC_OP_JWKS_ENDPOINT, timeout=settings.OIDC_TIMEOUT, allow_redirects=False)
        answer.raise_for_status()
        for key in answer.json().get("keys", []):
            fits = key.get("use", "sig") == "sig" and key.get("alg", settings.OIDC_RP_SIGN_ALGO) == (
                settings.OIDC_RP_SIGN_ALGO
            )
            if fits and (kid is None or key.get("kid") == kid):
                return jwt.PyJWK(key, algorithm=settings.OIDC_RP_SIGN_ALGO)
        raise SignInFailed("broken", "the provider has no such key")
