"""How candidates become ordered documents."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.ranking import (
    CAMPUS_BOOST,
    DEPARTMENT_BOOST,
    LEXICAL_WEIGHT,
    PASSAGES_A_HIT,
    PRIORITY_STEP,
    Candidate,
    Preference,
    combined_score,
    rank,
)

NOBODY = Preference()


def candidate(chunk_id: int, document: int = 0, **more: float | int | None) -> Candidate:
    fields = {
        "similarity": 0.8, "language_bias": 0.0, "coverage": 0.0, "word_rank": 0.0, "campus_id": None,
        "department_id": 1, "priority": 3,
    }  # fmt: skip
    return Candidate(chunk_id=chunk_id, document_id=UUID(int=document), **fields | more)  # type: ignore[arg-type]


def test_one_hit_a_document_with_its_best_passages_first() -> None:
    found = [candidate(n, document=n % 2, similarity=0.5 + n / 100) for n in range(10)]
    ranked = rank(found, NOBODY)
    assert [document.document_id for document in ranked] == [UUID(int=1), UUID(int=0)]
    assert [one.chunk_id for one in ranked[0].candidates] == [9, 7, 5]
    assert all(len(document.candidates) == PASSAGES_A_HIT for document in ranked)
    assert ranked[0].score == combined_score(ranked[0].candidates[0], NOBODY)


def test_words_lift_and_a_language_of_its_own_does_not() -> None:
    plain, worded = candidate(1), candidate(2, coverage=1.0, word_rank=1.0)
    assert combined_score(worded, NOBODY) - combined_score(plain, NOBODY) == pytest.approx(LEXICAL_WEIGHT)
    assert combined_score(candidate(3, similarity=0.9, language_bias=0.1), NOBODY) == pytest.approx(
        combined_score(plain, NOBODY)
    )


def test_preferences_rank_and_hide_nothing() -> None:
    found = [candidate(1, document=1), candidate(2, document=2, campus_id=7), candidate(3, document=3, department_id=9)]
    assert [document.document_id.int for document in rank(found, Preference(campus_id=7))] == [2, 1, 3]
    assert [document.document_id.int for document in rank(found, Preference(departments=frozenset({9})))] == [3, 1, 2]
    assert [document.document_id.int for document in rank(found, NOBODY)] == [1, 2, 3]
    # No campus of one's own is no campus to prefer.
    assert combined_score(candidate(1, campus_id=None), Preference(campus_id=None)) == pytest.approx(0.8)


def test_boosts_are_small_beside_a_match() -> None:
    most = CAMPUS_BOOST + DEPARTMENT_BOOST + 2 * PRIORITY_STEP
    assert most < LEXICAL_WEIGHT / 2


def test_without_similarities_words_outweigh_the_boosts() -> None:
    found = [
        candidate(1, document=1, similarity=0.0, coverage=0.8, word_rank=1.0, campus_id=7, department_id=9, priority=5),
        candidate(2, document=2, similarity=0.0, coverage=1.0, word_rank=1.0),
    ]
    assert rank(found, Preference(7, frozenset({9})))[0].document_id == UUID(int=2)


candidates = st.builds(
    Candidate,
    chunk_id=st.integers(1, 50),
    document_id=st.integers(0, 8).map(lambda number: UUID(int=number)),
    similarity=st.floats(0, 1),
    language_bias=st.floats(-0.1, 0.1),
    coverage=st.floats(0, 1),
    word_rank=st.floats(0, 1),
    campus_id=st.sampled_from([None, 1, 2]),
    department_id=st.integers(1, 3),
    priority=st.integers(1, 5),
)


@given(st.lists(candidates, unique_by=lambda one: one.chunk_id), st.randoms(use_true_random=False))
def test_the_order_is_the_same_however_the_candidates_come(found: list[Candidate], chance: random.Random) -> None:
    preference = Preference(1, frozenset({2}))
    ranked = rank(found, preference)
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert rank(shuffled, preference) == ranked
    assert {document.document_id for document in ranked} == {one.document_id for one in found}
    assert [document.score for document in ranked] == sorted((document.score for document in ranked), reverse=True)
