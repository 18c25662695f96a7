"""Tokens for integrators: who signs in with a name and a password gets a short-lived access token and a refresh token.

A token says who somebody is and nothing about what they may do: role, departments and groups are read at the request.
All tokens that descend from one sign-in are a *grant*, and it is the grant that is taken back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction
from django.db.models import Exists
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts.audit import note
from accounts.models import RevokedGrant, User

GRANT = "grant"
"""Claim: the id of the first refresh token, which all that descend from it carry."""

EPOCH = "epoch"
"""Claim: `User.sign_in_epoch` at the sign-in; a token without it is of epoch 0."""

BEGAN = "began"
"""Claim: when the grant was made, in seconds since 1970."""

LONGEST_GRANT = timedelta(days=30)
"""However often it is refreshed: then somebody has to sign in again (OWASP ASVS 5.0, 10.4.8)."""

PASSWORD = api_settings.REVOKE_TOKEN_CLAIM
"""Claim: a digest of the stored password's digest; a changed password ends every token."""

REVOCATION_MARGIN = timedelta(hours=1)
"""A revocation is kept so much longer than a token that was made in the same moment can last."""

NO_LONGER = "This token is no longer valid. Sign in again."


class GrantToken(RefreshToken):
    """A refresh token that knows its grant. The database keeps its id only, never the token: it is a secret."""

    @classmethod
    def for_user(cls, user: User) -> GrantToken:
        """The first token of a new grant."""
        token = cls()
        token["user_id"] = str(user.pk)
        token[PASSWORD] = get_md5_hash_password(user.password)
        token[GRANT] = token["jti"]
        token[EPOCH] = user.sign_in_epoch
        token[BEGAN] = token["iat"]
        token._outstanding()
        return token

    def verify(self) -> None:
        """As of any token. Whether it was used before is asked when it is used, in one step with marking it so."""
        Token.verify(self)

    @property
    def grant(self) -> str:
        """The grant that it belongs to."""
        return str(self.get(GRANT, self["jti"]))

    def use_up(self) -> bool:
        """Mark it as used. False when it was already, also when two requests use it in the same moment."""
        _, used_now = BlacklistedToken.objects.get_or_create(token=self._outstanding())
        return bool(used_now)

    def succeed(self) -> None:
        """Become the next refresh token of the same grant."""
        self[GRANT] = self.grant
        self[BEGAN] = self.get(BEGAN, self["iat"])
        self.set_jti()
        self.set_exp()
        self.set_iat()
        self._outstanding()

    def _outstanding(self) -> OutstandingToken:
        return OutstandingToken.objects.get_or_create(
            jti=self["jti"],
            defaults={
                "user_id": int(self["user_id"]),
                "token": "",  # nosec B105  # the token itself is not kept
                "created_at": self.current_time,
                "expires_at": datetime.fromtimestamp(self["exp"], tz=timezone.get_default_timezone()),
            },
        )[0]


def holder_of(token: Token) -> User:
    """Whose token this is, as the database knows them now.

    Raises InvalidToken for people who are gone or disabled, for service accounts, for a grant that was taken back, a
    password that was changed, and an epoch that is over. The token's signature and dates were checked before.
    """
    grant = str(token.get(GRANT, token["jti"]))
    people = User.objects.filter(~Exists(RevokedGrant.objects.filter(grant=grant)), is_active=True, is_service=False)
    try:
        user = people.get(pk=token["user_id"])
    except (User.DoesNotExist, KeyError, ValueError, TypeError):
        raise InvalidToken(NO_LONGER) from None
    same_password = token.get(PASSWORD) == get_md5_hash_password(user.password)
    if not same_password or token.get(EPOCH, 0) != user.sign_in_epoch:
        raise InvalidToken(NO_LONGER)
    return user


def rotate(text: str, request: HttpRequest) -> GrantToken:
    """The successor of a refresh token, which is used up by this.

    A token that comes a second time was stolen, before or after its owner used it: its whole grant is taken back (RFC
    9700, 4.14.2). Raises TokenError and InvalidToken.
    """
    token = GrantToken(cast(Any, text))
    user = holder_of(token)
    began = datetime.fromtimestamp(token.get(BEGAN, token["iat"]), tz=timezone.get_default_timezone())
    if token.current_time - began > LONGEST_GRANT:
        raise TokenError(NO_LONGER)
    with transaction.atomic():
        fresh = token.use_up()
        if fresh:
            token.succeed()
    if not fresh:
        revoke(token.grant, user, request, reason="refresh token used twice")
        raise TokenError(NO_LONGER)
    return token


def take_back(text: str, request: HttpRequest) -> None:
    """Revoke the grant of this refresh token, whether or not it was used meanwhile. Raises TokenError, InvalidToken."""
    token = GrantToken(cast(Any, text))
    user = User.objects.filter(pk=token["user_id"]).first()
    if user is None:
        raise InvalidToken(NO_LONGER)
    revoke(token.grant, user, request, reason="asked for")


def revoke(grant: str, user: User, request: HttpRequest | None, *, reason: str) -> None:
    """Take a grant back: none of its tokens holds from the next request on. Doing it again changes nothing."""
    lasts = max(GrantToken.lifetime, AccessToken.lifetime)
    with transaction.atomic():
        _, revoked_now = RevokedGrant.objects.get_or_create(
            grant=grant, defaults={"user": user, "expires_at": timezone.now() + lasts + REVOCATION_MARGIN}
        )
        if revoked_now:
            note("grant_revoked", actor=user, subject=user.username, request=request, reason=reason)


def purge_expired() -> int:
    """Forget tokens and revocations that nothing depends on any more; how many there were."""
    now = timezone.now()
    tokens: int = OutstandingToken.objects.filter(expires_at__lte=now).delete()[0]
    revocations, _ = RevokedGrant.objects.filter(expires_at__lte=now).delete()
    return tokens + revocations


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer …` with an access token that was signed here (HS256, and nothing else)."""

    def get_user(self, validated_token: Token) -> User:
        """Whose token it is. Raises InvalidToken."""
        return holder_of(validated_token)

    def authenticate_header(self, request: Request) -> str:
        """What a 401 offers: it stands for all ways to sign in, of which this is the first."""
        return f'{super().authenticate_header(request)}, Api-Key realm="{self.www_authenticate_realm}"'


class TokenScheme(SimpleJWTScheme):
    """How the API's description names it."""

    target_class = "accounts.tokens.TokenAuthentication"
    name = "accessToken"
