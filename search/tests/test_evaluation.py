"""The measures of a judged set, and that measuring leaves no trace."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Department
from ingestion.models import Chunk, Document, LanguageCentre, Term, VectorSpace
from search import evaluation
from search.evaluation import InvalidSet, measures, ndcg, read_set, recall, reciprocal_rank
from search.models import SearchEvent


def test_measures_of_rankings_known_by_hand() -> None:
    found = ["x", "a", "y", "b"]
    assert reciprocal_rank(found, {"a", "b"}, 10) == 0.5
    assert reciprocal_rank(found, {"b"}, 3) == 0
    assert recall(found, {"a", "b", "c", "d"}, 10) == 0.5
    assert recall(found, {"a", "b"}, 2) == 0.5
    # (1/log2(3) + 1/log2(5)) / (1 + 1/log2(3))
    assert ndcg(found, {"a", "b"}, 10) == pytest.approx(0.6509, abs=1e-4)
    assert ndcg(["a", "b"], {"a", "b"}, 10) == 1
    assert ndcg([], {"a"}, 10) == 0
    # More relevant documents than ranks: the best that ten ranks can hold is 1.
    assert ndcg([str(n) for n in range(10)], {str(n) for n in range(30)}, 10) == 1
    averaged = measures({"1": ["a"], "2": ["x"]}, {"1": {"a"}, "2": {"a"}})
    assert averaged == {"ndcg@10": 0.5, "mrr@10": 0.5, "recall@10": 0.5, "recall@100": 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents in two languages, three questions."""
    documents = [
        {"id": "d1", "title": "Loans", "text": "You may borrow twenty books.", "language": "en"},
        {"id": "d2", "title": "Parking", "text": "A permit to park costs ten pounds.", "language": "en"},
        {"id": "d3", "title": "Ausleihe", "text": "Sie dürfen zwanzig Bücher ausleihen.", "language": "de"},
    ]
    queries = [
        {"id": "q1", "text": "How many books can I borrow?", "language": "en"},
        {"id": "q2", "text": "Was kostet ein Parkausweis?", "language": "de"},
        {"id": "q3", "text": "Nobody judged this one", "language": "en"},
    ]
    for name, lines in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\nq1\td1\t1\nq1\td3\t1\nq2\td2\t1\nq3\td1\t0\n")
    return tmp_path


def test_a_set_is_read_and_narrowed_by_language(folder: Path) -> None:
    whole = read_set(folder)
    assert set(whole.corpus) == {"d1", "d2", "d3"}
    assert whole.relevant == {"q1": {"d1", "d3"}, "q2": {"d2"}}
    assert set(whole.queries) == {"q1", "q2"}
    assert read_set(folder, query_language="de").queries == {"q2": "Was kostet ein Parkausweis?"}
    assert read_set(folder, query_language="en", document_language="de").relevant == {"q1": {"d3"}}
    with pytest.raises(InvalidSet, match="no judged query left"):
        read_set(folder, query_language="zh")


@pytest.mark.parametrize("broken", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_folder_that_is_no_set_is_refused(folder: Path, broken: str) -> None:
    (folder / broken).write_text("{}\n")
    with pytest.raises(InvalidSet, match=r"is not a judged set|no judged query"):
        read_set(folder)
    (folder / broken).unlink()
    with pytest.raises(CommandError, match="is not a judged set"):
        call_command("evaluate_search", str(folder))


def state() -> dict[str, object]:
    return {
        model.__name__: sorted(str(row) for row in model.objects.values_list())
        for model in (Document, Chunk, Department, LanguageCentre, Term, VectorSpace, SearchEvent)
    }


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_measuring_goes_through_the_real_search_and_leaves_the_corpus_as_it_was(
    folder: Path, corpus: dict[str, Document], mode: str
) -> None:
    before = state()
    answer = StringIO()
    call_command("evaluate_search", str(folder), mode=mode, json=True, stdout=answer)
    found = json.loads(answer.getvalue())
    assert set(found) == {
        "ndcg@10", "mrr@10", "recall@10", "recall@100", "documents", "queries", "p50_ms", "p95_ms"
    }  # fmt: skip
    assert (found["documents"], found["queries"]) == (3, 2)
    if mode != "keyword":
        assert found["recall@10"] == 1
    assert found["p95_ms"] >= found["p50_ms"] > 0
    assert state() == before


def test_measuring_an_empty_corpus_leaves_it_empty(folder: Path, db: None) -> None:
    before = state()
    answer = StringIO()
    call_command("evaluate_search", str(folder), stdout=answer)
    assert "ndcg@10" in answer.getvalue()
    assert state() == before


def test_a_failure_in_the_middle_leaves_nothing_either(folder: Path, corpus: dict[str, Document]) -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), evaluation.loaded(read_set(folder)):
        raise ZeroDivisionError
    assert state() == before


SHARED = Path(os.environ.get("CLOISTER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(not (SHARED / "retrieval").is_dir(), reason="the shared judged sets are not here")
@pytest.mark.parametrize(
    ("name", "documents", "queries"), [("scifact", 5183, 809), ("npl", 11429, 93), ("xquad_tune", 960, 4760)]
)
def test_the_shared_sets_are_read_whole(name: str, documents: int, queries: int) -> None:
    judged = read_set(SHARED / "retrieval" / name)
    assert (len(judged.corpus), len(judged.queries)) == (documents, queries)
