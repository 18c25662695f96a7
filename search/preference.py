"""What orders the hits beside the query: who asks, on which day, and what others thought."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.utils import timezone

from accounts.clearance import Viewer
from search.approval import approval
from search.ranking import Preference


def preference_for(viewer: Viewer, languages: Iterable[str] = ()) -> Preference:
    """The preference of this viewer, who reads these languages (ISO 639-1); none is no preference."""
    return Preference(
        campus_id=viewer.campus_id,
        departments=viewer.departments,
        languages=frozenset(languages),
        today=timezone.localdate(),
        approval=approval() if settings.SEARCH_BOOSTS.popularity else {},
        boosts=settings.SEARCH_BOOSTS,
    )
