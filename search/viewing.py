"""What people see of one document in a browser: its page with the viewer, and its original file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from csp.constants import SELF
from csp.decorators import csp_update
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.arrival import arriving, turned_away
from accounts.audit import VIEWED, note_reading
from accounts.clearance import RestrictedQuerySet, Viewer
from accounts.throttling import limited
from ingestion.audience import sight_of
from ingestion.downloads import note_download
from ingestion.models import Chunk, Document
from ingestion.originals import download_name, stretch_response
from ingestion.ranges import goes_on
from search import service
from search.citing import FORMATS, source_of
from search.finding import Finding, find, read_sought
from search.presentation import search_url, section_path
from search.query import SearchQuery, search_behind
from search.reading import is_right_to_left, read_pages
from search.reviewed import review_age

PDF = "application/pdf"
"""The kind of file that the viewer shows."""

CHUNKS_A_PART = 50
"""How many chunks of a long document are read at once: about 30 pages of print, and never over 300 KB."""

VIEWER_POLICY: dict[str, Any] = {"worker-src": [SELF], "trusted-types": ["viewer"]}
"""What the policy of a page with the viewer allows beside that of all pages: the worker that reads a PDF, which has a
policy of its own (portal.policies). The Trusted Types policy of static/viewer.js lets its address through, and nothing
else."""

DESCRIBED_BY = ("department", "campus", "doc_type")
"""What a document's page says of it beyond its own columns."""

OUTLINE_LENGTH = 80
"""How many sections the outline names at most."""

STRETCHES_TIMES = 20
"""A viewer fetches a file in stretches, several for a page that somebody leafs to; the first one counts as a page."""

SECTIONS_BEFORE = 5
"""How many sections before the opened page a cut outline begins."""

SIMILAR_SHOWN = 5
"""How many similar documents a document's page names."""


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


@dataclass(frozen=True)
class Asked:
    """What an address asks of a document's page. A damaged part of it counts as not asked."""

    page: int | None
    passage: int | None
    part: int | None
    sought: str
    as_text: bool
    search: SearchQuery | None

    @classmethod
    def of(cls, given: QueryDict) -> Asked:
        """`page`, `passage`, `part`, `in` (what is looked for in the document), `view=text`, and a search."""
        return cls(
            page=_number(given.get("page")),
            passage=_number(given.get("passage")),
            part=_number(given.get("part")),
            sought=read_sought(given.get("in", "")),
            as_text=given.get("view") == "text",
            search=search_behind(given),
        )

    @property
    def along(self) -> list[tuple[str, str]]:
        """What the page's links and its form take along: the search, and the form in which it is read."""
        search = parse_qsl(self.search.querystring()) if self.search else []
        return [*search, ("view", "text")] if self.as_text else search

    @property
    def along_found(self) -> str:
        """The same with what is looked for, as the rest of an address."""
        return urlencode([*self.along, ("in", self.sought)] if self.sought else self.along)


@require_safe
@never_cache
@limited()
def document_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is known about a document, and its text, opened at `page` or `passage`; a PDF with the viewer before it.

    The words of `q` are marked, or what is looked for (`in`). Passages that this viewer may not read are unknown here.
    """
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    opened, asked = _open(pk, viewer), Asked.of(request.GET)
    if request.method == "GET":
        note_reading(VIEWED, pk, str(opened.document), request=request)
    chunk_count = opened.text.count()
    parts = max(1, -(-chunk_count // CHUNKS_A_PART))
    part = min(asked.part or _part_of(opened, asked), parts)
    shown = opened.text[(part - 1) * CHUNKS_A_PART : part * CHUNKS_A_PART]
    words = asked.search.text if asked.search else ""
    in_viewer = _passage_in_viewer(opened, asked) if _shows_pages(opened.document, asked) else None
    sections = _outline(opened)
    shown_sections = _around(sections, in_viewer["page"] if in_viewer else asked.page or 1)
    manageable = viewer.curates and Document.objects.manageable_by(viewer).filter(pk=pk).exists()
    context = {
        "viewer": viewer,
        "document": opened.document,
        "asked": asked,
        "pages": read_pages(
            shown.only("text", "page_number", "section_title"),
            words=words,
            sought=asked.sought,
            passage=asked.passage,
            page=asked.page,
        ),
        "age": review_age(opened.document.last_reviewed, timezone.localdate()),
        "right_to_left": is_right_to_left(opened.document.language),
        "outline": shown_sections,
        "outline_cut": len(shown_sections) < len(sections),
        "finding": _finding(opened, asked.sought),
        "in_viewer": in_viewer,
        "is_pdf": opened.document.mime_type == PDF,
        "similar": service.similar(opened.document, viewer=viewer, limit=SIMILAR_SHOWN) if part == 1 else [],
        "part": part,
        "parts": parts,
        "previous_part": part - 1 if part > 1 else None,
        "next_part": part + 1 if part < parts else None,
        "text": words,
        "back_url": search_url(asked.search) if asked.search else "",
        "manageable": manageable,
        "sight": sight_of(opened.document) if manageable else None,
    }
    show = csp_update(VIEWER_POLICY)(render) if in_viewer else render
    return show(request, "search/document.html", context)


def _number(text: str | None) -> int | None:
    """A positive number of an address, or None: a damaged address opens the document at its beginning."""
    return int(text) if text and text.isascii() and text.isdigit() and 0 < len(text) < 16 and int(text) else None


def _part_of(opened: Opened, asked: Asked) -> int:
    """The part in which the passage stands, else the page, else the first."""
    position = None
    if asked.passage:
        position = opened.text.filter(pk=asked.passage).values_list("position", flat=True).first()
    if position is None and asked.page:
        # A page on which no passage begins is read with the one before it; beyond the last there is nothing.
        begun = opened.text.filter(page_number__lte=asked.page).values_list("position", "page_number").last()
        if begun and asked.page <= max(opened.document.page_count, begun[1]):
            position = begun[0]
    if position is None:
        return 1
    return opened.text.filter(position__lt=position).count() // CHUNKS_A_PART + 1


def _outline(opened: Opened) -> list[dict[str, Any]]:
    """The document's sections in order with the pages that they begin at; depth 0 is the outermost.

    They are those of its passages, or where these name none, the file's own outline.
    """
    sections: list[dict[str, Any]] = []
    before: tuple[str, ...] = ()
    for pk, page, title in opened.text.values_list("pk", "page_number", "section_title"):
        path = section_path(title, str(opened.document))
        if path and path != before:
            sections.append({"passage": pk, "page": page, "title": path[-1], "depth": min(len(path) - 1, 2)})
        before = path
    if sections:
        return sections
    outermost = min((level for level, _, _ in opened.document.outline), default=1)
    return [
        {"passage": None, "page": page, "title": title, "depth": min(level - outermost, 2)}
        for level, title, page in opened.document.outline
    ]


def _around(sections: list[dict[str, Any]], page: int) -> list[dict[str, Any]]:
    """All of them, or of very many the outermost, or of too many of these those around a page."""
    if len(sections) > OUTLINE_LENGTH:
        outermost = [section for section in sections if not section["depth"]]
        sections = outermost if len(outermost) >= SECTIONS_BEFORE else sections
    before = sum(section["page"] < page for section in sections)
    first = max(0, min(before - SECTIONS_BEFORE, len(sections) - OUTLINE_LENGTH))
    return sections[first : first + OUTLINE_LENGTH]


def _finding(opened: Opened, sought: str) -> Finding | None:
    """Where this stands in the document; None where nothing is looked for."""
    if not sought:
        return None
    return find(sought, opened.text.only("text", "page_number", "overlap").iterator(chunk_size=500))


def _shows_pages(document: Document, asked: Asked) -> bool:
    """Whether the viewer shows the pages as they were laid out."""
    return document.mime_type == PDF and not asked.as_text


def _passage_in_viewer(opened: Opened, asked: Asked) -> dict[str, Any]:
    """The page at which the viewer opens, and the text that it marks there."""
    passage = opened.text.filter(pk=asked.passage).values("page_number", "text").first() if asked.passage else None
    if passage is None:
        return {"page": asked.page or 1, "passage": ""}
    return {"page": passage["page_number"], "passage": passage["text"]}


@require_safe
@limited(counts=lambda request: not goes_on(request))
@limited(counts=goes_on, counter="stretches", times=STRETCHES_TIMES)
def document_file(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The original or a stretch of it, always as a download: nothing uploaded is ever shown as a page of this site."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    document = _open(pk, viewer).document
    response = stretch_response(document, request)
    note_download(document, response, request=request)
    return response


@require_safe
@never_cache
@limited()
def document_cite(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How to cite the document: `format` is `bibtex`, `ris` or `text`; another one is not found."""
    viewer = arriving(request)
    if not viewer.clearance:
        return turned_away(request, viewer)
    wanted = FORMATS.get(request.GET.get("format", "text"))
    document = _open(pk, viewer).document
    if wanted is None:
        raise Http404
    source = source_of(
        document,
        publisher=str(document.department),
        kind=str(document.doc_type),
        url=request.build_absolute_uri(document.get_absolute_url()),
        seen_on=timezone.localdate(),
    )
    name = f"{download_name(str(document)[:80])}.{wanted.extension}"
    return HttpResponse(
        wanted.write(source),
        content_type=f"{wanted.content_type}; charset=utf-8",
        headers={"Content-Disposition": content_disposition_header(wanted.extension != "txt", name)},
    )
