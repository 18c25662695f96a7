"""How much memory the idle stack takes.

    ./cloister bench memory [--json]

Measures the running instance of this home, after a few requests have warmed it up. Memory that processes share is
counted once (PSS, proportional set size); the sum of resident set sizes, which counts it for each, is stated also.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from deploy.bench import Bar, conclude, machine
from deploy.local.process import family, rss_bytes

ROOT = Path(__file__).resolve().parents[2]

# MB: the bars of the issue that introduced the launcher.
STACK_LIMIT, WEB_WORKER_LIMIT = 1200.0, 150.0

WARM_UP = ("library opening hours", "Wie beantrage ich Urlaub?", "remboursement des frais de voyage")
WARM_UP_ROUNDS = 4
# Time for what the requests started to end.
SETTLE_SECONDS = 5.0


def status() -> dict[str, Any]:
    """What `./cloister status --json` says. Ends the benchmark when nothing is ready."""
    asked = subprocess.run(
        [sys.executable, str(ROOT / "cloister"), "status", "--json"], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        sys.exit("No ready instance to measure: start one with ./cloister up --detach, then try again.")
    return dict(json.loads(asked.stdout))


def warm_up(address: str) -> int:
    """Ask for pages as visitors do; the number of requests that were answered."""
    answered = 0
    paths = ["/", "/accounts/login/", *(f"/search/?q={urllib.parse.quote(query)}" for query in WARM_UP)]
    for path in paths * WARM_UP_ROUNDS:
        try:
            with urllib.request.urlopen(address.rstrip("/") + path, timeout=30) as answer:
                answer.read()
                answered += 1
        except urllib.error.HTTPError as error:
            # A limit on anonymous requests is an answer too.
            error.close()
    return answered


def pss_bytes(pid: int) -> int | None:
    """The process' share of memory in bytes; None where the kernel does not tell us."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def main() -> int:
    """Measure, print, and return the exit status."""
    before = machine()
    instance = status()
    answered = warm_up(instance["address"])
    time.sleep(SETTLE_SECONDS)
    names: dict[int, str] = {}
    leaders = {one["name"]: one["pid"] for one in instance["processes"] if one["pid"]}
    for name, leader in leaders.items():
        for pid in [leader] if name == "supervisor" else family(leader):
            names[pid] = name
    shares = {pid: pss_bytes(pid) for pid in names}
    # Where the share cannot be read, the whole counts.
    counted = {pid: rss_bytes(pid) if share is None else share for pid, share in shares.items()}
    workers = [pid for pid, name in names.items() if name == "gunicorn" and pid != leaders[name]]
    largest = max((counted[pid] for pid in workers), default=0) / 1e6
    total = sum(counted.values()) / 1e6
    figures: dict[str, Any] = {
        "total_mb": round(total),
        "total_rss_mb": round(sum(map(rss_bytes, names)) / 1e6),
        "web_workers": len(workers),
        "largest_web_worker_mb": round(largest),
        "largest_web_worker_rss_mb": round(max(map(rss_bytes, workers), default=0) / 1e6),
        "processes_without_pss": sum(share is None for share in shares.values()),
        "warm_up_requests_answered": answered,
    }
    for name in leaders:
        figures[f"{name}_mb"] = round(sum(counted[pid] for pid in names if names[pid] == name) / 1e6)
    return conclude(
        "memory",
        on=before,
        data="the running instance, idle after a warm-up; shared memory counted once",
        figures=figures,
        bars=[
            Bar("the whole stack (MB)", round(total), STACK_LIMIT),
            Bar("a web worker (MB)", round(largest), WEB_WORKER_LIMIT),
        ],
    )


if __name__ == "__main__":
    os.environ.setdefault("CLOISTER_HOME", str(ROOT / "var"))
    sys.exit(main())
