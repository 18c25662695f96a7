"""The lexical leg: a query's words, and the chunks in which they weigh most."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.postgres.search import SearchQuery as WordQuery
from django.contrib.postgres.search import SearchRank
from django.db import connection
from django.db.models import F, QuerySet, Value

from ingestion.lexemes import TEXT_SEARCH_CONFIGS, searchable
from ingestion.models import Chunk

CANDIDATES_BY_WORDS = 100
"""Chunks that the words propose: enough for ten pages of ten hits."""


@dataclass(frozen=True)
class QueryWords:
    """A query's words as the index knows them: for each the forms it may stand in, and its rarity (idf)."""

    forms: tuple[str, ...]
    idf: tuple[float, ...]

    @property
    def any(self) -> str:
        """A tsquery that any of the words satisfies."""
        return " | ".join(self.forms)


def read_words(text: str) -> QueryWords:
    """Cut a query into words: in their plain form, and in the stems of the institution's languages."""
    raw, plain = [], []
    for word in text.split():
        forms = searchable(word).split()
        # Parts of an identifier, and pairs of characters of scripts without spaces, are words of their own.
        raw += [word] if len(forms) < 2 else forms
        plain += [" ".join(forms)] if len(forms) < 2 else forms
    configs = [TEXT_SEARCH_CONFIGS.get(code, "simple") for code in settings.SEARCH_LANGUAGES]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM search_words(%s::text[], %s::text[], %s::regconfig[])", [raw, plain, configs])
        rows = cursor.fetchall()
    return QueryWords(tuple(forms for forms, _ in rows), tuple(idf for _, idf in rows))


def by_words(chunks: QuerySet[Chunk], words: QueryWords) -> QuerySet[Chunk]:
    """The chunks in which the words weigh most: `ts_rank`, which measured far better than `ts_rank_cd` (DESIGN,
    section 3); a longer chunk needs more (normalisation 1)."""
    query = WordQuery(words.any, search_type="raw", config="simple")
    rank = SearchRank(F("lexemes"), query, normalization=Value(1))
    return chunks.filter(lexemes=query).order_by(rank.desc(), "pk")[:CANDIDATES_BY_WORDS]
