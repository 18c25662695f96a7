"""What may complete what is being typed: titles, sections and frequent words of what the viewer may see."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.db import connection
from django.db.models import QuerySet

from accounts.clearance import Viewer
from ingestion.lexemes import normalised, words
from ingestion.models import Document
from search import metrics, reach
from search.operators import quoted
from search.query import SearchQuery, normalise
from search.reach import Statement, narrowed
from search.vocabulary import completions

SUGGESTIONS = 8

MOST_TYPED = 100
"""Characters beyond which nobody waits for a title to complete them."""

LOOKED_AT = 300
"""Matching titles (or sections) of which the best are taken: for the first letters of frequent words there are
thousands, and any few hundred of them hold enough to choose from."""

WORDS_FROM = 2
"""Characters from which single words are completed: with one letter, nearly any word would be."""

_HEADINGS = """
    WITH visible AS NOT MATERIALIZED ({visible}),
    matching AS MATERIALIZED (
        SELECT visible.title, visible.file_name, visible.priority, heading.text
        FROM search_heading AS heading
        JOIN visible ON visible.id = heading.document_id
        WHERE heading.is_title = {titles} AND NOT heading.staged AND heading.words @@ %s::tsquery
        LIMIT %s)
    SELECT title, file_name, text FROM matching ORDER BY priority DESC, title, text
"""


def suggestions(typed: str, *, viewer: Viewer, under: SearchQuery | None = None) -> list[str]:
    """Up to eight ways to go on: titles in which words begin like those typed, then sections, then words.

    Upper case and accents make no difference, nor does the order of the words. Empty where nothing can be typed on.
    Titles and sections are those that the filters of the search `under` way leave.
    """
    started = time.perf_counter()
    typed = normalise(typed)[:MOST_TYPED]
    asked = words(typed)
    found: list[str] = []
    if asked and viewer.clearance:
        match = " & ".join(f"{quoted(word)}:*" for word in asked)
        visible = _visible(viewer, under)
        found = _in_order(_titles(visible, match), typed)
        if len(found) < SUGGESTIONS:
            found = _first(found, _in_order(_sections(visible, match, asked), typed))
        if len(found) < SUGGESTIONS and len(typed) >= WORDS_FROM:
            found = _first(found, completions(typed, viewer=viewer))
    metrics.DURATION.labels("suggest").observe(time.perf_counter() - started)
    return found[:SUGGESTIONS]


def _visible(viewer: Viewer, under: SearchQuery | None) -> Statement:
    """The documents that may be completed to, as SQL."""

    def seen() -> QuerySet[Document]:
        documents = Document.objects.visible_to(viewer).order_by()
        return narrowed(documents, under) if under else documents

    return reach.kept("titles", viewer, under, lambda: seen().values("id", "title", "file_name", "priority"))


def _rows(visible: Statement, match: str, *, titles: bool) -> list[tuple[str, str, str]]:
    seen, params = visible
    with connection.cursor() as cursor:
        sql = _HEADINGS.format(visible=seen, titles="true" if titles else "false")
        cursor.execute(sql, [*params, match, LOOKED_AT])
        return list(cursor.fetchall())


def _titles(visible: Statement, match: str) -> list[str]:
    return [title or file_name for title, file_name, _ in _rows(visible, match, titles=True)]


def _sections(visible: Statement, match: str, asked: list[str]) -> list[str]:
    """Of the headings above each passage the nearest one that has all that was typed."""
    rows = _rows(visible, match, titles=False)
    return [part for *_, text in rows for part in [_nearest(text, asked)] if part]


def _nearest(path: str, asked: list[str]) -> str:
    for part in reversed(path.split(" > ")):
        held = words(part)
        if all(any(word.startswith(one) for word in held) for one in asked):
            return part
    return ""


def _in_order(found: Iterable[str], typed: str) -> list[str]:
    """Those that begin with what was typed first, each once; otherwise as they come."""
    beginning = normalised(typed)
    return sorted(dict.fromkeys(found), key=lambda text: not normalised(text).startswith(beginning))


def _first(found: list[str], more: Iterable[str]) -> list[str]:
    """These, and of the others those that read differently."""
    by_reading = {normalised(text): text for text in reversed([*found, *more])}
    return list(reversed(by_reading.values()))
