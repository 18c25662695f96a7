"""The judged sets of the quality benchmark: each put into the real search, whole and language by language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.evaluation import JudgedSet, LoadedSet

LEGS = ("semantic", "keyword")
SAME_LANGUAGE = "qrels_same_language.tsv"
"""The judgements of a set in several languages by which only the answer in the question's own language counts."""

DEPTH = 10
"""Hits that nDCG and MRR need; of hybrid over a whole set a hundred are looked at, for its recall."""


@dataclass(frozen=True)
class Measured:
    """What one set of questions came to in each mode: the measures of `evaluate_search`, by the mode's name."""

    name: str
    by_mode: dict[str, dict[str, Any]]
    pair: tuple[str, str] | None = None
    """The language of the questions and that of the documents, where there is one of each among several."""
    whole: dict[str, Any] | None = None
    """What hybrid came to on all questions, where `by_mode` is of a sample."""

    def best_leg(self, measure: str) -> float:
        """The better of the two legs."""
        return max(float(self.by_mode[leg][measure]) for leg in LEGS)

    def hybrid(self, measure: str) -> float:
        """What both legs together come to, on the questions on which the legs were measured."""
        return float(self.by_mode["hybrid"][measure])

    def whole_hybrid(self, measure: str) -> float:
        """The same on all questions."""
        return float((self.whole or self.by_mode["hybrid"])[measure])


def sets_in(folder: Path) -> list[Path]:
    """The judged sets in this folder, by name."""
    return sorted(path.parent for path in folder.glob("*/corpus.jsonl"))


def languages_of(folder: Path) -> list[str]:
    """The languages of a set's documents."""
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        return sorted({json.loads(line)["language"] for line in lines})


def measure(folder: Path, *, every: int) -> Iterator[Measured]:
    """The measures of a set: all of it, and for one of several languages each pair of them.

    Of a set in several languages the legs are asked each `every`-th question, and hybrid all of them as well: a sample
    is enough to compare three answers to one question, and too little for the mean over the questions of a pair.
    """
    from search.evaluation import loaded, measured, read_set
    from search.query import Mode

    def compare(name: str, judged: JudgedSet, corpus: LoadedSet, pair: tuple[str, str] | None = None) -> Measured:
        whole = measured(judged, corpus, mode=Mode.HYBRID, depth=DEPTH) if every > 1 else None
        return Measured(name, _in_each_mode(judged.sampled(every), corpus), pair, whole)

    languages = languages_of(folder)
    several = len(languages) > 1
    judged = read_set(folder)
    with loaded(judged) as corpus:
        yield Measured(folder.name, _in_each_mode(judged.sampled(every if several else 1), corpus, recall=True))
        if several and (folder / SAME_LANGUAGE).exists():
            yield compare(f"{folder.name}, same language", read_set(folder, qrels=SAME_LANGUAGE), corpus)
    for documents in languages if several else []:
        with loaded(read_set(folder, document_language=documents)) as corpus:
            for questions in languages:
                pair = read_set(folder, query_language=questions, document_language=documents)
                yield compare(f"{folder.name}, {questions} to {documents}", pair, corpus, (questions, documents))


def _in_each_mode(judged: JudgedSet, corpus: LoadedSet, *, recall: bool = False) -> dict[str, dict[str, Any]]:
    """The measures by mode; recall@100 is told only of hybrid, and where it is asked for."""
    from search.evaluation import DEPTH as DEPTH_OF_RECALL
    from search.evaluation import measured
    from search.query import Mode

    figures = {}
    for mode in Mode:
        deep = recall and mode is Mode.HYBRID
        figures[mode.value] = measured(judged, corpus, mode=mode, depth=DEPTH_OF_RECALL if deep else DEPTH)
        if not deep:
            del figures[mode.value]["recall@100"]
    return figures
