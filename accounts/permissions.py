"""Who may use which part of the API at all; what they see there is the access rule's matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from drf_spectacular.authentication import SessionScheme
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.arrival import arriving, viewer_of
from accounts.models import ApiKey, Scope
from accounts.rollout import Prospect, prospect_of
from accounts.throttling import count_api_request

if TYPE_CHECKING:
    from rest_framework.views import APIView


class Refused(PermissionDenied):
    """403 that names what would be required and what the person has."""

    def __init__(self, detail: str, *, required: object, current: object) -> None:
        super().__init__(detail)
        self.members: dict[str, object] = {"required": required, "current": current}


class NotOpenYet(Refused):
    """403 for people whom the roll-out does not admit; `opens_at` is when it will, null where nobody has said so."""

    def __init__(self, prospect: Prospect) -> None:
        detail = "Cloister is being introduced step by step and is not open to you now."
        super().__init__(detail, required="admitted", current="not admitted")
        self.members["opens_at"] = prospect.opens_at


class BrowserAuthentication(SessionAuthentication):
    """The session of a signed-in browser, which has to prove that a page of ours asks."""

    def enforce_csrf(self, request: Request) -> None:
        """Raises Refused where Django's check fails, and TooMany where the person has asked too often."""
        count_api_request(request, request._request.user)
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise Refused(str(error.detail), required="CSRF token", current=None) from None


class BrowserScheme(SessionScheme):
    """How the API's description names it."""

    target_class = "accounts.permissions.BrowserAuthentication"


class WithinScope(BasePermission):
    """An API key does what it was made for. Every view of the API has this permission or one of its kind.

    It counts the request before it asks anything: nobody is refused without end and without cost to themselves.

    Reading needs the scope `read`, everything else `upload`; a view whose POST only reads says so with
    `required_scope`. People, with a session or a token, have no scopes: they may do what their role allows.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True; raises Refused where the key lacks the scope, and TooMany where whoever asks has asked too often."""
        count_api_request(request, request.user)
        if not isinstance(request.auth, ApiKey):
            return True
        by_method = Scope.READ if request.method in SAFE_METHODS else Scope.UPLOAD
        required = getattr(view, "required_scope", by_method)
        if required not in request.auth.scopes:
            raise Refused(
                "This API key was not made for that.", required=str(required), current=sorted(request.auth.scopes)
            )
        return True


class SignedIn(WithinScope):
    """Whoever is signed in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the scope suffices and there is a person."""
        return super().has_permission(request, view) and request.user.is_authenticated


class MaySearch(WithinScope):
    """Everybody where searching is public, else whoever is signed in; of these, whom the roll-out admits."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the scope suffices and there is a person, where one is needed.

        Raises Refused for people whom no phase of the roll-out admits now, and NotAuthenticated for the nameless.
        """
        if not super().has_permission(request, view):
            return False
        if not settings.PUBLIC_SEARCH and not request.user.is_authenticated:
            return False
        viewer = arriving(request)
        if viewer.admitted:
            return True
        if viewer.user_id is None:
            raise NotAuthenticated("Cloister is being introduced step by step and not open to everybody yet. Sign in.")
        raise NotOpenYet(prospect_of(viewer.user_id))


class ReadOrCurate(MaySearch):
    """Reading as in `MaySearch`; writing for librarians, curators and administrators."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """As it says; raises Refused for people who may not write."""
        allowed = super().has_permission(request, view)
        if not allowed or request.method in SAFE_METHODS:
            return allowed
        if not request.user.is_authenticated or viewer_of(request).curates:
            return request.user.is_authenticated
        raise Refused(
            "Only librarians, curators and administrators change documents.",
            required="librarian",
            current=request.user.role,
        )
