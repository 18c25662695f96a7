"""Who may use which part of the API at all; what they see there is the access rule's matter."""

from __future__ import annotations

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.clearance import viewer_for


class Refused(PermissionDenied):
    """403 that names what would be required and what the person has."""

    def __init__(self, detail: str, *, required: object, current: object) -> None:
        super().__init__(detail)
        self.members = {"required": required, "current": current}


class MaySearch(BasePermission):
    """Everybody where searching is public, else whoever is signed in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return settings.PUBLIC_SEARCH or request.user.is_authenticated


class ReadOrCurate(MaySearch):
    """Reading as in `MaySearch`; writing for librarians and administrators."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.method in SAFE_METHODS:
            return super().has_permission(request, view)
        if not request.user.is_authenticated or viewer_for(request.user).curates:
            return request.user.is_authenticated
        raise Refused(
            "Only librarians and administrators change documents.", required="librarian", current=request.user.role
        )
