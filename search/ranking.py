"""From candidates to ordered hits: fusion of the two legs, small boosts, one hit a document. Pure; no Django."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from search.boosts import Boosts

LEXICAL_WEIGHT = 0.4
"""What the best possible match of the words adds to a similarity, as a share of the headroom above the usual one. From
0.3 to 0.5 the measures hardly differ, on any of the judged sets and with two models (docs/decisions/0024-fusion.md)."""

HALF_LIFE_DAYS = 730
"""After so long without a review a document's recency counts half: about two academic years."""

PRIORITIES_FROM_USUAL = 2
"""Priority is 1 to 5, and 3 is the usual one: it counts in steps from there."""

PASSAGES_A_HIT = 3


@dataclass(frozen=True)
class Candidate:
    """A chunk that one of the legs proposes.

    `similarity` is the cosine similarity to the query vector, 0 where there is none; `language_bias` is how much of it
    the chunk's language alone brings, against the corpus as a whole. `coverage` is the share of the query's words that
    stand in it, weighed by rarity, and `word_rank` its BM25 score against the best candidate's; both 0 to 1. `dated` is
    when its document was last reviewed, or else written. `headroom` is how far similarity can rise above what any
    passage has in common with this query: it is the unit of all that is added, as one model spreads its similarities
    over a fifth of the scale and another over all of it. Without a vector it is 1.
    """

    chunk_id: int
    document_id: UUID
    similarity: float
    language_bias: float
    coverage: float
    word_rank: float
    campus_id: int | None
    department_id: int
    priority: int
    language: str = ""
    dated: date | None = None
    headroom: float = 1.0

    @property
    def words(self) -> float:
        """How well the words match, 0 to 1: many of them, and about as well as in the best candidate.

        The square keeps what matches half as well as the best from counting half: in another language than the
        query's, and for a question that shares no words with its answer, that is noise.
        """
        return self.coverage * self.word_rank**2


@dataclass(frozen=True)
class Preference:
    """What of the viewer and of the day orders the hits; it hides none.

    `approval` is what people said of documents that they found, -1 to 1 (search/approval.py).
    """

    campus_id: int | None = None
    departments: frozenset[int] = frozenset()
    languages: frozenset[str] = frozenset()
    today: date | None = None
    approval: Mapping[UUID, float] = field(default_factory=dict)
    boosts: Boosts = field(default_factory=Boosts)


@dataclass(frozen=True)
class RankedDocument:
    """A document with its best chunks, best first; `chosen` where librarians put it first, whatever its score."""

    document_id: UUID
    score: float
    candidates: tuple[Candidate, ...]
    chosen: bool = False


def explained(candidate: Candidate, preference: Preference) -> dict[str, float]:
    """The parts of the combined score, by name; they sum to it. Boosts that add nothing are left out.

    The language's bias is taken off in so far as the words do not speak for the passage: one that holds what was asked
    for is not there for its language alone.
    """
    words, unit, boosts = candidate.words, candidate.headroom, preference.boosts
    parts = {
        "similarity": candidate.similarity,
        "language bias": -(1 - words) * candidate.language_bias,
        # Without a similarity the words stand alone, and take its place.
        "words": unit * (LEXICAL_WEIGHT if candidate.similarity else 1.0) * words,
    }
    added = {
        "campus": boosts.campus * (preference.campus_id is not None and candidate.campus_id == preference.campus_id),
        "department": boosts.department * (candidate.department_id in preference.departments),
        "priority": boosts.priority * (candidate.priority - 3) / PRIORITIES_FROM_USUAL,
        "recency": boosts.recency * _recency(candidate.dated, preference.today),
        "popularity": boosts.popularity * preference.approval.get(candidate.document_id, 0.0),
        "reader's language": boosts.language * (candidate.language in preference.languages),
    }
    return parts | {name: unit * value for name, value in added.items() if value}


def _recency(dated: date | None, today: date | None) -> float:
    """1 for what was reviewed today, halved with every HALF_LIFE_DAYS; 0 where no date is known."""
    if dated is None or today is None:
        return 0.0
    return float(0.5 ** (max(0, (today - dated).days) / HALF_LIFE_DAYS))


def combined_score(candidate: Candidate, preference: Preference) -> float:
    """similarity - (1 - words) x language bias + headroom x (weight x words + boosts): what every order goes by."""
    return _scored(candidate, preference, {})


def _scored(candidate: Candidate, preference: Preference, recencies: dict[date | None, float]) -> float:
    """The combined score, worked out at once: there are hundreds a search. `recencies` are those known by now."""
    words, boosts = candidate.words, preference.boosts
    if (recency := recencies.get(candidate.dated)) is None:
        recency = recencies[candidate.dated] = _recency(candidate.dated, preference.today)
    added = boosts.priority * (candidate.priority - 3) / PRIORITIES_FROM_USUAL + boosts.recency * recency
    if preference.campus_id is not None and candidate.campus_id == preference.campus_id:
        added += boosts.campus
    if candidate.department_id in preference.departments:
        added += boosts.department
    if candidate.language in preference.languages:
        added += boosts.language
    if preference.approval:
        added += boosts.popularity * preference.approval.get(candidate.document_id, 0.0)
    added += (LEXICAL_WEIGHT if candidate.similarity else 1.0) * words
    return candidate.similarity - (1 - words) * candidate.language_bias + candidate.headroom * added


def rank(candidates: Iterable[Candidate], preference: Preference) -> list[RankedDocument]:
    """Documents, best first, each by its best chunk. Ties are broken by id, so that pages never overlap."""
    # By the number that the id is: a UUID works its hash out by Python, each time.
    by_document: dict[int, list[tuple[float, Candidate]]] = {}
    recencies: dict[date | None, float] = {}
    for candidate in candidates:
        scored = (_scored(candidate, preference, recencies), candidate)
        by_document.setdefault(candidate.document_id.int, []).append(scored)
    ranked = []
    for of_document in by_document.values():
        if len(of_document) > 1:
            of_document.sort(key=lambda pair: (-pair[0], pair[1].chunk_id))
        best = tuple(candidate for _, candidate in of_document[:PASSAGES_A_HIT])
        ranked.append(RankedDocument(best[0].document_id, of_document[0][0], best))
    return sorted(ranked, key=lambda document: (-document.score, document.document_id))


def pinned_first(ranked: Sequence[RankedDocument], pinned: Sequence[UUID]) -> list[RankedDocument]:
    """The same documents, those that librarians chose before all others, in the librarians' order."""
    if not pinned:
        return list(ranked)
    by_id = {document.document_id: document for document in ranked}
    first = [replace(by_id[pk], chosen=True) for pk in pinned if pk in by_id]
    return [*first, *(document for document in ranked if document.document_id not in pinned)]
