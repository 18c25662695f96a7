"""Whether anything is lost or doubled when a worker, the queue, the database or the embedding node dies at work.

    ./cloister drill ingest [--json] [--documents N] [--seed N]

Runs a stack of its own: PostgreSQL, Valkey, an embedding node (deploy/bench/_ingest_model.py, whose vectors are fixed
by the text), a worker as `up` has it, and the clock. Documents of several formats are uploaded twice, on two databases:

1. undisturbed: what that leaves is what is right;
2. with faults: when half of them are uploaded, and while the other half follows, each of the four parts is killed
   twice with SIGKILL, at moments that a random number chooses (`--seed` repeats them), and soon started again. The
   database crashes with all its processes, and the queue forgets what it held. An upload that was answered with an
   error is made again.

Then every document must be ready exactly once, with the chunks, positions, pages and vectors that it has in the first
run; no staged chunk, and after the clean-up no stored file without a document, may be left.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench import Bar, conclude, machine
from deploy.bench._ingest_documents import mixed
from deploy.bench._ingest_parts import DATABASE, NODE, QUEUE, WORKER, Parts, parts, seconds_since
from deploy.drill._ingest_outcome import WORKING, Outcome, counts, differences, outcome

DOCUMENTS = 500
KILLS_OF_EACH = 2
GAP_SECONDS = (2.0, 7.0)
"""Between two kills: long enough that work goes on in between, short enough that one fault meets the next."""

DOWN_SECONDS = (0.3, 3.0)
"""How long a killed part stays away."""

STALE_SECONDS, RECONCILE_SECONDS = 10, 5
"""Of an installation's 300 and 60, so that the drill need not wait for what the clock would find."""

LIMIT_SECONDS = 900.0
"""After the last upload everything must be done by then, also where others work on the machine."""

SPOKEN = {WORKER: "worker", QUEUE: "queue", DATABASE: "database", NODE: "embedding node"}


@dataclass
class Fault:
    """One part killed once. Times are seconds since half of the documents were uploaded."""

    part: str
    at: float
    down_for: float
    in_flight: int = 0
    ready_before: int = 0
    recovered_after: float | None = None
    """Seconds from the kill until one more document was ready than before it."""


@dataclass
class Course:
    """What happened while documents were ingested."""

    seconds: float = 0.0
    uploads: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def main() -> int:
    """Run the drill, print, and return the exit status."""
    before = machine()
    wanted, seed = _number("--documents", DOCUMENTS), _number("--seed", secrets.randbelow(1_000_000))
    print(f"Seed {seed}.", file=sys.stderr, flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloister-drill-") as name:
        folder = Path(name)
        # The database's own user passes through where the drill runs as root.
        folder.chmod(0o711)
        files = folder / "files"
        files.mkdir()
        for made in mixed(wanted):
            (files / made.file_name).write_bytes(made.content)
        os.environ |= {
            "INGESTION_STALE_SECONDS": str(STALE_SECONDS),
            "INGESTION_RECONCILE_SECONDS": str(RECONCILE_SECONDS),
            "LOG_LEVEL": "WARNING",
        }
        with parts(folder / "home") as stack:
            try:
                calm, course = ingest(stack, "calm", files, faults=(), span=0.0)
                plan = planned(random.Random(seed))  # noqa: S311 (a drill, no secret)
                disturbed, rough = ingest(stack, "disturbed", files, faults=plan, span=plan[-1].at, expected=calm.count)
            except BaseException:
                _show_logs(stack)
                raise
    return report(before, seed, wanted, (calm, course), (disturbed, rough), seconds_since(started))


def planned(chance: random.Random) -> list[Fault]:
    """When which part is killed, and for how long it stays away."""
    names = [WORKER, QUEUE, DATABASE, NODE] * KILLS_OF_EACH
    chance.shuffle(names)
    moment, plan = 0.0, []
    for name in names:
        moment += chance.uniform(*GAP_SECONDS)
        plan.append(Fault(name, round(moment, 1), round(chance.uniform(*DOWN_SECONDS), 1)))
    return plan


def ingest(
    stack: Parts, database: str, files: Path, *, faults: Sequence[Fault], span: float, expected: int = 0
) -> tuple[Outcome, Course]:
    """Upload the files to a new database, the second half of them within `span` seconds, commit the faults meanwhile,
    and look at what is left.

    It ends when as many documents as `expected` are there and none is in work, or after LIMIT_SECONDS.
    """
    environment = stack.new_database(database)
    address = environment["DATABASE_URL"]
    course = Course(faults=[*faults])
    with stack.at_work(environment):
        uploads = stack.upload(environment, files, span)
        try:
            _watch(stack, address, uploads, course, expected or len(list(files.iterdir())))
            answer, _ = uploads.communicate(timeout=30)
        finally:
            uploads.kill()
            uploads.wait()
        course.uploads = json.loads(answer.splitlines()[-1])
    clean = "from datetime import timedelta; from ingestion import retention; retention.clean(grace=timedelta(0))"
    stack.manage(environment, "shell", "-c", clean)
    return outcome(address, Path(environment["MEDIA_ROOT"])), course


def _watch(stack: Parts, address: str, uploads: subprocess.Popen[str], course: Course, expected: int) -> None:
    """Commit the faults, each when it is due, and wait until there is nothing left to do."""
    while (seen := counts(address)).total() < expected // 2 and uploads.poll() is None:
        time.sleep(0.1)
    began, uploaded, done = time.monotonic(), None, False
    due = sorted(course.faults, key=lambda fault: fault.at)
    down: dict[str, float] = {}
    while not done:
        time.sleep(0.1)
        for name in [name for name, until in down.items() if seconds_since(began) >= until]:
            del down[name]
            stack.start(name)
        try:
            seen, known = counts(address), True
        except psycopg.Error:
            # The database is away; what was in work still is.
            known = False
        in_work = sum(seen[state] for state in WORKING)
        _note_recovery(course, seen, seconds_since(began))
        if due and seconds_since(began) >= due[0].at and due[0].part not in down and stack.is_ready(due[0].part):
            fault = due.pop(0)
            fault.at, fault.in_flight, fault.ready_before = seconds_since(began), in_work, seen["ready"]
            stack.kill(fault.part)
            down[fault.part] = seconds_since(began) + fault.down_for
            print(f"{fault.at:6.1f} s  killed: {SPOKEN[fault.part]}", file=sys.stderr, flush=True)
        if uploaded is None and uploads.poll() is not None:
            uploaded = time.monotonic()
        at_rest = known and not in_work and seen.total() >= expected and not due and not down
        done = uploaded is not None and (at_rest or seconds_since(uploaded) > LIMIT_SECONDS)
    course.seconds = seconds_since(began)


def _note_recovery(course: Course, seen: Counter[str], now: float) -> None:
    """Write down which faults are overcome: a document became ready since."""
    for fault in course.faults:
        if fault.in_flight and fault.recovered_after is None and seen["ready"] > fault.ready_before:
            fault.recovered_after = round(now - fault.at, 1)


def report(
    before: dict[str, Any],
    seed: int,
    wanted: int,
    undisturbed: tuple[Outcome, Course],
    with_faults: tuple[Outcome, Course],
    seconds: float,
) -> int:
    """Print what was found, and return the exit status."""
    (calm, course), (disturbed, rough) = undisturbed, with_faults
    found = differences(calm, disturbed)
    hit = [fault for fault in rough.faults if fault.in_flight]
    last = max(fault.at + fault.down_for for fault in rough.faults)
    figures: dict[str, Any] = {
        "seed": seed,
        "documents": disturbed.count,
        "chunks": disturbed.chunks,
        "seconds_undisturbed": course.seconds,
        "seconds_with_faults": rough.seconds,
        "seconds_from_the_last_restart_until_all_was_ready": round(rough.seconds - last, 1),
        "seconds_from_a_kill_until_the_next_document_was_ready": {
            f"{SPOKEN[fault.part]} at {fault.at}": fault.recovered_after for fault in rough.faults
        },
        "in_flight_at_a_kill": [fault.in_flight for fault in rough.faults],
        "uploads": rough.uploads,
        "seconds": seconds,
    }
    figures |= {name: some[:10] for name, some in vars(found).items() if some}
    bars = [
        Bar("documents that are not ready in the undisturbed run", _unready(calm), 0),
        Bar("kills that met nothing in flight", len(rough.faults) - len(hit), 0),
        Bar("documents lost", len(found.lost), 0),
        Bar("documents doubled, or that nobody uploaded", len(found.doubled) + len(found.strange), 0),
        Bar("documents that are not ready", len(found.not_ready), 0),
        Bar("documents with other chunks, positions, pages or vectors", len(found.other_chunks), 0),
        Bar("documents that differ otherwise", len(found.otherwise), 0),
        Bar("staged chunks left", disturbed.staged_chunks, 0),
        Bar("originals that are gone", disturbed.missing_originals, 0),
        Bar("stored files that no document refers to", disturbed.stray_originals, 0),
    ]
    what = f"{wanted} files of 6 formats; worker, queue, database and embedding node killed {KILLS_OF_EACH} times each"
    return conclude("ingest", on=before, data=what, figures=figures, bars=bars)


def _unready(calm: Outcome) -> int:
    return sum(look.status != "ready" for looks in calm.documents.values() for look in looks)


def _show_logs(stack: Parts) -> None:
    """The ends of the parts' logs, before their folder goes."""
    for log in sorted(stack.home.logs.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)


def _number(option: str, default: int) -> int:
    arguments = sys.argv[1:]
    return int(arguments[arguments.index(option) + 1]) if option in arguments else default


if __name__ == "__main__":
    sys.exit(main())
