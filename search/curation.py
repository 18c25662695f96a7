"""What librarians say of queries: best bets, which stand first, and synonyms. Who may change them, and what a search
is told of them.

Both are read by the statement with which a search begins (retrieval.candidates), so they hold from the moment on at
which they are saved. A best bet says nothing to who may not see its document: the search looks for that document among
what the viewer sees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.clearance import Role, Viewer
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, phrase, searchable
from ingestion.models import Document
from search.models import BestBet, SynonymGroup
from search.operators import read_operators
from search.query import Mode, SearchQuery, Sort
from search.reach import Statement
from search.synonyms import Group, alternatives, with_synonyms
from search.words import QueryWords, asked_sql, words_of

MOST_PINNED = 3
"""Best bets that stand above the other hits of one query."""


@dataclass(frozen=True)
class Curated:
    """What a search is told: its words with their synonyms, and the documents that are to stand first, hidden ones
    among them. `synonyms` are those that the query was given, as librarians wrote them."""

    words: QueryWords
    pinned: tuple[UUID, ...] = ()
    synonyms: tuple[str, ...] = ()


def curates_search(viewer: Viewer) -> bool:
    """Whether the viewer may change best bets and synonyms: librarians and administrators, as themselves."""
    return viewer.curates and (viewer.librarian or viewer.role == Role.ADMIN)


def curated_sql(query: SearchQuery) -> Statement:
    """An SQL expression, with its parameters, of what `read_curated` reads: for the statement that begins a search."""
    if query.mode is Mode.SEMANTIC:
        return asked_sql(query.text)
    sql, params = asked_sql(query.text)
    today = timezone.localdate()
    return (
        f"""(WITH typed AS MATERIALIZED (SELECT {sql} AS asked)
        SELECT json_build_object(
            'asked', typed.asked,
            'pinned', (
                SELECT json_agg(document_id ORDER BY place, id) FROM search_bestbet
                WHERE asked @> ARRAY[%s]::text[] AND is_active AND document_id IS NOT NULL
                    AND COALESCE(starts_on <= %s, true) AND COALESCE(ends_on >= %s, true)),
            'synonyms', (
                SELECT json_agg(json_build_object(
                    'terms', terms, 'forms', forms, 'one_way', one_way, 'language', language) ORDER BY id)
                FROM search_synonymgroup
                WHERE is_active AND begins && ARRAY(
                    SELECT json_array_elements_text(word -> 'forms')
                    FROM json_array_elements(
                        CASE json_typeof(typed.asked -> 'words') WHEN 'array' THEN typed.asked -> 'words' END
                    ) AS word)))
        FROM typed)""",  # noqa: S608  # nosec B608  # every value is bound
        [*params, _bet_on(query), today, today],
    )


def can_be_pinned(query: SearchQuery) -> bool:
    """Whether there may be best bets for this query."""
    return bool(query.text) and _bet_on(query) is not None


def _bet_on(query: SearchQuery) -> str | None:
    """How best bets know this query; None where there are none for it.

    Who asks by meaning or by words alone, or marks what has to stand in a passage, wants to see what that finds.
    """
    asked = read_operators(query.text)
    if query.mode is not Mode.HYBRID or query.sort is not Sort.RELEVANCE or asked.required or asked.excluded:
        return None
    return searchable(query.text)


def read_curated(answer: Any, query: SearchQuery) -> Curated:
    """What the database said to `curated_sql` of the same query. Synonyms that it is given are looked up by one further
    statement."""
    if query.mode is Mode.SEMANTIC:
        return Curated(words_of(answer, query.text))
    found = json.loads(answer) if isinstance(answer, str) else answer
    words = words_of(found["asked"], query.text)
    pinned = tuple(dict.fromkeys(UUID(one) for one in found["pinned"] or ()))
    given = alternatives(query.text, words, [Group.of(row) for row in found["synonyms"] or ()])
    if not given:
        return Curated(words, pinned)
    known = _read_terms([(one.text, one.language) for one in given])
    return Curated(
        with_synonyms(words, zip(given, known, strict=True)), pinned, tuple(dict.fromkeys(one.text for one in given))
    )


def curated(query: SearchQuery) -> Curated:
    """What a search of this query is told, by a statement of its own: for showing it."""
    sql, params = curated_sql(query)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return read_curated(cursor.fetchone()[0], query)


def _read_terms(terms: Sequence[tuple[str, str]]) -> list[QueryWords]:
    """The words of these terms, each in a language or in all, as the index knows them."""
    asked = [asked_sql(text, languages=[language] if language else None) for text, language in terms]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(sql for sql, _ in asked)}",  # nosec B608  # every value is bound
            [one for _, params in asked for one in params],
        )
        answers = cursor.fetchone()
    return [words_of(answer, text) for answer, (text, _) in zip(answers, terms, strict=True)]


# --- For those who curate ----------------------------------------------------------------------------------------


def best_bets(viewer: Viewer) -> QuerySet[BestBet]:
    """The best bets that this viewer may see and change: on documents that they see or manage, and their own."""
    if not curates_search(viewer):
        return BestBet.objects.none()
    if viewer.role == Role.ADMIN:
        return BestBet.objects.all()
    seen = Document.objects.visible_to(viewer).order_by().values("pk")
    managed = Document.objects.manageable_by(viewer).order_by().values("pk")
    return BestBet.objects.filter(Q(document__in=seen) | Q(document__in=managed) | Q(made_by=viewer.user_id))


def document_of(bet: BestBet, viewer: Viewer) -> Document | None:
    """The document of a best bet as far as this viewer may know of it."""
    if bet.document_id is None:
        return None
    seen: Document | None = Document.objects.visible_to(viewer).filter(pk=bet.document_id).first()
    return seen or Document.objects.manageable_by(viewer).filter(pk=bet.document_id).first()


def broken_bets(viewer: Viewer) -> QuerySet[BestBet]:
    """Best bets in use that show this viewer nothing: the document is archived, deleted, or not theirs to see."""
    seen = Document.objects.visible_to(viewer).order_by().values("pk")
    in_time = Q(ends_on__isnull=True) | Q(ends_on__gte=timezone.localdate())
    return best_bets(viewer).filter(in_time, is_active=True).exclude(document__in=seen)


def settle(group: SynonymGroup) -> None:
    """Save a group with the forms of its words, by which queries are compared with it."""
    configs = [TEXT_SEARCH_CONFIGS[group.language]] if group.language else sorted(TEXT_SEARCH_CONFIGS.values())
    group.forms = [_forms_of(term, configs) for term in group.terms]
    asked = group.forms[:1] if group.one_way else group.forms
    group.begins = sorted({form for term in asked for form in (term[0] if term else ())})
    group.save()


def _forms_of(term: str, configs: Sequence[str]) -> list[list[str]]:
    """The words of a term one after the other, each with the forms that an index of these configurations has of it."""
    raw: list[str] = []
    plain = phrase(term)
    for typed in term.split():
        found = phrase(typed)
        raw += [typed] if len(found) == 1 else found
    if len(raw) != len(plain):
        raw = plain
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT array_agg(DISTINCT form ORDER BY form)
            FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS word (raw, plain, place),
            LATERAL (SELECT word.plain UNION SELECT unnest(tsvector_to_array(to_tsvector(config, word.raw)))
                     FROM unnest(%s::regconfig[]) AS config) AS known (form)
            GROUP BY place ORDER BY place
            """,
            [raw, plain, list(configs)],
        )
        return [forms for (forms,) in cursor.fetchall()]
