"""Typeahead, as part of `bench search`: what an answer to each stop in typing costs, for each of the ten viewers.

All titles of the made corpus begin alike ('Document 17'), and all its sections are one: the first letters find every
document there is, and figures find few, which are the two ends of what typing costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from deploy.bench import Bar
from deploy.bench._access_statements import Question
from deploy.bench._search_corpus import Asker

P95_MS = 50.0
"""The issue that introduced this benchmark."""

ROUNDS = 3
WORDS = 10


def stops(asked: Sequence[Question]) -> list[str]:
    """What stands in the field at each stop: beginnings of titles and sections, and of words of the questions."""
    typed = ["d", "do", "document", "document 1", "document 12", "document 1234", "1", "s", "sec", "section of the m"]
    words = [question.words.split()[0] for question in asked[:WORDS]]
    return [*typed, *(word[:length] for word in words for length in (1, 2, 4))]


def measured(askers: Sequence[Asker], asked: Sequence[Question]) -> tuple[dict[str, Any], list[Bar]]:
    """Milliseconds by the clock, for each viewer, and the bar that each is held to."""
    from search.suggest import suggestions

    figures: dict[str, Any] = {}
    for one in askers:
        under = one.query(asked[0], "hybrid")
        clock: list[float] = []
        for turn in range(ROUNDS):
            for typed in stops(asked):
                began = time.perf_counter()
                suggestions(typed, viewer=one.viewer, under=under)
                if turn:
                    clock.append((time.perf_counter() - began) * 1000)
        p95 = round(float(np.percentile(clock, 95)), 2)
        figures[one.name] = {"clock_p50_ms": round(statistics.median(clock), 2), "clock_p95_ms": p95}
    return figures, [Bar(f"typeahead, {name}: p95 (ms)", one["clock_p95_ms"], P95_MS) for name, one in figures.items()]
