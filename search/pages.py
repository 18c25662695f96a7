"""What people see in a browser: the search page, a document's page, and its original file."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.arrival import arriving, turned_away
from accounts.clearance import RestrictedQuerySet, Viewer
from accounts.throttling import limited
from ingestion.audience import sight_of
from ingestion.models import Chunk, Document
from ingestion.originals import original_response
from search import service
from search.presentation import present, search_url, section_path
from search.query import FILTERS, InvalidQuery, SearchQuery, parse_query
from search.reading import read_pages
from search.suggest import suggestions

logger = logging.getLogger(__name__)

CHUNKS_A_PART = 60
"""How many chunks of a long document are read at once: about 40 pages of print."""

SUGGESTIONS_TIMES = 6
"""Whoever types pauses several times in a question, and each pause may ask once."""

DESCRIBED_BY = ("department", "campus", "doc_type")
"""What a document's page says of it beyond its own columns."""

OUTLINE_LENGTH = 80
"""How many sections the outline names at most."""

SIMILAR_SHOWN = 5
"""How many similar documents a document's page names."""

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
            page = service.search(query, viewer=viewer, request_id=request.request_id)
            context |= {"body": "search/answer.html", "answer": present(query, page), "text": query.text}
    template = "search/fragment.html" if request.htmx else "search/page.html"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@never_cache
@limited(counter="suggestions", times=SUGGESTIONS_TIMES)
def suggest(request: HttpRequest) -> HttpResponse:
    """What may complete the words in the page's field, under the filters that are on; counted apart, and no search."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    search = _search_behind(request.GET)
    found = suggestions(search.text, viewer=viewer, under=search) if search else []
    return JsonResponse({"suggestions": found})


def _sentences(error: InvalidQuery) -> list[str]:
    """What is wrong, a sentence each; filters are named, the words need not be."""
    return [
        sentence if name == "q" else f"{name}: {sentence}" for name, found in error.errors.items() for sentence in found
    ]


@dataclass(frozen=True)
class Opened:
    """A document that a viewer may read, and its chunks as far as they may read them, in order."""

    document: Document
    text: RestrictedQuerySet


def _open(pk: UUID, viewer: Viewer) -> Opened:
    """The document, because the viewer may see it or because they curate it; otherwise Http404, whatever the cause."""
    seen = Document.objects.visible_to(viewer).filter(pk=pk)
    if document := seen.select_related(*DESCRIBED_BY).first():
        chunks = Chunk.objects.visible_to(viewer).filter(document=pk, staged=False)
        return Opened(document, chunks.order_by("position"))
    managed = Document.objects.manageable_by(viewer).filter(pk=pk)
    if document := managed.select_related(*DESCRIBED_BY).first():
        chunks = Chunk.objects.filter(document__in=managed, staged=False)
        return Opened(document, chunks.order_by("position"))
    raise Http404


@require_safe
@never_cache
@limited()
def document_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is known about a document, and its text, opened at `page` or `passage`, with the words of `q` marked."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    opened = _open(pk, viewer)
    wanted_page, wanted_passage = _number(request.GET.get("page")), _number(request.GET.get("passage"))
    chunk_count = opened.text.count()
    parts = max(1, -(-chunk_count // CHUNKS_A_PART))
    part = min(_number(request.GET.get("part")) or _part_of(opened, wanted_page, wanted_passage), parts)
    shown = opened.text[(part - 1) * CHUNKS_A_PART : part * CHUNKS_A_PART]
    search = _search_behind(request.GET)
    manageable = viewer.curates and Document.objects.manageable_by(viewer).filter(pk=pk).exists()
    context = {
        "viewer": viewer,
        "document": opened.document,
        "pages": read_pages(
            shown.only("text", "page_number", "section_title"),
            words=search.text if search else "",
            passage=wanted_passage,
            page=wanted_page,
        ),
        "outline": _outline(opened),
        "similar": service.similar(opened.document, viewer=viewer, limit=SIMILAR_SHOWN) if part == 1 else [],
        "part": part,
        "parts": parts,
        "previous_part": part - 1 if part > 1 else None,
        "next_part": part + 1 if part < parts else None,
        "text": search.text if search else "",
        "search_along": search.querystring() if search else "",
        "back_url": search_url(search) if search else "",
        "manageable": manageable,
        "sight": sight_of(opened.document) if manageable else None,
    }
    return render(request, "search/document.html", context)


def _number(text: str | None) -> int | None:
    """A positive number of an address, or None: a damaged address opens the document at its beginning."""
    return int(text) if text and text.isascii() and text.isdigit() and 0 < len(text) < 16 and int(text) else None


def _part_of(opened: Opened, page: int | None, passage: int | None) -> int:
    """The part in which the passage stands, else the page, else the first."""
    position = None
    if passage:
        position = opened.text.filter(pk=passage).values_list("position", flat=True).first()
    if position is None and page:
        position = opened.text.filter(page_number__gte=page).values_list("position", flat=True).first()
    if position is None:
        return 1
    return opened.text.filter(position__lt=position).count() // CHUNKS_A_PART + 1


def _outline(opened: Opened) -> list[dict[str, Any]]:
    """The document's sections in order with the pages that they begin at; depth 0 is the outermost."""
    sections: list[dict[str, Any]] = []
    before: tuple[str, ...] = ()
    for pk, page, title in opened.text.values_list("pk", "page_number", "section_title"):
        path = section_path(title, str(opened.document))
        if path and path != before:
            sections.append({"passage": pk, "page": page, "title": path[-1], "depth": min(len(path) - 1, 2)})
        before = path
    return sections[:OUTLINE_LENGTH]


def _search_behind(given: QueryDict) -> SearchQuery | None:
    """The search that an address carries along, or None. Its `page`, if any, is the document's, not the search's."""
    asked = given.copy()
    asked.pop("page", None)
    try:
        return parse_query(asked)
    except InvalidQuery:
        return None


@require_safe
@limited()
def document_file(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The original, always as a download: nothing that was uploaded is ever shown as a page of this site."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    return original_response(_open(pk, viewer).document)
