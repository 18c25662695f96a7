"""From candidates to ordered hits: fusion of the two legs, small boosts, one hit a document. Pure; no Django."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

LEXICAL_WEIGHT = 0.07
"""What a perfect match of all words adds to a cosine similarity. Equal weights drag cross-language searches down to
same-script noise (DESIGN, section 3: MRR@10 of XQuAD de->en 0.896 by meaning alone, 0.654 with equal rank fusion).
Chosen on the judged sets (docs/benchmarks.md): from 0.05 to 0.1 the measures hardly differ."""

WORDS_ALONE_WEIGHT = 0.25
"""The same where there is no similarity to add to: enough that the boosts stay small beside it."""

RANK_SHARE = 0.6
"""How much of the words' weight follows where and how often they stand, the rest being which of them do. More is better
across languages, less with long queries (docs/benchmarks.md)."""

CAMPUS_BOOST = 0.01
DEPARTMENT_BOOST = 0.01
PRIORITY_STEP = 0.002
"""Boosts in units of cosine similarity; each is smaller than the usual gap between a right and a wrong passage.
Priority counts from 3, the usual one, in steps."""

PASSAGES_A_HIT = 3


@dataclass(frozen=True)
class Candidate:
    """A chunk that one of the legs proposes.

    `similarity` is the cosine similarity to the query vector, 0 where there is none; `language_bias` is how much of it
    the chunk's language alone brings, against the corpus as a whole. `coverage` is the share of the query's words that
    stand in it, weighed by rarity, and `word_rank` how much they weigh there against the best candidate; both 0 to 1.
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


@dataclass(frozen=True)
class Preference:
    """What of the viewer orders the hits; it hides none."""

    campus_id: int | None = None
    departments: frozenset[int] = frozenset()


@dataclass(frozen=True)
class RankedDocument:
    """A document with its best chunks, best first."""

    document_id: UUID
    score: float
    candidates: tuple[Candidate, ...]


def combined_score(candidate: Candidate, preference: Preference) -> float:
    """similarity - language bias + weight x words + boosts: the formula behind every order."""
    words = candidate.coverage * (1 - RANK_SHARE + RANK_SHARE * candidate.word_rank)
    weight = LEXICAL_WEIGHT if candidate.similarity else WORDS_ALONE_WEIGHT
    score = candidate.similarity - candidate.language_bias + weight * words
    if preference.campus_id is not None and candidate.campus_id == preference.campus_id:
        score += CAMPUS_BOOST
    if candidate.department_id in preference.departments:
        score += DEPARTMENT_BOOST
    return score + PRIORITY_STEP * (candidate.priority - 3)


def rank(candidates: Iterable[Candidate], preference: Preference) -> list[RankedDocument]:
    """Documents, best first, each by its best chunk. Ties are broken by id, so that pages never overlap."""
    by_document: dict[UUID, list[tuple[float, Candidate]]] = {}
    for candidate in candidates:
        by_document.setdefault(candidate.document_id, []).append((combined_score(candidate, preference), candidate))
    ranked = []
    for document_id, scored in by_document.items():
        scored.sort(key=lambda pair: (-pair[0], pair[1].chunk_id))
        best = tuple(candidate for _, candidate in scored[:PASSAGES_A_HIT])
        ranked.append(RankedDocument(document_id, scored[0][0], best))
    return sorted(ranked, key=lambda document: (-document.score, document.document_id))
