"""What `recall` and `search` ask: one made corpus in several languages, and ten viewers with less and less to see.

The corpus is that of the access benchmarks (_access_corpus), with languages that show in the vectors as they do in real
ones. The viewers' shares come about in the ways in which they do in earnest: by clearance, by department (which goes
together with the theme), by language, and by a date, which has nothing to do with any of these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import psycopg

from deploy.bench._access_corpus import (
    DEPARTMENTS,
    DIMENSIONS,
    FIRST_REVIEW,
    REVIEW_DAYS,
    SEED,
    AccessMix,
    Corpus,
    build,
)
from deploy.bench._access_server import Server, set_up_django
from deploy.bench._access_statements import Question

SCRATCH = "searchbench"
CHUNKS = 100_000

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
SPOKEN = 0.05
"""Of a vector's squared length what its language decides: of multilingual-e5-small's vectors 0.04 to 0.07."""


@dataclass(frozen=True)
class Asker:
    """Somebody who searches: a viewer, their filters, and the share of the chunks that these leave, in percent."""

    name: str
    viewer: Any
    filters: Mapping[str, Any] = field(default_factory=dict)

    def query(self, question: Question, mode: str) -> Any:
        """The search for this question."""
        from search.query import Mode, SearchQuery

        return SearchQuery(question.words.replace(" | ", " "), mode=Mode(mode), **self.filters)


def askers() -> list[Asker]:
    """The ten, by what they are left with (of 100,000 chunks: 100,000 down to some 50)."""
    from accounts.clearance import PUBLIC_VIEWER, Role, Viewer

    administrator = Viewer(Role.ADMIN, 4, every_department=True)
    # Middling to small departments: the made ones' ids count from 1, the largest first.
    staff = Viewer(Role.STAFF, 3, frozenset((6, 16, 26, 36, 46)))
    return [
        Asker("100 %: administrator", administrator),
        Asker("70 %: staff of five departments", staff),
        Asker("30 %: anonymous", PUBLIC_VIEWER),
        Asker("10 %: staff, reviewed lately", staff, _reviewed_lately(0.146)),
        Asker("5 %: anonymous, in German", PUBLIC_VIEWER, {"languages": ("de",)}),
        Asker("2 %: staff, reviewed very lately", staff, _reviewed_lately(0.03)),
        Asker("1 %: anonymous, one department", PUBLIC_VIEWER, {"departments": ("Department 5",)}),
        Asker("0.5 %: anonymous, a smaller one", PUBLIC_VIEWER, {"departments": ("Department 12",)}),
        Asker("0.1 %: anonymous, the smallest", PUBLIC_VIEWER, {"departments": (f"Department {DEPARTMENTS}",)}),
        Asker(
            "0.05 %: anonymous, two of them, in German",
            PUBLIC_VIEWER,
            {"departments": ("Department 42", "Department 59"), "languages": ("de",)},
        ),
    ]


def _reviewed_lately(share: float) -> dict[str, Any]:
    first: date = FIRST_REVIEW.astype(date)
    return {"reviewed_after": first + timedelta(days=round(REVIEW_DAYS * (1 - share)))}


def prepare(arguments: Sequence[str]) -> tuple[Server, int]:
    """The scratch database, made if need be, with Django speaking for it; the number of its chunks (`--chunks N`)."""
    chunks = int(arguments[arguments.index("--chunks") + 1]) if "--chunks" in arguments else CHUNKS
    server = Server(os.environ["DATABASE_URL"], SCRATCH if chunks == CHUNKS else f"{SCRATCH}_{chunks}")
    migrate: Callable[[], None] = set_up_django(server)
    mark = f"search: {chunks} chunks, seed {SEED}"
    if not server.made(mark):
        server.make(mark, migrate, lambda connection: _fill(connection, chunks))
    # A corpus that an earlier release made is brought up to this one's tables.
    migrate()
    return server, chunks


def described(chunks: int) -> str:
    """What is measured, in words."""
    return (
        f"{chunks:,} made chunks of halfvec({DIMENSIONS}), {chunks // 5:,} documents in {len(LANGUAGES)} languages, "
        f"{DEPARTMENTS} departments, seed {SEED}"
    )


def _fill(connection: psycopg.Connection, chunks: int) -> None:
    from ingestion import statistics, vectorspace

    build(connection, Corpus(chunks, MIX, LANGUAGES, WINDOWED, SPOKEN))
    vectorspace.settle()
    statistics.refresh()
