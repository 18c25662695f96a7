"""Who am I: `/api/v1/me/`; and the tokens that programs sign in with."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenViewBase

from accounts import tokens
from accounts.arrival import viewer_of
from accounts.audit import note
from accounts.metrics import SIGN_INS
from accounts.models import Campus, Department, User
from accounts.parsing import BoundedJSONParser


class NotSignedIn(AuthenticationFailed):
    """401 for a wrong name, a wrong password, a disabled person and a service account alike."""

    def __init__(self) -> None:
        # As simplejwt's own was.
        super().__init__({"detail": "No active account found with the given credentials", "code": "no_active_account"})


def _http(request: Request) -> HttpRequest:
    """Django's own request: what is noted on it reaches the middleware, which notes on the API's wrapper do not."""
    return request._request


class ObtainSerializer(serializers.Serializer[object]):
    """A name and a password for a pair of tokens."""

    username = serializers.CharField(write_only=True)
    password = serializers.CharField(write_only=True, trim_whitespace=False, style={"input_type": "password"})
    access = serializers.CharField(read_only=True)
    refresh = serializers.CharField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """The tokens of a new grant. Raises NotSignedIn."""
        request = _http(self.context["request"])
        user = authenticate(request, username=attrs["username"], password=attrs["password"])
        if not isinstance(user, User) or user.is_service:
            raise NotSignedIn
        # Not the signal of signing in on a page, which begins a session.
        update_last_login(User, user)
        token = tokens.GrantToken.for_user(user)
        note("signed_in", actor=user, subject=user.username, request=request, by="token")
        SIGN_INS.labels("succeeded").inc()
        return {"access": str(token.access_token), "refresh": str(token)}


class RefreshSerializer(serializers.Serializer[object]):
    """A refresh token for a new pair of tokens."""

    refresh = serializers.CharField()
    access = serializers.CharField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """The new tokens; the old refresh token is used up. Raises TokenError and InvalidToken."""
        token = tokens.rotate(attrs["refresh"], _http(self.context["request"]))
        return {"access": str(token.access_token), "refresh": str(token)}


class RevokeSerializer(serializers.Serializer[object]):
    """A refresh token whose grant is given back."""

    refresh = serializers.CharField(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """Nothing. Raises TokenError and InvalidToken."""
        tokens.take_back(attrs["refresh"], _http(self.context["request"]))
        return {}


class TokenView(TokenViewBase):
    """A pair of tokens for a name and a password."""

    parser_classes = [BoundedJSONParser]
    serializer_class = ObtainSerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Sign in. The access token lasts 8 hours, the refresh token 7 days."""
        answer: Response = super().post(request, *args, **kwargs)
        return answer


class TokenRefreshView(TokenViewBase):
    """New tokens for a refresh token, which can be used once."""

    parser_classes = [BoundedJSONParser]
    serializer_class = RefreshSerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A new access token and the next refresh token. One that was used before ends all tokens of its sign-in."""
        answer: Response = super().post(request, *args, **kwargs)
        return answer


class TokenRevokeView(TokenViewBase):
    """Sign out: the refresh token, those that came after it, and the access tokens made from them hold no longer."""

    parser_classes = [BoundedJSONParser]
    serializer_class = RevokeSerializer

    @extend_schema(responses={200: {"type": "object"}})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take the tokens of one sign-in back, from the next request on."""
        answer: Response = super().post(request, *args, **kwargs)
        return answer


class MeSerializer(serializers.Serializer[object]):
    """The signed-in person and what they may see, as it stands now."""

    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    clearance = serializers.IntegerField(help_text="The highest clearance that this person can see now.")
    departments = serializers.ListField(child=serializers.CharField())
    campus = serializers.CharField(allow_null=True)
    librarian = serializers.BooleanField()
    curates = serializers.ListField(
        child=serializers.CharField(),
        help_text="The departments whose documents this person uploads and edits; administrators do so for all.",
    )
    admitted = serializers.BooleanField(help_text="Whether the portal is open to them, while it is introduced.")
    phase = serializers.CharField(help_text="The phase of its introduction that admits them; empty without one.")


class MeView(APIView):
    """The signed-in person."""

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Role, clearance, departments and campus, read from the database at this request."""
        user = cast(User, request.user)  # signed in: the default permission
        viewer = viewer_of(request)
        departments = list(Department.objects.filter(pk__in=viewer.departments).values_list("pk", "name"))
        body = {
            "username": user.username,
            "name": user.get_full_name(),
            "role": viewer.role,
            "clearance": viewer.effective_clearance,
            "departments": [name for _pk, name in departments],
            "campus": Campus.objects.filter(pk=viewer.campus_id or 0).values_list("name", flat=True).first(),
            "librarian": viewer.librarian,
            "curates": sorted(name for pk, name in departments if pk in viewer.curated),
            "admitted": viewer.admitted,
            "phase": viewer.phase,
        }
        return Response(body)
