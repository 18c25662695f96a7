"""What `./cloister bench quality` stands on: that it measures each set and pair, and notices what falls short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.bench import AtLeast
from deploy.bench._quality_sets import Measured, measure, sets_in
from deploy.bench.quality import below, floors


def came_to(name: str, hybrid: float, semantic: float, keyword: float, pair: tuple[str, str] | None = None) -> Measured:
    figures = {"hybrid": hybrid, "semantic": semantic, "keyword": keyword}
    return Measured(name, {mode: {"ndcg@10": one, "mrr@10": one} for mode, one in figures.items()}, pair)


def test_hybrid_is_held_against_the_better_of_its_legs() -> None:
    assert below(came_to("any", 0.70, 0.705, 0.5)).ok
    assert not below(came_to("any", 0.70, 0.5, 0.711)).ok
    assert below(came_to("any", 0.9, 0.5, 0.6)).value == 0


def test_a_measure_on_which_hybrid_falls_behind_is_not_made_up_for_by_the_other() -> None:
    one = came_to("any", 0.7, 0.7, 0.7)
    one.by_mode["keyword"]["mrr@10"] = 0.75
    assert below(one).value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "pair", "limit"),
    [
        ("scifact", None, 0.72),
        ("npl", None, 0.45),
        ("xquad_tune, same language", None, 0.96),
        ("xquad_tune, en to en", ("en", "en"), 0.96),
        ("xquad_tune, de to es", ("de", "es"), 0.88),
        ("xquad_tune, zh to en", ("zh", "en"), 0.76),
    ],
)
def test_what_is_asked_of_the_known_sets(name: str, pair: tuple[str, str] | None, limit: float) -> None:
    (bar,) = floors(came_to(name, limit, 0.5, 0.5, pair))
    assert bar.limit == limit
    assert bar.ok
    assert not AtLeast(bar.name, bar.value - 0.001, bar.limit).ok


def test_floors_are_asked_of_all_questions_and_not_of_the_sample() -> None:
    one = came_to("scifact", 0.8, 0.5, 0.5)
    (bar,) = floors(replace(one, whole={"ndcg@10": 0.7, "mrr@10": 0.7}))
    assert not bar.ok


def test_of_an_unknown_set_only_the_legs_are_asked() -> None:
    assert not list(floors(came_to("another", 0.1, 0.1, 0.1)))
    assert not list(floors(came_to("another, en to de", 0.1, 0.1, 0.1, ("en", "de"))))


def test_a_set_in_several_languages_is_measured_as_a_whole_and_in_pairs(tmp_path: Path, db: None) -> None:
    folder = tmp_path / "loans"
    folder.mkdir()
    documents = [("en-1", "en", "You may borrow twenty books."), ("de-1", "de", "Sie dürfen zwanzig Bücher ausleihen.")]
    queries = [("q-en", "en", "How many books may I borrow?"), ("q-de", "de", "Wie viele Bücher darf ich ausleihen?")]
    lines = [json.dumps({"id": name, "title": "", "text": text, "language": at}) for name, at, text in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    lines = [json.dumps({"id": name, "text": text, "language": at}) for name, at, text in queries]
    (folder / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    header = "query_id\tdoc_id\trelevance\n"
    (folder / "qrels.tsv").write_text(
        header + "".join(f"{query[0]}\t{one[0]}\t1\n" for query in queries for one in documents)
    )
    (folder / "qrels_same_language.tsv").write_text(header + "q-en\ten-1\t1\nq-de\tde-1\t1\n")
    assert sets_in(tmp_path) == [folder]
    found = {one.name: one for one in measure(folder, every=1)}
    assert set(found) == {
        "loans", "loans, same language", "loans, en to en", "loans, en to de", "loans, de to en", "loans, de to de"
    }  # fmt: skip
    assert found["loans"].hybrid("ndcg@10") == 1
    assert found["loans, de to en"].pair == ("de", "en")
    assert found["loans, de to en"].by_mode["hybrid"]["documents"] == 1
    # Only documents of the one language are there to be found.
    assert found["loans, de to en"].hybrid("mrr@10") == 1
    assert found["loans, same language"].hybrid("mrr@10") == 1
