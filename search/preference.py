"""What orders the hits beside the query: who asks, on which day, and what others thought."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation.trans_real import parse_accept_lang_header

from accounts.clearance import Viewer
from search.approval import approval
from search.ranking import Preference


def preference_for(viewer: Viewer) -> Preference:
    """The preference of this viewer: their campus, departments and languages, as far as they are known."""
    return Preference(
        campus_id=viewer.campus_id,
        departments=viewer.departments,
        languages=viewer.languages,
        today=timezone.localdate(),
        approval=approval() if settings.SEARCH_BOOSTS.popularity else {},
        boosts=settings.SEARCH_BOOSTS,
    )


def as_read_by(request: HttpRequest, viewer: Viewer) -> Viewer:
    """The viewer with the languages that they read: those of their profile, else those that their browser asks for.

    Of the latter only the languages of the institution, so that answers which are the same for many are kept once.
    """
    if viewer.languages:
        return viewer
    wanted = parse_accept_lang_header(request.headers.get("Accept-Language", "").lower())
    codes = {code.split("-")[0] for code, quality in wanted if quality}
    languages = frozenset(codes.intersection(settings.SEARCH_LANGUAGES))
    return replace(viewer, languages=languages)  # access: it orders what is found and hides nothing
