"""Odd queries, as part of `bench search`: what nobody should ask, and what somebody will.

One letter, 500 characters, emoji, mixed scripts, only stop words, a pasted paragraph, an address, a regular expression;
and marks on words that stand nearly everywhere. Asked by meaning and words, and by words alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg

from deploy.bench import Bar
from deploy.bench._access_statements import Question
from deploy.bench._access_whole import vectors_known
from deploy.bench._search_corpus import Asker

P99_MS = 300.0
"""The issue that introduced this benchmark."""

ROUNDS = 5
"""How often each is asked; the first time fills every memory and is not counted."""

VIEWERS = 3
"""The widest ones: whoever sees less is answered sooner."""


def texts(connection: psycopg.Connection, asked: Sequence[Question]) -> list[str]:
    """What is asked. The made corpus knows no real words; its two commonest stand for those."""
    row = connection.execute(
        "SELECT array_agg(word) FROM (SELECT word FROM ingestion_term ORDER BY idf, word LIMIT 2) AS common"
    ).fetchone()
    first, second = row[0] if row else ("a", "b")
    three = asked[0].words.replace(" | ", " ")
    paragraph = " ".join(question.words.replace(" | ", " ") for question in asked)[:500]
    return [
        "a", "é", "書", "😀", "the", "what is the", "x" * 500, "大" * 500, ("lorem ipsum dolor sit amet " * 19)[:500],
        "https://www.example.org/a?b=c&d=-e#f", r"^(?:[a-z]+\d{2,})*$", "Straße 大学 جامعة университет पुस्तकालय",
        paragraph, first, f"{first} {second}", f'"{first} {second}"', f"{three} +{first}", f"{three} -{first}",
        f'{three} "{second} {first}"',
    ]  # fmt: skip


def measured(
    connection: psycopg.Connection, askers: Sequence[Asker], asked: Sequence[Question]
) -> tuple[dict[str, Any], list[Bar]]:
    """Milliseconds by the clock over all of them, what took longest, and the bar."""
    from search.query import parse_query
    from search.service import search

    clock: list[float] = []
    longest: dict[str, float] = {}
    queries = [
        parse_query({"q": text, "mode": mode}) for text in texts(connection, asked) for mode in ("hybrid", "keyword")
    ]
    with vectors_known({query.meaning: asked[0].vector for query in queries}):
        for one in askers[:VIEWERS]:
            for turn in range(ROUNDS):
                for query in queries:
                    began = time.perf_counter()
                    search(query, viewer=one.viewer, audited=False)
                    if turn:
                        clock.append((time.perf_counter() - began) * 1000)
                        name = f"{query.text[:24]} ({query.mode.value})"
                        longest[name] = max(longest.get(name, 0.0), clock[-1])
    p99 = round(float(np.percentile(clock, 99)), 2)
    slowest = sorted(longest.items(), key=lambda one: -one[1])[:5]
    figures = {
        "clock_p50_ms": round(statistics.median(clock), 2),
        "clock_p99_ms": p99,
        "slowest_ms": {name: round(value, 1) for name, value in slowest},
    }
    return figures, [Bar("odd queries: p99 (ms)", p99, P99_MS)]
