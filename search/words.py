"""The lexical leg: a query's words, how rare they are, and the chunks in which they weigh most (BM25).

A chunk's side of BM25 is made when it is written (`ingestion.models.WordWeights`), the query's side here; their inner
product is the score. Which chunks are scored is told by the index of words: those that hold one of the query's rarer
words, and of its common ones together, as long as only so many are expected (docs/decisions/0022).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from ingestion.lexemes import TEXT_SEARCH_CONFIGS, is_beginning, normalised, phrase, words
from search.operators import match_of, quoted, read_operators

if TYPE_CHECKING:
    from search.synonyms import Synonym

CANDIDATES_BY_WORDS = 100
"""Chunks that the words propose: enough for ten pages of ten hits."""

SCORED_CHUNKS = 3000
"""Visible chunks that are expected to be scored for one query: each costs about 3 µs (docs/decisions/0022)."""

SCORED_BESIDE_MEANING = 1000
"""The same where the meaning proposes chunks as well: with so many keyword search was as good as with 3,000, by
SciFact's and NPL's measures, and a hidden two thirds of the corpus is found, and dropped, along with them."""

MOST_SCORED_CHUNKS = 20_000
"""The same where all words are common and stand together in that many; beyond, the meaning alone proposes chunks."""

LOOKED_THROUGH = 5000
"""The newest visible chunks among which a phrase of words that stand nearly everywhere is looked for."""

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
    that: 'hr12' for 'HR 12'. Both help to rank, and are no part of what a passage is expected to cover. `plain` is how
    it was typed, up to case and accents; `also` is what else is looked for in its place.
    """

    forms: tuple[str, ...]
    dimensions: tuple[int, ...]
    idf: float
    known: bool = True
    common: bool = False
    added: bool = False
    plain: str = ""
    also: tuple[Synonym, ...] = ()

    @property
    def match(self) -> str:
        """A tsquery that any of its forms satisfies, or of what is looked for in its place."""
        glued = _GLUED.fullmatch(self.forms[-1])
        apart = [f"({match_of(' '.join(glued.groups()))})"] if glued else []
        beginning = [quoted(form) + ":*" for form in self.forms if is_beginning(form)]
        also = [f"({one.match})" for one in self.also]
        return " | ".join([*(quoted(form) for form in self.forms if not is_beginning(form)), *beginning, *apart, *also])

    @property
    def weights(self) -> dict[int, float]:
        """What each of its dimensions adds to a score."""
        weights = dict.fromkeys(self.dimensions[1:], self.idf * OTHER_FORM)
        weights |= dict.fromkeys(self.dimensions[:1], self.idf)
        for one in self.also:
            for dimension, weight in one.weights.items():
                weights[dimension] = max(weight, weights.get(dimension, 0.0))
        return weights

    @property
    def signs(self) -> tuple[int, ...]:
        """The dimensions any of which tells that a chunk holds it, or what is looked for in its place."""
        return (*self.dimensions, *(dimension for one in self.also for dimension in one.covering))

    @property
    def share(self) -> float:
        """The share of the public chunks that hold it or its synonyms, which is what one expects of others."""
        own = math.exp(-self.idf) if self.known else 0.0
        return min(1.0, own + sum(one.share for one in self.also))

    def proposing(self, most: float, *, alone: bool) -> Word:
        """The word with as many of its synonyms as stand in no more than this share of the chunks, the rarest first.

        So a rare word is looked for though it means the same as a common one; where it is known of no chunk, and
        nothing else proposes any, all of them are.
        """
        room = most - (own := replace(self, also=())).share
        if room < 0 or (alone and not own.share):
            return self
        kept = []
        for one in sorted(self.also, key=lambda one: one.share):
            room -= one.share
            if room >= 0:
                kept.append(one)
        return replace(self, also=tuple(kept))


@dataclass(frozen=True)
class Proposal:
    """Which chunks are worth scoring: those that satisfy this tsquery, or of these only some of the newest."""

    match: str
    newest: bool = False


@dataclass(frozen=True)
class QueryWords:
    """A query's words as the index knows them, and what its marks ask for (tsqueries; empty: nothing).

    The shares are those of the public chunks that one expects to hold all words of what is required, and of what is
    excluded.
    """

    words: tuple[Word, ...] = ()
    required: str = ""
    excluded: str = ""
    required_share: float = 0.0
    excluded_share: float = 0.0
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
        return [_sparse(dict.fromkeys(word.signs, 1.0)) for word in self.telling]

    def asks_too_many(self, visible_chunks: int) -> bool:
        """Whether what is required, or what is excluded, stands in so many chunks that they are not all looked for."""
        return visible_chunks * max(self.required_share, self.excluded_share) > MOST_SCORED_CHUNKS

    def proposal(self, visible_chunks: int, *, alone: bool) -> Proposal | None:
        """Which of so many visible chunks the words propose; None where none.

        It depends on public statistics and on what the viewer sees, never on anything hidden. `alone` when nothing else
        proposes chunks: then even words that stand nearly everywhere do.
        """
        room = float(SCORED_CHUNKS if alone else SCORED_BESIDE_MEANING)
        asked = (word for word in self.words if word in self.telling or word.added)
        most = room / max(1, visible_chunks)
        rest = sorted((word.proposing(most, alone=alone) for word in asked), key=lambda word: (word.share, -word.idf))
        taken: list[str] = []
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
        return Proposal(together, newest=not few)


def asked_sql(text: str, *, scored: bool = True, languages: Sequence[str] | None = None) -> tuple[str, list[Any]]:
    """An SQL expression, and its parameters, of what `words_of` reads: for any statement that is made anyway.

    Not `scored`, by a search by meaning alone, words are read as far as its marks need them. They are inflected as in
    these languages; by default in all of the institution's.
    """
    marked = sorted({word for one in _marks(text) for word in one})
    if not marked and not scored:
        return "NULL", []
    sql, params = "NULL", []
    if scored:
        raw, plain, beginnings = [], [], []
        for typed, word in _typed_words(text):
            raw.append(typed)
            plain.append(word)
            beginnings.append(word if is_beginning(word) else "")
        configs = [TEXT_SEARCH_CONFIGS.get(code, "simple") for code in languages or settings.SEARCH_LANGUAGES]
        sql = "search_query_words(%s::text[], %s::text[], %s::text[], %s::regconfig[])"
        params = [raw, plain, beginnings, configs]
    rarity = "(SELECT json_object_agg(word, idf) FROM ingestion_term WHERE word = ANY(%s))" if marked else "NULL"
    return f"json_build_object('words', {sql}, 'marked', {rarity})", [*params, *([marked] if marked else [])]


def words_of(answer: Mapping[str, Any] | str | None, text: str) -> QueryWords:
    """The words of a query from what the database said to `asked_sql` of the same text."""
    found = json.loads(answer) if isinstance(answer, str) else answer or {}
    plain = [word for _, word in _typed_words(text)]
    typed = len(plain) - len(_added_words(text))
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
                plain=plain[one["place"]],
            )
            for one in found.get("words") or ()
        ),
        required=asked.must_match,
        excluded=asked.must_not_match,
        required_share=_share(asked.required, found, together=True),
        excluded_share=_share(asked.excluded, found, together=False),
    )


def _marks(text: str) -> list[list[str]]:
    """The words of each phrase that is required or excluded, as the index has them."""
    asked = read_operators(text)
    return [phrase(one) for one in (*asked.required, *asked.excluded)]


def _share(phrases: Iterable[str], found: Mapping[str, Any], *, together: bool) -> float:
    """The share of the public chunks that is expected to hold the words of all, or of any, of these phrases."""
    rarity = found.get("marked") or {}
    # What no two public chunks hold is rare; a word that is looked for by its beginning has no rarity of its own.
    shares = [math.prod(math.exp(-rarity[word]) if word in rarity else 0.0 for word in phrase(one)) for one in phrases]
    return (math.prod(shares) if together else min(1.0, sum(shares))) if shares else 0.0


def read_words(text: str) -> QueryWords:
    """The words of a query, by a statement of their own."""
    sql, params = asked_sql(text)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return words_of(cursor.fetchone()[0], text)


def by_words(query: QueryWords, proposal: Proposal, *, marked: bool = True) -> tuple[str, list[Any]]:
    """SQL of the ids, of the chunks that a proposal names, in which the words weigh most.

    It reads `visible` (id and lexemes of the chunks to choose from) and `asked` (`words`: the query's side of BM25).
    Where `visible` is not `marked`, it looks itself that they hold what is required.
    """
    match = proposal.match if marked or not query.required else f"({proposal.match}) & ({query.required})"
    params: list[Any] = [match]
    if not proposal.newest:
        holding = "SELECT id FROM visible WHERE lexemes @@ to_tsquery('simple', %s)"
    elif query.required:
        # The newest that hold it may be few and far between: no more than so many are looked through.
        holding, params = _AMONG_NEWEST, [LOOKED_THROUGH, match]
    else:
        # What stands in one of a few chunks is found faster from the end than through the index.
        holding, params = _NEWEST, [match, SCORED_CHUNKS]
    return _HEAVIEST.format(holding=holding), [*params, CANDIDATES_BY_WORDS]


_NEWEST = "SELECT id FROM visible WHERE ts_match_vq(lexemes, to_tsquery('simple', %s)) ORDER BY id DESC LIMIT %s"
"""The function, unlike the operator, keeps the planner from the index."""

_AMONG_NEWEST = """
    SELECT id FROM (SELECT id, lexemes FROM visible ORDER BY id DESC LIMIT %s) AS newest
    WHERE ts_match_vq(lexemes, to_tsquery('simple', %s))
"""

_HEAVIEST = """
    SELECT holding.id
    FROM ({holding}) AS holding
    LEFT JOIN ingestion_wordweights AS weighed ON weighed.chunk_id = holding.id
    ORDER BY COALESCE(weighed.weights <#> (SELECT words FROM asked), 0), holding.id
    LIMIT %s
"""


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
