"""Who am I: `/api/v1/me/`."""

from __future__ import annotations

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.clearance import viewer_for
from accounts.models import User


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
