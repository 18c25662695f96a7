"""What people see in a browser: the search page, and what completes the words in its field."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.arrival import arriving, turned_away
from accounts.clearance import Viewer
from accounts.models import Campus
from accounts.throttling import limited
from search import service
from search.curation import can_be_pinned, curates_search
from search.history import remember
from search.metrics import stage
from search.preference import as_read_by
from search.presentation import Choice, present, search_url
from search.query import FILTERS, InvalidQuery, SearchQuery, parse_query, search_behind
from search.suggest import suggestions
from search.why import explains_to

logger = logging.getLogger(__name__)

SUGGESTIONS_TIMES = 6
"""Whoever types pauses several times in a question, and each pause may ask once."""

EXAMPLES = (
    {"text": "How many books may I borrow?", "language": "en"},
    {"text": "reset my password", "language": "en"},
    {"text": "Was passiert, wenn ich eine Prüfung nicht bestehe?", "language": "de"},
    {"text": "Comment prolonger un prêt ?", "language": "fr"},
    {"text": "¿Dónde puedo aparcar la bicicleta?", "language": "es"},
    {"text": "留学生签证需要什么？", "language": "zh"},
    {"text": "ماذا أفعل عند نشوب حريق؟", "language": "ar"},
)
"""Questions that any university answers somewhere, to start from."""


class PageRequest(HttpRequest):
    """A request as the middleware hands it on."""

    htmx: HtmxDetails
    request_id: str


def _asks(request: HttpRequest) -> bool:
    """Whether there is something to search for: words, or filters alone."""
    return any(request.GET.get(name, "").strip() for name in ("q", *FILTERS))


@require_safe
@never_cache
@limited(counts=_asks, fragment="search/too_many.html")
def search_page(request: PageRequest) -> HttpResponse:
    """The search page; for htmx only the part below the field. 400 when the query cannot be run."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    context: dict[str, Any] = {"viewer": viewer, "text": request.GET.get("q", ""), "examples": EXAMPLES}
    status = HTTPStatus.OK
    if not _asks(request):
        context["body"] = "search/start.html"
    else:
        try:
            query = parse_query(request.GET)
        except InvalidQuery as error:
            context |= {"body": "search/invalid.html", "errors": _sentences(error)}
            status = HTTPStatus.BAD_REQUEST
        else:
            page = service.search(query, viewer=as_read_by(request, viewer), request_id=request.request_id)
            remember(query, request)
            context |= {"body": "search/answer.html", "answer": present(query, page), "text": query.text}
            context |= {
                "contact": settings.LIBRARY_CONTACT,
                "contact_url": _contact_url(),
                "campus": _campus_of(viewer, query),
            }
            context |= {"pins": curates_search(viewer) and can_be_pinned(query), "explains": explains_to(viewer)}
    template = "search/fragment.html" if request.htmx else "search/page.html"
    with stage("render") if "answer" in context else nullcontext():
        response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _contact_url() -> str:
    """Where those who found nothing ask: a page, or else a mail address."""
    contact: str = settings.LIBRARY_CONTACT
    return contact if contact.startswith(("https://", "http://")) else f"mailto:{contact}"


def _campus_of(viewer: Viewer, query: SearchQuery) -> Choice | None:
    """The campus whose documents stand a little higher for this viewer, and the search for these alone."""
    if viewer.campus_id is None or query.campuses or not query.text or not settings.SEARCH_BOOSTS.campus:
        return None
    name = Campus.objects.values_list("name", flat=True).get(pk=viewer.campus_id)
    return Choice(name, search_url(query.having("campus", name)), selected=False)


@require_safe
@never_cache
@limited(counter="suggestions", times=SUGGESTIONS_TIMES)
def suggest(request: HttpRequest) -> HttpResponse:
    """What may complete the words in the page's field, under the filters that are on; counted apart, and no search."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    search = search_behind(request.GET)
    found = suggestions(search.text, viewer=viewer, under=search) if search else []
    return JsonResponse({"suggestions": found})


def _sentences(error: InvalidQuery) -> list[str]:
    """What is wrong, a sentence each; filters are named, the words need not be."""
    return [
        sentence if name == "q" else f"{name}: {sentence}" for name, found in error.errors.items() for sentence in found
    ]
