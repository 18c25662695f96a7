"""The one entry for every search: page, API, command line and evaluation."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Document
from search import metrics
from search.answers import kept_or_made
from search.audit import note_search
from search.caching import allowance
from search.facets import counted
from search.listing import Listed, Listing
from search.metrics import stage
from search.nearest import nearest_documents
from search.page import DOCUMENT_COLUMNS, Hit, HitDocument, Passage, SearchPage
from search.preference import preference_for
from search.query import MAX_PAGE, Mode, SearchQuery, Sort
from search.ranking import RankedDocument, explained, pinned_first, rank
from search.replicas import reading
from search.retrieval import Found, SpaceChanged, candidates, passages
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
            page = reading(partial(_kept_or_made if audited else _answer, query, viewer, started))
        if audited:
            with stage("audit"):
                note_search(page, query, viewer, request_id)
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
    found = _find(query, viewer).found
    preference = preference_for(viewer)
    return {
        str(document.document_id): explained(document.candidates[0], preference)
        for document in rank(found.candidates, preference)
    }


def similar(document: Document, *, viewer: Viewer, limit: int = 10) -> list[HitDocument]:
    """Other documents that the viewer may see and that are about the same, nearest first."""

    def nearest() -> list[HitDocument]:
        found = nearest_documents(document, viewer=viewer, limit=limit)
        described = _describe(found, viewer)
        return [described[pk] for pk in found if pk in described]

    return reading(nearest)


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
    asked = _find(query, viewer) if query.text else Asked(query, Found())
    listing = Listing(asked.query, viewer, asked.found, asked.vector, preference_for(viewer))
    with stage("facets"):
        counts = counted(asked.query, viewer=viewer, found=asked.found)
    with stage("ranking"):
        listed = _page_of(listing, counts.count)
    with stage("passages"):
        hits = _hits(listed.ranked, listed.shown, " ".join([query.text, *asked.found.synonyms]), viewer)
    return SearchPage(
        query=query.text,
        search_id=str(uuid.uuid4()),
        mode=query.mode.value,
        degraded=asked.degraded,
        count=counts.count,
        page=query.page,
        page_size=query.page_size,
        page_count=min(MAX_PAGE, math.ceil(counts.count / query.page_size)),
        hits=hits,
        facets=counts.facets,
        did_you_mean=_correction(query, viewer, asked.found),
        words_found=asked.query.mode is Mode.SEMANTIC
        or not query.text
        or any(candidate.coverage for candidate in asked.found.candidates),
        timestamp=timezone.now(),
        response_time=round(time.perf_counter() - started, 4),
        bounded=counts.bounded,
    )


def _page_of(listing: Listing, count: int) -> Listed:
    """The documents of this page: the candidates' in their order, and then, as far as the count goes, what the words
    match beyond them."""
    query, found = listing.query, listing.found
    first = (query.page - 1) * query.page_size
    last = first + query.page_size
    if query.sort is Sort.NEWEST or not query.text:
        return listing.newest(first, last)
    ranked = pinned_first(rank(found.candidates, listing.preference), found.pinned)
    listed = Listed(ranked[first:last], found.shown)
    if count <= len(ranked) or last <= len(ranked):
        return listed
    more = listing.further(max(0, first - len(ranked)), last - len(ranked))
    return Listed([*listed.ranked, *more.ranked], {**found.shown, **more.shown})


def _correction(query: SearchQuery, viewer: Viewer, found: Found) -> str | None:
    """The query as it was probably meant; not looked for where some passage holds all of its words."""
    if not query.text or any(candidate.coverage > ALL_WORDS for candidate in found.candidates):
        return None
    return did_you_mean(query.text, found.words, viewer=viewer)


@dataclass(frozen=True)
class Asked:
    """The query as it was asked of the corpus, what it proposed, and in which ways the answer is degraded."""

    query: SearchQuery
    found: Found
    vector: QueryVector | None = None
    degraded: tuple[str, ...] = ()


def _find(query: SearchQuery, viewer: Viewer) -> Asked:
    """Ask the corpus, anew where its model is changed under it."""
    for attempt in range(ATTEMPTS):
        vector: QueryVector | None = None
        degraded: tuple[str, ...] = ()
        if query.mode is not Mode.KEYWORD:
            try:
                with stage("query_vector"):
                    vector = query_vector(query.meaning, anew=attempt > 0)
            except EmbeddingUnavailable as error:
                logger.warning("search without meaning: %s", error)
                degraded = (EMBEDDING_UNAVAILABLE,)
        asked = replace(query, mode=Mode.KEYWORD) if degraded and query.mode is Mode.SEMANTIC else query
        try:
            with stage("candidates"):
                found = candidates(asked, viewer=viewer, vector=vector)
            return Asked(asked, found, vector, degraded)
        except SpaceChanged:
            logger.info("the model was changed: the query is embedded anew")
    raise RuntimeError(f"the model was changed {ATTEMPTS} times during one search")


def _describe(document_ids: Iterable[UUID], viewer: Viewer) -> dict[UUID, HitDocument]:
    """What is shown of these documents; what is hidden since they were chosen is left out."""
    documents = Document.objects.visible_to(viewer).filter(pk__in=list(document_ids)).order_by()
    return {columns[0]: HitDocument.of(*columns) for columns in documents.values_list(*DOCUMENT_COLUMNS)}


def _hits(
    ranked: Sequence[RankedDocument], described: Mapping[UUID, HitDocument], marked: str, viewer: Viewer
) -> tuple[Hit, ...]:
    """The hits, with these words marked in their snippets."""
    wanted = {candidate.chunk_id: candidate for document in ranked for candidate in document.candidates}
    described_passages = {
        pk: Passage(
            chunk_id=pk,
            page_number=page_number,
            section_title=section_title,
            text=text,
            snippet=snippet(text, marked),
            similarity=round(wanted[pk].similarity, 4),
            url=f"/documents/{wanted[pk].document_id}/?page={page_number}",
        )
        for pk, page_number, section_title, text in passages(list(wanted), viewer)
    }
    hits = []
    for document in ranked:
        shown = tuple(
            described_passages[one.chunk_id] for one in document.candidates if one.chunk_id in described_passages
        )
        if shown:
            hits.append(Hit(described[document.document_id], shown, round(document.score, 4), document.chosen))
    return tuple(hits)
