"""The one entry for every search: page, API, command line and evaluation."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Chunk, Document
from search import metrics
from search.answers import kept_or_made
from search.caching import allowance
from search.models import SearchEvent
from search.nearest import nearest_documents
from search.page import FacetValue, Hit, HitDocument, Passage, SearchPage
from search.preference import preference_for
from search.query import Mode, SearchQuery
from search.ranking import RankedDocument, explained, rank
from search.retrieval import Found, SpaceChanged, candidates
from search.snippets import snippet
from search.spelling import did_you_mean
from search.vectors import QueryVector, query_vector

logger = logging.getLogger(__name__)

EMBEDDING_UNAVAILABLE = "embedding_unavailable"

ALL_WORDS = 0.999
"""Coverage above which a passage holds every word: it is a sum of shares."""

ATTEMPTS = 5
"""How often a search is begun anew when the model of the corpus is changed under it, which is once as a rule."""


def search(
    query: SearchQuery, *, viewer: Viewer, request_id: str = "", endpoint: str = "page", audited: bool = True
) -> SearchPage:
    """Answer a query with what this viewer may see.

    When no embedding node answers, words alone decide, and `degraded` says so. Every search is noted in the audit
    trail unless it is a measurement (`audited=False`), which nothing is kept of. Database errors pass through.
    """
    started = time.perf_counter()
    try:
        with allowance():
            page = _kept_or_made(query, viewer, started) if audited else _answer(query, viewer, started)
        if audited:
            _note(page, query, viewer, request_id)
    except Exception:
        metrics.QUERIES.labels(endpoint, "error").inc()
        raise
    metrics.QUERIES.labels(endpoint, "degraded" if page.degraded else "ok").inc()
    metrics.DURATION.labels(query.mode.value).observe(page.response_time)
    for reason in page.degraded:
        metrics.DEGRADED.labels(reason).inc()
    if not page.count:
        metrics.EMPTY.inc()
    return page


def warm(query: SearchQuery, *, viewer: Viewer) -> bool:
    """Have the answer kept before it is asked for; whether it had to be made. Nobody asked, and nobody is noted."""
    with allowance():
        return not _kept_or_made(query, viewer, time.perf_counter()).from_cache


def explain(query: SearchQuery, *, viewer: Viewer) -> dict[str, dict[str, float]]:
    """Why each document stands where it stands in the answer: the parts of its score, which sum to it, by its id.

    The search is made anew, and is not noted in the audit trail.
    """
    _, _, found = _find(query, viewer)
    preference = preference_for(viewer)
    return {
        str(document.document_id): explained(document.candidates[0], preference)
        for document in rank(found.candidates, preference)
    }


def similar(document: Document, *, viewer: Viewer, limit: int = 10) -> list[HitDocument]:
    """Other documents that the viewer may see and that are about the same, nearest first."""
    nearest = nearest_documents(document, viewer=viewer, limit=limit)
    described = _describe(nearest, viewer)
    return [described[pk] for pk in nearest if pk in described]


def _kept_or_made(query: SearchQuery, viewer: Viewer, started: float) -> SearchPage:
    """The answer, kept or not, as one to this request."""
    page = kept_or_made(query, viewer, partial(_answer, query, viewer, started))
    if not page.from_cache:
        return page
    return replace(
        page,
        search_id=str(uuid.uuid4()),
        timestamp=timezone.now(),
        response_time=round(time.perf_counter() - started, 4),
    )


def _answer(query: SearchQuery, viewer: Viewer, started: float) -> SearchPage:
    asked, degraded, found = _find(query, viewer)
    if query.text:
        ranked = rank(found.candidates, preference_for(viewer))
    else:
        # Nothing to rank by: the newest first, as they were found.
        ranked = [RankedDocument(one.document_id, 0.0, (one,)) for one in found.candidates]
    first = (query.page - 1) * query.page_size
    return SearchPage(
        query=query.text,
        search_id=str(uuid.uuid4()),
        mode=query.mode.value,
        degraded=degraded,
        count=len(ranked),
        page=query.page,
        page_size=query.page_size,
        page_count=math.ceil(len(ranked) / query.page_size),
        hits=_hits(ranked[first : first + query.page_size], found.shown, query, viewer),
        facets=_facets(found.shown.values()),
        did_you_mean=_correction(asked, viewer, found),
        words_found=asked.mode is Mode.SEMANTIC
        or not query.text
        or any(candidate.coverage for candidate in found.candidates),
        timestamp=timezone.now(),
        response_time=round(time.perf_counter() - started, 4),
    )


def _correction(query: SearchQuery, viewer: Viewer, found: Found) -> str | None:
    """The query as it was probably meant; not looked for where some passage holds all of its words."""
    if not query.text or any(candidate.coverage > ALL_WORDS for candidate in found.candidates):
        return None
    return did_you_mean(query.text, viewer=viewer)


def _find(query: SearchQuery, viewer: Viewer) -> tuple[SearchQuery, tuple[str, ...], Found]:
    """The query as it was asked of the corpus, in which ways the answer is degraded, and the candidates."""
    for attempt in range(ATTEMPTS):
        vector: QueryVector | None = None
        degraded: tuple[str, ...] = ()
        if query.mode is not Mode.KEYWORD and query.text:
            try:
                vector = query_vector(query.meaning, anew=attempt > 0)
            except EmbeddingUnavailable as error:
                logger.warning("search without meaning: %s", error)
                degraded = (EMBEDDING_UNAVAILABLE,)
        asked = replace(query, mode=Mode.KEYWORD) if degraded and query.mode is Mode.SEMANTIC else query
        try:
            return asked, degraded, candidates(asked, viewer=viewer, vector=vector)
        except SpaceChanged:
            logger.info("the model was changed: the query is embedded anew")
    raise RuntimeError(f"the model was changed {ATTEMPTS} times during one search")


def _describe(document_ids: Iterable[UUID], viewer: Viewer) -> dict[UUID, HitDocument]:
    """What is shown of these documents; what is hidden since they were chosen is left out."""
    documents = Document.objects.visible_to(viewer).filter(pk__in=list(document_ids)).order_by()
    columns = documents.values_list(
        "pk", "title", "file_name", "department__name", "campus__name", "doc_type__slug", "doc_type__name",
        "clearance", "language", "priority", "last_reviewed",
    )  # fmt: skip
    return {
        pk: HitDocument(
            id=str(pk),
            title=title or file_name,
            department=department,
            campus=campus or "",
            doc_type=slug,
            doc_type_name=doc_type,
            clearance=clearance,
            language=language,
            priority=priority,
            last_reviewed=last_reviewed,
        )
        for pk, title, file_name, department, campus, slug, doc_type, clearance, language, priority, last_reviewed
        in columns
    }  # fmt: skip


def _hits(
    ranked: list[RankedDocument], described: Mapping[UUID, HitDocument], query: SearchQuery, viewer: Viewer
) -> tuple[Hit, ...]:
    wanted = {candidate.chunk_id: candidate for document in ranked for candidate in document.candidates}
    rows = Chunk.objects.visible_to(viewer).filter(pk__in=list(wanted)).order_by()
    passages = {
        pk: Passage(
            chunk_id=pk,
            page_number=page_number,
            section_title=section_title,
            text=text,
            snippet=snippet(text, query.text),
            similarity=round(wanted[pk].similarity, 4),
            url=f"/documents/{wanted[pk].document_id}/?page={page_number}",
        )
        for pk, page_number, section_title, text in rows.values_list("pk", "page_number", "section_title", "text")
    }
    hits = []
    for document in ranked:
        shown = tuple(passages[one.chunk_id] for one in document.candidates if one.chunk_id in passages)
        if shown:
            hits.append(Hit(described[document.document_id], shown, round(document.score, 4)))
    return tuple(hits)


def _facets(documents: Iterable[HitDocument]) -> dict[str, tuple[FacetValue, ...]]:
    """How many of the matches have which value, most frequent first. Values nobody has are left out."""
    documents = list(documents)
    values = {
        "department": [(document.department, document.department) for document in documents],
        "campus": [(document.campus, document.campus) for document in documents if document.campus],
        "doc_type": [(document.doc_type, document.doc_type_name) for document in documents],
        "language": [(document.language, document.language) for document in documents if document.language],
    }
    return {
        name: tuple(
            FacetValue(value, label, count)
            for (value, label), count in sorted(Counter(pairs).items(), key=lambda one: (-one[1], one[0]))
        )
        for name, pairs in values.items()
    }


def _note(page: SearchPage, query: SearchQuery, viewer: Viewer, request_id: str) -> None:
    """One line of the audit trail."""
    SearchEvent.objects.create(
        id=page.search_id,
        user_id=viewer.user_id,
        role=viewer.role,
        seen_as=viewer.seen_as,
        phase=viewer.phase,
        query=query.text,
        filters=query.filters,
        mode=page.mode,
        degraded=list(page.degraded),
        count=page.count,
        page=page.page,
        duration_ms=round(page.response_time * 1000),
        request_id=request_id,
    )
