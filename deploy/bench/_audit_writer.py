"""A process that writes searches into the audit trail at a pace, as several threads of a web server would.

    python -m deploy.bench._audit_writer SEARCHES A_SECOND

Seals them meanwhile, as beat has it done. Prints one JSON object: how many, in how many seconds, and what one took.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import django

THREADS = 6
"""With this one and the one that seals, as many as the pool has connections."""
SEAL_SECONDS = 15.0
"""As often as beat does (portal/settings/work.py)."""


def main(number: int, pace: float) -> None:
    """Write so many at this pace, and say how it went."""
    django.setup()
    from accounts import chain
    from accounts.clearance import PUBLIC_VIEWER
    from search.audit import note_search
    from search.query import Mode, SearchQuery
    from search.service import search

    query = SearchQuery("when is the library open on bank holidays", mode=Mode.KEYWORD)
    page = search(query, viewer=PUBLIC_VIEWER, audited=False)
    over = threading.Event()

    def seal() -> int:
        sealed = 0
        while not over.wait(SEAL_SECONDS):
            sealed += chain.seal()
        return sealed

    def write(place: int) -> float:
        time.sleep(max(0.0, begun + place / pace - time.perf_counter()))
        started = time.perf_counter()
        note_search(replace(page, search_id=str(uuid4())), query, PUBLIC_VIEWER, uuid4().hex)
        return 1000 * (time.perf_counter() - started)

    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(THREADS) as pool:
        sealing = beside.submit(seal)
        begun = time.perf_counter()
        took = list(pool.map(write, range(number)))
        seconds = time.perf_counter() - begun
        over.set()
        meanwhile = sealing.result()
    said = {
        "written": number,
        "seconds": round(seconds, 1),
        "a_second": round(number / seconds),
        "sealed_meanwhile": meanwhile,
        "clock_p50_ms": round(statistics.median(took), 2),
        "clock_p95_ms": round(statistics.quantiles(took, n=20)[-1], 2),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
