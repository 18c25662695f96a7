"""Whether anything that a viewer may not see shows in any answer, or in the time that an answer takes.

    ./cloister drill leaks [--json] [--cases N] [--tries N] [--seed N]

Runs the tests of portal/tests/noninterference with more stories than the tests' own run: random corpora, people,
questions and changes, on databases of their own, one process for each core. A case is one state of the database, one
viewer and one door of the portal; its answer must be, byte for byte but for ids of the request and times, that of a
database from which what the viewer may neither see nor manage was physically deleted.

Then, alone on the machine, it asks for hidden and for unknown documents in turns and looks how well the best single
threshold of time tells them apart: chosen on one half of the tries, judged on the other. With fewer than 2,000 tries of
each that is told and not judged: a coin would often do better than the bar.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.bench import Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.local.home import ROOT

CASES = 50_000
TRIES = 2000
SEED = 20250815
MOST_ACCURATE = 0.55
"""Share of right guesses by time; a coin has 0.5, and over 2,000 held-out tries a coin stays below this."""

MOST_PROCESSES = 4
A_SEED_APART = 1_000_000
"""Between the first seeds of two processes: more than either gets through."""

TESTS = "portal/tests/noninterference"


def main() -> int:
    """Run the drill, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.drill.leaks")
    before = machine()
    cases, seed = _number("--cases", CASES), _number("--seed", SEED)
    tries = _number("--tries", TRIES)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloister-drill-") as folder:
        stories = tell(cases, seed, Path(folder))
        times = measure(tries, Path(folder))
    counted, leaks = sum(one["cases"] for one in stories), sum(one["leaks"] for one in stories)
    judged = times if tries >= TRIES else {}
    figures: dict[str, Any] = {
        "cases": counted,
        "leaks": leaks,
        "stories": sum(one["stories"] for one in stories),
        "doors": max(one["doors"] for one in stories),
        "seed": seed,
        "tries_of_each": tries,
        "accuracy_by_time": times,
        "seconds": round(time.monotonic() - started),
    }
    return conclude(
        "leaks",
        on=before,
        data="random universities of 5 to 9 documents and 4 people with 2 to 4 changes, "
        "before and after each of which 10 to 16 questions are asked",
        figures=figures,
        bars=[
            Bar("cases short of what was asked for", max(0, cases - counted), 0),
            Bar("leaks", leaks, 0),
            *(Bar(f"hidden told from unknown by time: {name}", value, MOST_ACCURATE) for name, value in judged.items()),
        ],
    )


def tell(cases: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Run the stories, shared out between processes, and return what each counted."""
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)), max(1, cases // 500))
    running = []
    for number in range(processes):
        report = folder / f"stories{number}.json"
        given = {
            "CLOISTER_LEAK_CASES": str(-(-cases // processes)),
            "CLOISTER_LEAK_SEED": str(seed + number * A_SEED_APART),
            "CLOISTER_LEAK_REPORT": str(report),
        }
        running.append((report, _pytest("test_stories.py", given, folder, number)))
    return [_outcome(report, process) for report, process in running]


def measure(tries: int, folder: Path) -> dict[str, float]:
    """How well time tells hidden from unknown, by address."""
    report = folder / "times.json"
    given = {"CLOISTER_TIMING_REPORT": str(report), "CLOISTER_TIMING_TRIES": str(tries)}
    outcome = _outcome(report, _pytest("test_timing.py", given, folder, 0))
    times: dict[str, float] = outcome["accuracy"]
    return times


def _pytest(name: str, given: dict[str, str], folder: Path, number: int) -> subprocess.Popen[bytes]:
    """Start the tests of one file on a database and a cache of their own, which are gone afterwards."""
    database, cache = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
    # The queue has the number after the cache's; a server has sixteen.
    place = (int(cache.path.strip("/") or 0) + 2 + number) % 16
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": database._replace(path=f"/drill_leaks_{os.getpid()}_{number}").geturl(),
        "REDIS_URL": cache._replace(path=f"/{place}").geturl(),
        "CELERY_BROKER_URL": "memory://",
        "INSECURE_COOKIES": "1",
        **given,
    }
    # What it says goes to standard error: standard output is the drill's, and its last line is for machines.
    command = [sys.executable, "-m", "pytest", "-q", "--create-db", "-p", "no:cacheprovider", "--show-capture=no"]
    command += [f"--basetemp={folder / f'pytest-{number}'}", f"{TESTS}/{name}"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sys.stderr.fileno())


def _outcome(report: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the tests wrote. Raises RuntimeError when they came to no outcome at all."""
    status = process.wait()
    if not report.exists():
        raise RuntimeError(f"The tests ended with status {status} and left no outcome; what they said stands above.")
    outcome: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return outcome


def _number(option: str, default: int) -> int:
    arguments = sys.argv[1:]
    return int(arguments[arguments.index(option) + 1]) if option in arguments else default


if __name__ == "__main__":
    sys.exit(main())
