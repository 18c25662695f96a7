"""What the access rule costs in a whole search.

    ./cloister bench access [--json] [--chunks N]

The same call, `search.service.search` (the vector of the question in the cache, the audit trail written), is timed in
turns with the rule as it is and with the rule answered beforehand: a stored column for each viewer that says row by row
whether they see it (deploy/bench/_access_beforehand.py). Corpus, route, candidates and answer are the same in both, so
the difference is what working the rule out costs: clearance, readers, window and state, on documents and chunks, in
every statement of the search. What it does not measure is that the viewer's corpus lies in a larger one: an index walk
past what is hidden, which any filter of that width would cost. Who the viewer is, is read from the database before the
search, at every request; that is stated beside it.

That column stands last in its row and takes a moment to reach, which flatters the rule. For the administrator, who sees
everything, the other side is therefore no rule at all.

Makes its corpus, from a seed, in the database `accesscost` beside the one that DATABASE_URL names, and leaves it there
for the next run (drop it when done). Without a running instance it starts the parts that it needs, for as long.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import psycopg

from deploy.bench import Bar, conclude, machine
from deploy.bench._access_beforehand import add_columns, name_columns
from deploy.bench._access_corpus import DEPARTMENTS, DIMENSIONS, SEED, AccessMix, Corpus, build
from deploy.bench._access_server import Server, set_up_django
from deploy.bench._access_statements import questions
from deploy.bench._access_whole import Comparison, Searcher, compare, reading_who_asks
from deploy.bench._parts import again_with_parts, missing

SCRATCH = "accesscost"
CHUNKS = 100_000
QUESTIONS, ROUNDS = 25, 5
"""How many questions, and how often each is asked in each way."""
TIMES_READ = 100
"""How often the viewer is read."""

LIMIT = 10.0
"""Percent of the whole search that the rule may cost (the issue that introduced this benchmark)."""

MIX: AccessMix = (
    ("institution", 1, 0.30),
    ("institution", 2, 0.25),
    ("institution", 3, 0.10),
    ("institution", 4, 0.05),
    ("department", 2, 0.12),
    ("department", 3, 0.12),
    ("department", 4, 0.06),
)
LANGUAGES = {"en": 0.74, "de": 0.15, "fr": 0.10, "es": 0.01}
WINDOWED = 0.05

FIVE = (6, 16, 26, 36, 46)
"""A member of staff's departments, middling to small ones: the made ones' ids count from 1, the largest first."""


def viewers() -> dict[str, Any]:
    """Who searches, by the name of their column."""
    from accounts.clearance import PUBLIC_VIEWER, Role, Viewer

    return {
        "seen_staff": Viewer(Role.STAFF, 3, frozenset(FIVE)),
        "seen_student": Viewer(Role.STUDENT, 2, frozenset(FIVE[:2])),
        "seen_public": PUBLIC_VIEWER,
        "seen_admin": Viewer(Role.ADMIN, 4, every_department=True),
    }


def searchers() -> list[Searcher]:
    """The searches that are compared: mostly through the index, and with a filter that leaves few chunks exactly."""
    known = viewers()
    narrow = {"departments": ("Department 3",)}
    return [
        Searcher("staff of five departments", known["seen_staff"], "seen_staff"),
        Searcher("staff of five departments, filtered", known["seen_staff"], "seen_staff", narrow),
        Searcher("student of two departments", known["seen_student"], "seen_student"),
        Searcher("anonymous", known["seen_public"], "seen_public"),
        Searcher("administrator, against no rule at all", known["seen_admin"], ""),
        Searcher("administrator, filtered, against no rule at all", known["seen_admin"], "", narrow),
    ]


def main() -> int:
    """Measure, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.bench.access")
    before = machine()
    arguments = sys.argv[1:]
    chunks = int(arguments[arguments.index("--chunks") + 1]) if "--chunks" in arguments else CHUNKS
    server = Server(os.environ["DATABASE_URL"], SCRATCH)
    migrate = set_up_django(server)
    mark = f"access: {chunks} chunks, seed {SEED}"
    if not server.made(mark):
        server.make(mark, migrate, lambda connection: _fill(connection, chunks))
    name_columns(viewers())
    with server.connect() as connection:
        asked = questions(connection, QUESTIONS)
    compared = {searcher.name: compare(searcher, asked, ROUNDS) for searcher in searchers()}
    return conclude(
        "access",
        on=before,
        data=f"{chunks:,} made chunks of halfvec({DIMENSIONS}), {chunks // 5:,} documents, {DEPARTMENTS} departments, "
        f"seed {SEED}; {QUESTIONS} questions, each {ROUNDS} times in each way",
        figures={name: one.figures() for name, one in compared.items()}
        | {"reading_who_asks": reading_who_asks(FIVE, TIMES_READ)},
        bars=[_bar(name, one) for name, one in compared.items() if name.startswith("staff") or "no rule" in name],
    )


def _bar(name: str, compared: Comparison) -> Bar:
    return Bar(f"{name}: the rule's share of a search (%)", compared.share_percent, LIMIT)


def _fill(connection: psycopg.Connection, chunks: int) -> None:
    """The corpus with its columns, and what scores know of it as a whole."""
    from ingestion import statistics, vectorspace

    add_columns(connection, viewers())
    build(connection, Corpus(chunks, MIX, LANGUAGES, WINDOWED))
    vectorspace.settle()
    statistics.refresh()


if __name__ == "__main__":
    sys.exit(main())
