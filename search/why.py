"""Why a hit stands where it stands: the parts of its score, for administrators, asked for when one wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.arrival import arriving
from accounts.clearance import Role, Viewer
from accounts.throttling import limited
from search import service
from search.curation import MOST_PINNED, curated
from search.presentation import search_url
from search.query import search_behind

PARTS: dict[str, tuple[Promise, Promise]] = {
    "similarity": (_("Meaning"), _("how near its best passage comes to the question")),
    "language bias": (_("Language"), _("taken off: what its language alone has in common with the question")),
    "words": (_("Words"), _("how many of the words stand in it, and how rare they are")),
    "campus": (_("Campus"), _("it is of your campus")),
    "department": (_("Department"), _("it is of one of your departments")),
    "priority": (_("Priority"), _("above or below the usual one, 3")),
    "recency": (_("Recency"), _("how lately it was reviewed, or else written")),
    "popularity": (_("Popularity"), _("what people said of it, and how many opened it")),
    "reader's language": (_("Your language"), _("it is in a language that you read")),
}
"""The parts of a score (search.ranking.explained) in plain words, each with what it says."""


@dataclass(frozen=True)
class Part:
    """A part of a score."""

    name: str
    meaning: str
    value: float


def explains_to(viewer: Viewer) -> bool:
    """Whether the search page explains itself: to administrators, as themselves."""
    return viewer.role == Role.ADMIN and not viewer.seen_as


@require_safe
@never_cache
@limited()
def why(request: HttpRequest) -> HttpResponse:
    """The parts of the score of one hit of a search. The search is made anew, and noted nowhere."""
    viewer = arriving(request)
    query = search_behind(request.GET)
    document = _id(request.GET.get("document", ""))
    if not explains_to(viewer) or query is None or not query.text or document is None:
        raise Http404
    scored = service.explain(query, viewer=viewer).get(str(document))
    told = curated(query)
    parts = [Part(str(PARTS[name][0]), str(PARTS[name][1]), value) for name, value in (scored or {}).items()]
    context = {
        "viewer": viewer,
        "parts": parts,
        "score": sum(part.value for part in parts),
        "chosen": bool(parts) and document in told.pinned[:MOST_PINNED],
        "synonyms": told.synonyms,
        "back_url": search_url(query),
        "text": query.text,
    }
    template = "search/why_parts.html" if request.headers.get("HX-Request") else "search/why.html"
    return render(request, template, context)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
