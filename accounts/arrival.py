"""Who comes to a page or to the API, and what is shown to those to whom the portal is not open yet."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from accounts.clearance import Viewer, viewer_for
from accounts.metrics import count_admission
from accounts.rollout import Prospect, prospect_of

if TYPE_CHECKING:
    from rest_framework.request import Request


def viewer_of(request: HttpRequest | Request) -> Viewer:
    """The viewer behind a request, read from the database once, so that the whole of an answer is for the same one."""
    known: Viewer | None = request.__dict__.get("viewer")
    if known is None:
        known = request.__dict__["viewer"] = viewer_for(request.user)
    return known


def arriving(request: HttpRequest | Request) -> Viewer:
    """The viewer behind a request that begins here: counted, by the phase of the roll-out that lets them in."""
    viewer = viewer_of(request)
    count_admission(viewer.phase, viewer.admitted)
    return viewer


def turned_away(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """For a viewer who sees nothing at all: the sign-in, or why the roll-out keeps them out and until when.

    403, so that no browser, cache or machine takes it for what was asked; the same for every address, whether there is
    something behind it or not.
    """
    nameless = viewer.user_id is None
    if viewer.admitted or (nameless and not settings.PUBLIC_SEARCH):
        return redirect_to_login(request.get_full_path())
    if request.headers.get("HX-Request"):
        # Only a part of a page was asked for: the whole page is to be fetched anew.
        return HttpResponse(status=HTTPStatus.FORBIDDEN, headers={"HX-Redirect": request.get_full_path()})
    prospect = Prospect() if viewer.seen_as else prospect_of(viewer.user_id)
    context = {"prospect": prospect, "nameless": nameless}
    response = render(request, "rollout/turned_away.html", context, status=HTTPStatus.FORBIDDEN)
    add_never_cache_headers(response)
    return response
