"""The lexical leg: a query's words, how rare they are, and the chunks in which they weigh most (BM25).

A chunk's side of BM25 is made when it is written (`ingestion.models.WordWeights`), the query's side here; their inner
product is the score. Which chunks are scored is told by the index of words: those that hold one of the query's rarer
words, and of its common ones together, as long as only so many are expected (docs/decisions/0022).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.postgres.search import SearchQuery as WordQuery
from django.db import connection
from django.db.models import BooleanField, F, FloatField, Func, QuerySet, Value
from django.db.models.functions import Coalesce

from ingestion.lexemes import TEXT_SEARCH_CONFIGS, is_beginning, normalised, words
from ingestion.models import Chunk
from search.operators import match_of, quoted, read_operators

Chunks = TypeVar("Chunks", bound=QuerySet[Chunk])

CANDIDATES_BY_WORDS = 100
"""Chunks that the words propose: enough for ten pages of ten hits."""

SCORED_CHUNKS = 3000
"""Visible chunks that are expected to be scored for one query: each costs about 3 µs (docs/decisions/0022)."""

MOST_SCORED_CHUNKS = 20_000
"""The same where all words are common and stand together in that many; beyond, the meaning alone proposes chunks."""

OTHER_FORM = 0.5
"""What a word's further forms count beside its most frequent one. A passage that holds the word just as it was typed
holds both its stem and itself, each at half (ingestion/migrations/0006)."""

SATURATION = 2.2
"""What BM25 gives a word at most, in units of its idf: k1 + 1."""

_LETTERS_AND_FIGURES = re.compile(r"(?<!\S)([^\W\d_]{1,6}) (\d{1,6}[a-z]?)(?!\S)")
_GLUED = re.compile(r"([^\W\d_]{2,8})(\d{2,8})")


@dataclass(frozen=True)
class Word:
    """One word of a query: the forms that the index may hold it in, the most frequent one first, and how rare it is.

    `common` words are those that a language leaves out of its index (stop words); `added` ones were not typed like
    that: 'hr12' for 'HR 12'. Both help to rank, and are no part of what a passage is expected to cover.
    """

    forms: tuple[str, ...]
    dimensions: tuple[int, ...]
    idf: float
    known: bool = True
    common: bool = False
    added: bool = False

    @property
    def match(self) -> str:
        """A tsquery that any of its forms satisfies."""
        glued = _GLUED.fullmatch(self.forms[-1])
        apart = [f"({match_of(' '.join(glued.groups()))})"] if glued else []
        beginning = [quoted(form) + ":*" for form in self.forms if is_beginning(form)]
        return " | ".join([*(quoted(form) for form in self.forms if not is_beginning(form)), *beginning, *apart])

    @property
    def weights(self) -> dict[int, float]:
        """What each of its dimensions adds to a score."""
        weights = dict.fromkeys(self.dimensions[1:], self.idf * OTHER_FORM)
        return weights | dict.fromkeys(self.dimensions[:1], self.idf)

    @property
    def share(self) -> float:
        """The share of the public chunks that hold it, which is what one expects of others."""
        return math.exp(-self.idf) if self.known else 0.0


@dataclass(frozen=True)
class Proposal:
    """Which chunks are worth scoring: those that satisfy this tsquery, or of these only the newest SCORED_CHUNKS."""

    match: str
    newest: bool = False


@dataclass(frozen=True)
class QueryWords:
    """A query's words as the index knows them, and what its marks ask for (tsqueries; empty: nothing)."""

    words: tuple[Word, ...] = ()
    required: str = ""
    excluded: str = ""
    telling: tuple[Word, ...] = field(init=False)
    """Those that say what is looked for: all but the common ones, unless there are no others."""

    def __post_init__(self) -> None:
        typed = tuple(word for word in self.words if not word.added)
        telling = tuple(word for word in typed if not word.common) or typed
        object.__setattr__(self, "telling", telling)

    @property
    def vector(self) -> str:
        """The query's side of the inner product, as pgvector reads it."""
        weights: dict[int, float] = {}
        for word in self.words:
            for dimension, weight in word.weights.items():
                weights[dimension] = max(weight, weights.get(dimension, 0.0))
        return _sparse({dimension: weight / 1000 for dimension, weight in weights.items()})

    @property
    def best(self) -> float:
        """The BM25 score that no passage exceeds: every telling word, as often as one likes."""
        return SATURATION * sum(word.idf for word in self.telling)

    @property
    def idf(self) -> tuple[float, ...]:
        """The rarity of each telling word."""
        return tuple(word.idf for word in self.telling)

    @property
    def one_hot(self) -> list[str]:
        """For each telling word a vector that the weights of a chunk that holds it have something in common with."""
        return [_sparse(dict.fromkeys(word.dimensions, 1.0)) for word in self.telling]

    def proposal(self, visible_chunks: int, *, alone: bool) -> Proposal | None:
        """Which of so many visible chunks the words propose; None where none.

        It depends on public statistics and on what the viewer sees, never on anything hidden. `alone` when nothing else
        proposes chunks: then even words that stand nearly everywhere do.
        """
        rest = sorted((word for word in self.words if word in self.telling or word.added), key=lambda word: -word.idf)
        taken: list[str] = []
        room = float(SCORED_CHUNKS)
        while rest and (expected := visible_chunks * rest[0].share) <= room:
            room -= expected
            taken.append(rest.pop(0).match)
        together, share = "", 1.0
        for number, word in enumerate(rest):
            share *= word.share
            together = f"{together} & ({word.match})" if together else f"({word.match})"
            if number and visible_chunks * share <= room:
                taken.append(f"({together})")
                break
        if taken:
            return Proposal(" | ".join(taken))
        few = visible_chunks * share <= MOST_SCORED_CHUNKS
        if not together or not (few or alone):
            return None
        # What is required may be so rare among the newest that all would be looked through: its index finds it.
        return Proposal(together, newest=not few and not self.required)


def asked_sql(text: str) -> tuple[str, list[Any]]:
    """An SQL expression, and its parameters, of what `words_of` reads: for any statement that is made anyway."""
    raw, plain, beginnings = [], [], []
    for typed, word in _typed_words(text):
        raw.append(typed)
        plain.append(word)
        beginnings.append(word if is_beginning(word) else "")
    configs = [TEXT_SEARCH_CONFIGS.get(code, "simple") for code in settings.SEARCH_LANGUAGES]
    params = [raw, plain, beginnings, configs]
    return "search_query_words(%s::text[], %s::text[], %s::text[], %s::regconfig[])", params


def words_of(answer: Sequence[Mapping[str, Any]] | str | None, text: str) -> QueryWords:
    """The words of a query from what the database said to `asked_sql` of the same text."""
    found = json.loads(answer) if isinstance(answer, str) else answer or []
    typed = len(_typed_words(text)) - len(_added_words(text))
    asked = read_operators(text)
    return QueryWords(
        tuple(
            Word(
                forms=tuple(one["forms"]),
                dimensions=tuple(dict.fromkeys(one["dimensions"])),
                idf=one["idf"],
                known=one["known"],
                common=one["stop"],
                added=one["place"] >= typed,
            )
            for one in found
        ),
        required=asked.must_match,
        excluded=asked.must_not_match,
    )


def marks_of(text: str) -> QueryWords:
    """What the marks of a query ask for, without its words, for a search by meaning alone."""
    return words_of(None, text)


def read_words(text: str) -> QueryWords:
    """The words of a query, by a statement of their own."""
    sql, params = asked_sql(text)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return words_of(cursor.fetchone()[0], text)


def by_words(chunks: QuerySet[Chunk], query: QueryWords, proposal: Proposal) -> QuerySet[Chunk]:
    """Of the chunks that a proposal names those in which the words weigh most."""
    match = WordQuery(proposal.match, search_type="raw", config="simple")
    if proposal.newest:
        # What stands in one of a few chunks is found faster from the end than through the index; the function, unlike
        # the operator, keeps the planner from it.
        holds = Func(F("lexemes"), match, function="ts_match_vq", output_field=BooleanField())
        chunks = chunks.filter(pk__in=chunks.filter(holds).order_by("-pk").values("pk")[:SCORED_CHUNKS])
    else:
        chunks = chunks.filter(lexemes=match)
    score = Func(F("word_weights__weights"), Value(query.vector), template="(%(expressions)s::sparsevec)",
                 arg_joiner=" <#> ", output_field=FloatField())  # fmt: skip
    return chunks.order_by(Coalesce(score, 0.0), "pk")[:CANDIDATES_BY_WORDS]


def allowed(chunks: Chunks, visible: QuerySet[Chunk], query: QueryWords) -> Chunks:
    """The chunks that hold what the query requires, of documents of which no visible chunk holds what it excludes."""
    if query.required:
        chunks = chunks.filter(lexemes=WordQuery(query.required, search_type="raw", config="simple"))
    if query.excluded:
        refused = visible.filter(lexemes=WordQuery(query.excluded, search_type="raw", config="simple"))
        chunks = chunks.exclude(document__in=refused.order_by().values("document_id"))
    return chunks


def _typed_words(text: str) -> list[tuple[str, str]]:
    """The words of a query, each as it was typed and as the index has it; those that are added stand last."""
    found: dict[str, str] = {}
    for typed in read_operators(text).text.split():
        # Parts of an identifier, and pairs of characters of scripts without spaces, are words of their own.
        plain = words(typed)
        found |= {word: typed if len(plain) == 1 else word for word in plain if word not in found}
    return [(typed, word) for word, typed in found.items()] + [(word, word) for word in _added_words(text)]


def _added_words(text: str) -> list[str]:
    """Identifiers that were typed with a space and may be written without: 'HR 12' is 'hr12'."""
    folded = normalised(read_operators(text).text)
    return ["".join(found.groups()) for found in _LETTERS_AND_FIGURES.finditer(folded)]


def _sparse(weights: Mapping[int, float]) -> str:
    written = ",".join(f"{dimension}:{weight:.6g}" for dimension, weight in sorted(weights.items()))
    return f"{{{written}}}/1000000000"
