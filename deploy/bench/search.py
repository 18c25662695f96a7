"""What a whole search costs, and how much of that is the database's own work.

    ./cloister bench search [--json] [--chunks N]

The ten viewers of `bench recall` search by meaning and words (`search.service.search`, nothing of it from a cache but
the vector of the question, facets counted, the audit trail written). In turns with each search, the statements by which
it read are run as they stand through psycopg: what it takes more is Python's, Django's and the trail's. Milliseconds by
the clock; beside them, on the processor (Python's and the database's together), which other work hardly changes.

Makes its corpus, from a seed, in the database `searchbench` beside the one that DATABASE_URL names (with `--chunks`, in
one of its own), and leaves it there for the next run and for `bench recall` (drop it when done). Growth is what the
figures of a run with ten times the chunks are, divided by these. Without a running instance it starts the parts that it
needs.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from deploy.bench import Bar, _search_odd, _search_suggest, conclude, machine
from deploy.bench._access_server import SESSION
from deploy.bench._access_statements import Question, questions
from deploy.bench._access_timing import scheduled
from deploy.bench._access_whole import Cost, least, timed, vectors_known
from deploy.bench._access_whole import prepare as prepare_connection
from deploy.bench._parts import again_with_parts, missing
from deploy.bench._search_corpus import Asker, askers, described, prepare

QUESTIONS, ROUNDS = 25, 4
"""How many questions, and how often each is asked in each way; the first time fills every memory and is not counted."""

P50_MS, P95_MS, TIMES_BARE = 20.0, 40.0, 1.5
"""The issue that introduced this benchmark."""


def main() -> int:
    """Measure, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.bench.search")
    before = machine()
    server, chunks = prepare(sys.argv[1:])
    with server.connect() as connection:
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = '{value}'")
        asked = questions(connection, QUESTIONS)
        with vectors_known({question.words.replace(" | ", " "): question.vector for question in asked}):
            figures = {one.name: _measured(one, asked, connection) for one in askers()}
        typing, typing_bars = _search_suggest.measured(askers(), asked)
        odd, odd_bars = _search_odd.measured(connection, askers(), asked)
    bars = [
        Bar(f"{name}: {what}", one[figure], limit)
        for name, one in figures.items()
        for what, figure, limit in (
            ("p50 (ms)", "clock_p50_ms", P50_MS),
            ("p95 (ms)", "clock_p95_ms", P95_MS),
            ("of its bare statements", "times_bare", TIMES_BARE),
        )
    ]
    return conclude(
        "search",
        on=before,
        data=f"{described(chunks)}; {QUESTIONS} questions, each {ROUNDS - 1} times in each way",
        figures=figures | {"typeahead": typing, "odd queries": odd},
        bars=bars + typing_bars + odd_bars,
    )


def _measured(asker: Asker, asked: Sequence[Question], connection: psycopg.Connection) -> dict[str, Any]:
    """The costs of the questions as whole searches and as bare statements."""
    from search.service import search

    ours, theirs = prepare_connection(), scheduled(connection)
    whole: list[list[Cost]] = [[] for _ in asked]
    bare: list[list[Cost]] = [[] for _ in asked]
    statements = 0
    for turn in range(ROUNDS):
        for place, question in enumerate(asked):
            query = asker.query(question, "hybrid")
            ask = partial(search, query, viewer=asker.viewer)
            read = _statements_of(partial(search, query, viewer=asker.viewer, audited=False))
            statements = max(statements, len(read))
            ways: list[tuple[list[list[Cost]], Callable[[], Any], Path | None]] = [
                (whole, ask, ours),
                (bare, partial(_run, connection, read), theirs),
            ]
            # Whoever asks first warms the memory for the next.
            for costs, work, kept in ways if (turn + place) % 2 else reversed(ways):
                cost, _ = timed(work, kept)
                if turn:
                    costs[place].append(cost)
    figures: dict[str, Any] = {"statements_that_read": statements}
    for name, costs in (("", whole), ("bare_", bare)):
        every = [cost for rounds in costs for cost in rounds]
        clock = [cost.clock for cost in every]
        figures |= {
            f"{name}clock_p50_ms": round(statistics.median(clock), 2),
            f"{name}clock_p95_ms": round(float(np.percentile(clock, 95)), 2),
        }
        processor = [cost.processor for cost in every if cost.processor is not None]
        if processor:
            figures[f"{name}processor_p50_ms"] = round(statistics.median(processor), 2)
    # Of each question the least of its rounds, which other work disturbs least.
    times = [sum(cost.clock for cost in least(costs)) for costs in (whole, bare)]
    return figures | {"times_bare": round(times[0] / times[1], 2)}


def _statements_of(work: Callable[[], Any]) -> list[str]:
    """The statements that this reads with, as PostgreSQL gets them."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        work()
    return [one["sql"] for one in captured.captured_queries if one["sql"].split()[0] in ("SELECT", "WITH")]


def _run(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    """Run these in one transaction, as a search does, since the first one sets how the index is walked."""
    with connection.transaction():
        for statement in statements:
            connection.execute(statement).fetchall()


if __name__ == "__main__":
    sys.exit(main())
