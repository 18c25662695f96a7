"""Who am I: `/api/v1/me/`, and the renewal of tokens."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import AuthenticationFailed
from rest_framework_simplejwt.serializers import TokenRefreshSerializer

from accounts.clearance import viewer_for
from accounts.models import User


class RefreshSerializer(TokenRefreshSerializer):
    """A refresh token for a new access token, for people who are still here."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """The new token. Raises AuthenticationFailed for disabled people and, just so, for deleted ones."""
        try:
            return dict(super().validate(attrs))
        except User.DoesNotExist:
            raise AuthenticationFailed(self.error_messages["no_active_account"], "no_active_account") from None


class MeSerializer(serializers.Serializer[object]):
    """The signed-in person and what they may see, as it stands now."""

    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    clearance = serializers.IntegerField(help_text="The highest clearance that this person can see now.")
    departments = serializers.ListField(child=serializers.CharField())
    campus = serializers.CharField(allow_null=True)
    librarian = serializers.BooleanField()


class MeView(APIView):
    """The signed-in person."""

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Role, clearance, departments and campus, read from the database at this request."""
        user = cast(User, request.user)  # signed in: the default permission
        viewer = viewer_for(user)
        body = {
            "username": user.username,
            "name": user.get_full_name(),
            "role": viewer.role,
            "clearance": viewer.effective_clearance,
            "departments": list(user.departments.values_list("name", flat=True)),
            "campus": user.campus.name if user.campus else None,
            "librarian": viewer.librarian,
        }
        return Response(body)
