"""What the audit trail costs a search, while 500 others a second are written to it.

    ./cloister bench audit [--json] [--records N]

In a new database, another process writes 100,000 searches at 500 a second, which are sealed every 15 seconds as beat
has it done. Meanwhile this one searches, in turns with and without the trail: what the one takes more than the other is
the trail's, on the processor (Python's and the database's together) and, beside it, by the clock, which other work on
the machine disturbs. Then the whole chain is followed. Without a running instance it starts the parts that it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from deploy.bench import AtLeast, Bar, conclude, machine
from deploy.bench._access_whole import Cost, timed
from deploy.bench._access_whole import prepare as prepare_connection
from deploy.bench._parts import again_with_parts, missing
from deploy.drill._stale_servers import ROOT, database_of_our_own, prepare

RECORDS, PACE = 100_000, 500.0
COST_MS = 1.0
"""The issue that introduced this benchmark."""

KEPT_PACE = 0.98
"""Of the pace, that the writer must have kept."""

PAUSE_SECONDS = 0.05
"""Between two searches: this process measures, the other one makes the load."""


def main() -> int:
    """Measure, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.bench.audit")
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=RECORDS)
    records: int = parser.parse_known_args()[0].records
    before = machine()
    with tempfile.TemporaryDirectory() as folder, database_of_our_own():
        spool = Path(folder) / "audit"
        environment = prepare(Path(folder), SEARCH_CACHE_SECONDS="0", AUDIT_SPOOL=str(spool))
        costs, writer = _beside(records, environment)
        figures, bars = _followed(records + len(costs["audited"]), spool)
        from django.db import connection

        connection.close()
        _close_pool()
    cost = {
        name: {
            measure: round(statistics.median(getattr(one, measure) for one in every if getattr(one, measure)), 3)
            for measure in ("processor", "clock")
            if every[0].processor is not None or measure == "clock"
        }
        for name, every in costs.items()
    }
    more = {measure: round(cost["audited"][measure] - cost["silent"][measure], 3) for measure in cost["audited"]}
    measure = "processor" if "processor" in more else "clock"
    return conclude(
        "audit",
        on=before,
        data=f"{records} searches noted at {PACE:g} a second beside {len(costs['audited'])} that were measured",
        figures={
            "writer": writer,
            "search_with_trail_p50_ms": cost["audited"],
            "search_without_p50_ms": cost["silent"],
            "cost_p50_ms": more,
            **figures,
        },
        bars=[
            Bar(f"the trail's cost of a search, p50 by the {measure} (ms)", more[measure], COST_MS),
            AtLeast("searches noted a second", writer["a_second"], KEPT_PACE * PACE),
            *bars,
        ],
    )


def _beside(records: int, environment: dict[str, str]) -> tuple[dict[str, list[Cost]], dict[str, Any]]:
    """The costs of searches with and without the trail while the writer writes, and what it says of itself."""
    from accounts.clearance import PUBLIC_VIEWER
    from search.query import Mode, SearchQuery
    from search.service import search

    query = SearchQuery("opening hours of the library", mode=Mode.KEYWORD)
    ways = {
        name: partial(search, query, viewer=PUBLIC_VIEWER, audited=name == "audited") for name in ("audited", "silent")
    }
    theirs = prepare_connection()
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    command = [sys.executable, "-m", "deploy.bench._audit_writer", str(records), str(PACE)]
    writing = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    turn = 0
    while writing.poll() is None:
        turn += 1
        for name in sorted(ways, reverse=bool(turn % 2)):
            cost, _ = timed(ways[name], theirs)
            costs[name].append(cost)
        time.sleep(PAUSE_SECONDS)
    said = writing.communicate()[0]
    if writing.returncode:
        raise RuntimeError("the process that writes has failed")
    return costs, json.loads(said.splitlines()[-1])


def _followed(expected: int, spool: Path) -> tuple[dict[str, Any], list[Bar]]:
    """The chain sealed and followed to its end: how long that takes, and whether all is there."""
    from django.db import connection

    from accounts import chain
    from search.models import SearchEvent

    started, waiting = time.process_time(), time.perf_counter()
    sealed = chain.seal()
    sealing = time.perf_counter() - waiting
    waiting = time.perf_counter()
    proof = chain.verify(chain.SEARCHES)
    following = time.perf_counter() - waiting
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size('search_searchevent'), pg_total_relation_size('accounts_auditseal')"
        )
        events, seals = cursor.fetchone()
    figures = {
        "sealed_at_the_end": sealed,
        "sealing_seconds": round(sealing, 2),
        "verifying_seconds": round(following, 2),
        "python_of_both_seconds": round(time.process_time() - started, 2),
        "bytes_a_search": round(events / expected),
        "bytes_a_seal": round(seals / expected),
    }
    waits = len(list(spool.glob("*"))) if spool.exists() else 0
    missing_ones = expected - SearchEvent.objects.count()
    return figures, [
        Bar("searches that are not in the trail", abs(missing_ones), 0),
        Bar("broken links", int(not proof.intact) + abs(proof.checked - expected), 0),
        Bar("files left in the spool", waits, 0),
    ]


def _close_pool() -> None:
    """The pool keeps connections to a database that is about to be dropped."""
    from django.db import connection

    if hasattr(connection, "close_pool"):
        connection.close_pool()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    sys.exit(main())
