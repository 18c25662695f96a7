"""How candidates become ordered documents."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.boosts import Boosts, boosts_from
from search.ranking import (
    HALF_LIFE_DAYS,
    LEXICAL_WEIGHT,
    PASSAGES_A_HIT,
    Candidate,
    Preference,
    combined_score,
    explained,
    rank,
)

NOBODY = Preference()
TODAY = date(2026, 3, 1)


def candidate(chunk_id: int, document: int = 0, **more: object) -> Candidate:
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


def test_a_passage_that_holds_the_words_keeps_what_its_language_brings() -> None:
    # Of two that are alike, one in the question's language and one not: by meaning alone they tie.
    own = candidate(1, similarity=0.83, language_bias=0.03)
    other = candidate(2, similarity=0.80)
    assert combined_score(own, NOBODY) == pytest.approx(combined_score(other, NOBODY))
    own, other = (replace(one, coverage=0.5, word_rank=1.0) for one in (own, other))
    assert combined_score(own, NOBODY) - combined_score(other, NOBODY) == pytest.approx(0.5 * 0.03)


def test_what_is_added_is_measured_by_the_room_that_the_model_leaves() -> None:
    wide = candidate(1, similarity=0.5, coverage=1.0, word_rank=1.0, campus_id=7, headroom=0.8)
    narrow = replace(wide, similarity=0.9, headroom=0.2)
    added = [combined_score(one, Preference(campus_id=7)) - one.similarity for one in (wide, narrow)]
    assert added[0] == pytest.approx(4 * added[1])


def test_words_that_match_half_as_well_as_elsewhere_count_a_quarter() -> None:
    full, half = candidate(1, coverage=0.8, word_rank=1.0), candidate(2, coverage=0.8, word_rank=0.5)
    assert half.words == pytest.approx(full.words / 4)


def test_preferences_rank_and_hide_nothing() -> None:
    found = [candidate(1, document=1), candidate(2, document=2, campus_id=7), candidate(3, document=3, department_id=9)]
    assert [document.document_id.int for document in rank(found, Preference(campus_id=7))] == [2, 1, 3]
    assert [document.document_id.int for document in rank(found, Preference(departments=frozenset({9})))] == [3, 1, 2]
    assert [document.document_id.int for document in rank(found, NOBODY)] == [1, 2, 3]
    # No campus of one's own is no campus to prefer.
    assert combined_score(candidate(1, campus_id=None), Preference(campus_id=None)) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("name", "favoured", "other"),
    [
        ("campus", {"campus_id": 7}, {"campus_id": 8}),
        ("department", {"department_id": 9}, {"department_id": 8}),
        ("priority", {"priority": 4}, {"priority": 2}),
        ("recency", {"dated": TODAY - timedelta(30)}, {"dated": TODAY - timedelta(3000)}),
        ("recency", {"dated": TODAY + timedelta(30)}, {"dated": None}),
        ("popularity", {"document": 1}, {"document": 2}),
        ("reader's language", {"language": "de"}, {"language": "en"}),
    ],
)
def test_each_preference_lifts_what_it_is_for_and_can_be_switched_off(
    name: str, favoured: dict[str, object], other: dict[str, object]
) -> None:
    preference = Preference(
        7, frozenset({9}), frozenset({"de"}), TODAY, {UUID(int=1): 0.5, UUID(int=2): -0.5}, Boosts()
    )
    liked, plain = candidate(1, **favoured), candidate(2, **other)  # type: ignore[arg-type]
    assert combined_score(liked, preference) > combined_score(plain, preference)
    assert explained(liked, preference)[name] > 0
    off = replace(preference, boosts=replace(Boosts(), **{"language" if name == "reader's language" else name: 0.0}))
    assert combined_score(liked, off) == combined_score(plain, off) == pytest.approx(0.8)


def test_recency_halves_with_every_half_life() -> None:
    preference = Preference(today=TODAY)
    old = candidate(1, dated=TODAY - timedelta(HALF_LIFE_DAYS))
    assert explained(old, preference)["recency"] == pytest.approx(Boosts().recency / 2)


def test_boosts_are_small_beside_a_match() -> None:
    assert sum(asdict(Boosts()).values()) < LEXICAL_WEIGHT / 2


def test_boosts_are_set_by_name() -> None:
    assert boosts_from("") == Boosts()
    assert boosts_from("recency=0.01, popularity=0") == replace(Boosts(), recency=0.01, popularity=0.0)
    for wrong in ("speed=1", "recency", "recency=fast", "recency=-0.01", "recency=0.3", "recency=nan"):
        with pytest.raises(ValueError, match="SEARCH_BOOSTS: "):
            boosts_from(wrong)


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
    language=st.sampled_from(["", "en", "de"]),
    dated=st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    headroom=st.floats(0.1, 1),
)


@given(candidates)
def test_the_parts_that_are_told_sum_to_the_score(one: Candidate) -> None:
    preference = Preference(1, frozenset({2}), frozenset({"de"}), TODAY, {one.document_id: 0.3})
    parts = explained(one, preference)
    assert sum(parts.values()) == pytest.approx(combined_score(one, preference))
    assert {"similarity", "language bias", "words"} <= set(parts)
    assert 0 <= one.words <= 1


@given(st.lists(candidates, unique_by=lambda one: one.chunk_id), st.randoms(use_true_random=False))
def test_the_order_is_the_same_however_the_candidates_come(found: list[Candidate], chance: random.Random) -> None:
    preference = Preference(1, frozenset({2}))
    ranked = rank(found, preference)
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert rank(shuffled, preference) == ranked
    assert {document.document_id for document in ranked} == {one.document_id for one in found}
    assert [document.score for document in ranked] == sorted((document.score for document in ranked), reverse=True)
