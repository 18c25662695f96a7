"""Whether anything is lost or doubled when a worker, the queue, the database or the embedding node dies at work.

    ./cloister drill ingest [--json] [--documents N] [--seed N]

Runs a stack of its own: PostgreSQL, Valkey, an embedding node (deploy/bench/_ingest_model.py, whose vectors are fixed
by the text), a worker as `up` has it, and the clock. Documents of several formats are taken in twice, on two databases:

1. with faults: from the moment on when N documents are in flight (registered, and their upload acknowledged, but not
   yet ready), each of the four parts is killed twice with SIGKILL, and soon started again. Uploads go on, so that as
   many are in flight at every kill. When a kill comes and which part it meets, a random number chooses (`--seed`
   repeats it); 1 to 20 documents became ready since the kill before, so that each meets work that goes on. The
   database crashes with all its processes, and the queue forgets what it held. An upload that was answered with an
   error is made again. After the last kill nothing more is uploaded;
2. undisturbed, the same files: what that leaves is what is right.

Every document must be ready exactly once after the faults, with the chunks, positions, pages and vectors that it has
after the second run; no staged chunk, and after the clean-up no stored file without a document, may be left.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench import Bar, conclude, machine
from deploy.bench._ingest_documents import mixed
from deploy.bench._ingest_parts import Parts, parts, seconds_since
from deploy.drill._ingest_faults import KILLS_OF_EACH, Fault, Faults, planned
from deploy.drill._ingest_outcome import WORKING, Outcome, counts, differences, outcome

DOCUMENTS = 500
"""In flight at each kill."""

AHEAD = 40
"""By how many more the uploads are ahead, so that what becomes ready between two looks makes no kill wait."""

FILES_FOR_EACH = 4
"""Files at hand for each document in flight; how many are used depends on how fast the machine gets through them."""

STALE_SECONDS, RECONCILE_SECONDS = 10, 5
"""Of an installation's 300 and 60, so that the drill need not wait for what the clock would find."""

LIMIT_SECONDS = 1_200.0
"""Each run must be done by then, also where others work on the machine."""


@dataclass
class Course:
    """What happened while documents were ingested. Times are seconds since the first upload."""

    seconds: float = 0.0
    uploads: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    mended_at: float = 0.0

    @property
    def taken_in(self) -> int:
        """How many files were uploaded."""
        return sum(number for what, number in self.uploads.items() if what.startswith("accepted"))


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
        for place, made in enumerate(mixed(wanted * FILES_FOR_EACH)):
            # Uploads follow the order of the names: so formats come mixed.
            (files / f"{place:05} {made.file_name}").write_bytes(made.content)
        os.environ |= {
            "INGESTION_STALE_SECONDS": str(STALE_SECONDS),
            "INGESTION_RECONCILE_SECONDS": str(RECONCILE_SECONDS),
            "LOG_LEVEL": "WARNING",
        }
        with parts(folder / "home") as stack:
            try:
                plan = planned(random.Random(seed))  # noqa: S311 (a drill, no secret)
                disturbed, rough = ingest(stack, "disturbed", files, faults=plan, in_flight=wanted)
                for unused in sorted(files.iterdir())[rough.taken_in :]:
                    unused.unlink()
                calm, course = ingest(stack, "calm", files, faults=[], in_flight=0)
            except BaseException:
                _show_logs(stack)
                raise
    return report(before, seed, wanted, (calm, course), (disturbed, rough), seconds_since(started))


def ingest(stack: Parts, database: str, files: Path, *, faults: list[Fault], in_flight: int) -> tuple[Outcome, Course]:
    """Take files in on a new database, commit the faults with so many in flight, and look at what is left.

    With faults it takes in what is needed to keep so many in flight until the last of them, else all files. It ends
    when nothing is left to do, or after LIMIT_SECONDS.
    """
    environment = stack.new_database(database)
    address = environment["DATABASE_URL"]
    course = Course(faults=faults)
    with stack.at_work(environment):
        uploads = stack.upload(environment, files, in_flight=in_flight + AHEAD if faults else 0)
        try:
            _watch(address, uploads, Faults(stack, faults, in_flight), course)
            answer, _ = uploads.communicate(timeout=30)
        finally:
            uploads.kill()
            uploads.wait()
        course.uploads = json.loads(answer.splitlines()[-1])
    clean = "from datetime import timedelta; from ingestion import retention; retention.clean(grace=timedelta(0))"
    stack.manage(environment, "shell", "-c", clean)
    return outcome(address, Path(environment["MEDIA_ROOT"])), course


def _watch(address: str, uploads: subprocess.Popen[str], faults: Faults, course: Course) -> None:
    """Commit the faults while documents are uploaded, and wait until there is nothing left to do."""
    began, seen, done = time.monotonic(), Counter[str](), False
    while not done:
        time.sleep(0.1)
        uploading = uploads.poll() is None
        try:
            seen, known = counts(address), True
        except psycopg.Error:
            # The database is away; what was in flight still is.
            known = False
        faults.go_on(seconds_since(began), seen, uploading=uploading)
        if uploading and faults.plan and faults.all_committed:
            uploads.terminate()
        at_rest = known and not uploading and faults.are_over and not any(seen[state] for state in WORKING)
        done = at_rest or seconds_since(began) > LIMIT_SECONDS
    course.seconds, course.mended_at = seconds_since(began), faults.mended_at


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
    few = sum(fault.in_flight < wanted for fault in rough.faults)
    figures: dict[str, Any] = {
        "seed": seed,
        "files": rough.taken_in,
        "documents": disturbed.count,
        "chunks": disturbed.chunks,
        "seconds_undisturbed": course.seconds,
        "seconds_with_faults": rough.seconds,
        "seconds_from_the_last_restart_until_all_was_ready": round(rough.seconds - rough.mended_at, 1),
        "seconds_from_a_kill_until_the_next_document_was_ready": {
            str(fault): fault.recovered_after for fault in rough.faults
        },
        "in_flight_at_each_kill": [fault.in_flight for fault in rough.faults],
        "made_ready_since_the_kill_before": [fault.made_ready for fault in rough.faults],
        "uploads": rough.uploads,
        "seconds": seconds,
    }
    figures |= {name: some[:10] for name, some in vars(found).items() if some}
    bars = [
        Bar("documents that are not ready in the undisturbed run", _unready(calm), 0),
        Bar(f"kills that met fewer than {wanted} documents in flight", few, 0),
        Bar("kills that met no work going on", sum(fault.made_ready == 0 for fault in rough.faults), 0),
        Bar("documents lost", len(found.lost), 0),
        Bar("documents doubled, or that nobody uploaded", len(found.doubled) + len(found.strange), 0),
        Bar("documents that are not ready", len(found.not_ready), 0),
        Bar("documents with other chunks, positions, pages or vectors", len(found.other_chunks), 0),
        Bar("documents that differ otherwise", len(found.otherwise), 0),
        Bar("staged chunks left", disturbed.staged_chunks, 0),
        Bar("originals that are gone", disturbed.missing_originals, 0),
        Bar("stored files that no document refers to", disturbed.stray_originals, 0),
    ]
    what = (
        f"{rough.taken_in} files of 6 formats, {wanted} of them in flight at each kill; worker, queue, database and "
        f"embedding node killed {KILLS_OF_EACH} times each"
    )
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
