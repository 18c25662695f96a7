"""Whether files as people have them, from clean to hostile, come out searchable or refused with the right reason.

    ./cloister bench messy [--json]

Takes all files of the shared collection (`../shared/data/messy`, or `messy` in CLOISTER_SHARED_DATA) in at once, as a
librarian uploads them, on a stack of its own with ONE worker of two slots and a stand-in for the embedding model
(deploy/bench/_ingest_model.py). Judges each file by the collection's manifest:

- `ok`: searchable, with at least 95 % of the characters that the manifest names (none named: with any text). Text of
  attachments and of the files of an archive counts with them. Where the manifest counts what no reader sees, the
  figures name the file and say why (`EXPLAINED`);
- everything else: failed, flagged or refused at the upload with a reason that names its cause, which may be that of
  the one file within it; or read all the same: a scan by text recognition, a very large file in full.

The memory of the worker (its processes and those that read files, shared memory counted once) is looked at ten times a
second. Then a PDF of 619 pages and a Word file of 872 are taken in, a short text right behind each.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.bench import Bar, conclude, machine
from deploy.bench._ingest_documents import Made, markdown
from deploy.bench._ingest_parts import WORKER, Parts, parts, seconds_since
from deploy.bench._messy_huge import long_docx, long_pdf
from deploy.bench._messy_watch import WorkerWatch
from deploy.local.home import ROOT

if TYPE_CHECKING:
    from accounts.models import User
    from ingestion.models import Document

DATABASE = "messy"
LIMIT_SECONDS = 900.0
"""After so long what is not done counts as stuck."""

SHARE = 0.95
"""Of the characters that the manifest names; the bar of the issue, as are the two on memory."""

WORKER_MB, READING_MB = 1024.0, 300.0
SMALL_SECONDS = 5.0
"""For a short text to be ready while a huge file is being read beside it."""

CAUSES = {
    "encrypted": {"encrypted"},
    "broken": {"broken", "unsupported", "partly_read", "damaged_but_read"},
    "empty": {"empty"},
    "scanned": {"needs_ocr", "empty", "partly_read", "unsupported"},
    "huge": {"too_large", "timeout", "memory", "broken", "partly_read", "partly_taken_in", "nested"},
}
"""The reasons that name the cause, by class. A picture without any letters is 'empty' once it was looked at."""


READ_ALL_THE_SAME = ("scanned", "huge")

EXPLAINED = {
    "files/docx/testWORD_missing_ooxml_bean1.docx": "the one letter counted was moved away by a tracked change; what "
    "else there is was deleted by one, and Word shows an empty page",
    "files/xls/testEXCEL_95.xls": "its one sheet holds a picture and 120 empty cells, and no text",
    "files/msg/testMSG_chinese.msg": "bytes are counted: the body has 710 characters, and most of them take two bytes",
    "files/pdf/testPDF_acroform3.pdf": "a footer drawn five times over itself is counted five times",
}
"""Readable files that fall short of the manifest's count though nothing that a reader sees is missing, and why: each
was looked at by eye and its content counted."""


@dataclass
class Outcome:
    """What became of one file."""

    path: str
    format: str
    kind: str
    wanted: int | None
    note: str
    state: str = ""
    reason: str = ""
    explanation: str = ""
    of_part: bool = False
    """Whether the reason is that of a file within it."""
    found: int = 0
    reading_mb: int = 0
    """Memory of the process that read it, at its peak."""

    @property
    def is_read(self) -> bool:
        """Whether it is searchable with all of its text."""
        return self.found > 0 and (self.wanted is None or self.found >= SHARE * self.wanted)

    @property
    def is_named(self) -> bool:
        """Whether it has a reason that names the cause, and a sentence that says so."""
        causes = CAUSES.get(self.kind, set())
        if self.wanted == 0 or "no pages" in self.note:
            causes = causes | {"empty"}
        return bool(self.explanation) and (self.reason in causes or self.of_part)

    @property
    def is_right(self) -> bool:
        """Whether this is what should become of such a file."""
        if self.kind != "ok" and "tolerant" not in self.note:
            return self.is_named or (self.kind in READ_ALL_THE_SAME and self.is_read)
        if "tolerant" in self.note or (self.format == "zip" and self.of_part):
            # An archive may hold nothing but a file of no bytes: then that is what has to be said.
            return self.is_read or bool(self.explanation)
        return self.is_read or self.wanted == 0

    @property
    def is_explained(self) -> bool:
        """Whether it falls short only of a wrong count."""
        return not self.is_right and self.path in EXPLAINED


def main() -> int:
    """Measure, print, and return the exit status."""
    folder = Path(os.environ.get("CLOISTER_SHARED_DATA") or ROOT.parent / "shared" / "data") / "messy"
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"There are no files in {folder}: name the shared data by CLOISTER_SHARED_DATA.")
    before = machine()
    with tempfile.TemporaryDirectory(prefix="cloister-messy-") as name:
        # The database's own user passes through where the bench runs as root.
        Path(name).chmod(0o711)
        with parts(Path(name)) as stack, librarian(stack) as uploader:
            watch = WorkerWatch()
            watch.start()
            started = time.monotonic()
            outcomes = take_in(folder, uploader, watch)
            seconds, messy_peak = seconds_since(started), watch.peak_bytes
            huge = [beside(made, uploader, watch) for made in (long_pdf(), long_docx())]
            alive = stack.runs(WORKER) and len(watch.leaders) == 1
            watch.end()
            lost = stack.home.log(WORKER).read_text(errors="replace").count("WorkerLostError")
    return report(before, outcomes, huge, seconds=seconds, watch=watch, messy_peak=messy_peak, alive=alive, lost=lost)


@contextmanager
def librarian(stack: Parts) -> Iterator[User]:
    """A librarian on a new database, with a worker at work; this process speaks for the portal."""
    environment = stack.new_database(DATABASE)
    os.environ.update(environment, LOG_LEVEL="ERROR")
    import django

    django.setup()
    from django.contrib.auth.models import Group

    from accounts.clearance import LIBRARIANS
    from accounts.models import Department
    from accounts.models import User as Account

    person = Account.objects.create_user("uploader", role="staff")
    person.departments.add(Department.objects.get(name="Registry"))
    person.groups.add(Group.objects.get(name=LIBRARIANS))
    with stack.at_work(environment):
        yield person


def take_in(folder: Path, uploader: User, watch: WorkerWatch) -> list[Outcome]:
    """Upload every file, wait until all are done, and look at what became of them."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    outcomes: list[Outcome] = []
    documents: dict[str, Document] = {}
    by_content: dict[str, Document] = {}
    for row in rows:
        one = Outcome(
            row["path"], row["format"], row["class"], int(row["chars"]) if row["chars"] else None, row["note"]
        )
        document = by_content.get(row["sha256"]) or upload(folder / row["path"], uploader, one)
        if document:
            by_content[row["sha256"]] = documents[one.path] = document
        outcomes.append(one)
    wait()
    for one in outcomes:
        if one.path in documents:
            look(one, documents[one.path], uploader, watch)
    return outcomes


def upload(path: Path, uploader: User, outcome: Outcome) -> Document | None:
    """Upload one file as the admin's pages do; None, and noted in `outcome`, where it is refused."""
    from django.core.files import File

    from ingestion.pipeline import UploadRejected, register_upload

    try:
        with path.open("rb") as stream:
            return register_upload(File(stream), file_name=path.name, uploader=uploader, metadata=_metadata())
    except UploadRejected as error:
        outcome.state, outcome.reason, outcome.explanation = "refused", error.reason, str(error)
        return None


def _metadata() -> Any:
    from accounts.models import Department
    from ingestion.models import DocumentType
    from ingestion.registration import DocumentMetadata

    doc_type, _ = DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    return DocumentMetadata(department=Department.objects.get(name="Registry"), doc_type=doc_type)


def wait() -> None:
    """Wait until no document is waiting or in work, those within others too; at most LIMIT_SECONDS."""
    from ingestion.models import Document, Status

    working = Document.objects.filter(status__in=(Status.QUEUED, Status.EXTRACTING, Status.EMBEDDING))
    until = time.monotonic() + LIMIT_SECONDS
    while working.exists() and time.monotonic() < until:
        time.sleep(0.1)


def look(outcome: Outcome, document: Document, uploader: User, watch: WorkerWatch) -> None:
    """Note state, reason and the characters that the uploader can find, in it and in what came within it."""
    from accounts.clearance import viewer_for
    from ingestion.models import Chunk
    from ingestion.models import Document as Stored

    document = Stored.objects.get(pk=document.pk)
    family = [document]
    for one in family:
        family += Stored.objects.filter(parent=one)
    chunks = Chunk.objects.visible_to(viewer_for(uploader)).filter(document__in=family)
    outcome.found = sum(len("".join(text[overlap:].split())) for text, overlap in chunks.values_list("text", "overlap"))
    outcome.state = document.status
    refused = document.error_reason == "partly_taken_in"
    of_parts = not document.error_reason and not document.chunk_count
    told = next((one for one in family if one.error_reason), document)
    outcome.reason, outcome.explanation = told.error_reason, told.error
    outcome.of_part = refused or (of_parts and told is not document)
    peaks = (watch.reading_peak_bytes(one.file.name or "") for one in family)
    outcome.reading_mb = round(max(peaks) / 1e6)


@dataclass
class Huge:
    """One very long file, and the short text that was uploaded right behind it."""

    name: str
    seconds: float
    small_seconds: float
    reading_mb: float
    state: str
    pages: int


def beside(made: Made, uploader: User, watch: WorkerWatch) -> Huge:
    """Take in a very long file and, once a worker has it, a short text; measure both."""
    from django.core.files.base import ContentFile

    from ingestion.models import Document, Status
    from ingestion.pipeline import register_upload

    def send(one: Made) -> Document:
        content = ContentFile(one.content)
        return register_upload(content, file_name=one.file_name, uploader=uploader, metadata=_metadata())

    def state(one: Document) -> Document:
        found: Document = Document.objects.get(pk=one.pk)
        return found

    started = time.monotonic()
    large = send(made)
    while state(large).status == Status.QUEUED and seconds_since(started) < LIMIT_SECONDS:
        time.sleep(0.02)
    small_started = time.monotonic()
    small = send(markdown(len(made.content), 3))
    small_seconds = seconds = 0.0
    while not (small_seconds and seconds) and seconds_since(started) < LIMIT_SECONDS:
        if not small_seconds and state(small).status in (Status.READY, Status.FAILED):
            small_seconds = time.monotonic() - small_started
        if not seconds and state(large).status in (Status.READY, Status.FAILED):
            seconds = time.monotonic() - started
        time.sleep(0.02)
    large = state(large)
    peak = watch.reading_peak_bytes(large.file.name or "") / 1e6
    return Huge(
        made.file_name,
        round(seconds or LIMIT_SECONDS, 1),
        round(small_seconds or LIMIT_SECONDS, 2),
        round(peak, 1),
        large.status,
        large.page_count,
    )


def report(
    before: dict[str, Any],
    outcomes: Sequence[Outcome],
    huge: Sequence[Huge],
    *,
    seconds: float,
    watch: WorkerWatch,
    messy_peak: int,
    alive: bool,
    lost: int,
) -> int:
    """Print the table and the outcome; the exit status."""
    readable = [one for one in outcomes if one.kind == "ok"]
    others = [one for one in outcomes if one.kind != "ok"]
    wrong = [one for one in outcomes if not one.is_right and not one.is_explained]
    if "--json" not in sys.argv:
        _print_table(outcomes)
    heaviest = sorted(outcomes, key=lambda one: -one.reading_mb)[:5]
    figures: dict[str, Any] = {
        "files": len(outcomes),
        "formats": len({one.format for one in outcomes}),
        "seconds": seconds,
        "worker_peak_mb": round(messy_peak / 1e6),
        "reading_processes_peak_mb": {one.path: one.reading_mb for one in heaviest},
        "by_format_and_class": _table(outcomes),
        "reasons": dict(Counter(f"{one.kind}: {one.reason}" for one in others if one.reason).most_common()),
        "scans_and_large_files_read": sum(one.is_read for one in others if one.kind in ("scanned", "huge")),
        "damaged_but_read": [one.path for one in outcomes if one.reason == "damaged_but_read"],
        "explained": [
            f"{one.path}: {one.state} {one.reason}, {one.found} of {one.wanted or 'some'}; {EXPLAINED[one.path]}"
            for one in readable
            if one.is_explained
        ],
        "fall_short": [
            f"{one.path} ({one.kind}): {one.state} {one.reason}, {one.found} of {one.wanted or 'some'} characters"
            for one in wrong
        ],
    }
    for one in huge:
        figures[one.name] = {
            "pages": one.pages,
            "seconds": one.seconds,
            "reading_process_mb": one.reading_mb,
            "short_text_beside_ready_after_seconds": one.small_seconds,
        }
    return conclude(
        "messy",
        on=before,
        data=f"{len(outcomes)} shared files in {figures['formats']} formats, one worker of two slots, stand-in model",
        figures=figures,
        bars=[
            Bar("the worker died or lost a process", float(not alive) + lost, 0),
            Bar("the worker with all it started, at its peak (MB)", round(messy_peak / 1e6), WORKER_MB),
            Bar(
                "readable files that are not searchable with 95 % of their text, and no reason is known why",
                _wrong(one for one in readable if not one.is_explained),
                0,
            ),
            Bar("other files without a reason that names the cause", _wrong(others), 0),
            *(Bar(f"{one.name}: the process that reads it (MB)", one.reading_mb or 1e9, READING_MB) for one in huge),
            *(Bar(f"{one.name}: not ready in the end", float(one.state != "ready"), 0) for one in huge),
            *(Bar(f"{one.name}: a short text beside it ready (s)", one.small_seconds, SMALL_SECONDS) for one in huge),
        ],
    )


def _wrong(outcomes: Iterable[Outcome]) -> int:
    return sum(not one.is_right for one in outcomes)


def _table(outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """For each format and class: how many files came out right, of how many."""
    table: dict[str, dict[str, str]] = {}
    for key in sorted({(one.format, one.kind) for one in outcomes}):
        those = [one for one in outcomes if (one.format, one.kind) == key]
        table.setdefault(key[0], {})[key[1]] = f"{len(those) - _wrong(those)} of {len(those)}"
    return table


def _print_table(outcomes: Sequence[Outcome]) -> None:
    kinds = ["ok", "scanned", "encrypted", "broken", "empty", "huge"]
    print(f"{'format':8}" + "".join(f"{kind:>12}" for kind in kinds))
    for name, row in _table(outcomes).items():
        print(f"{name:8}" + "".join(f"{row.get(kind, ''):>12}" for kind in kinds))


if __name__ == "__main__":
    sys.exit(main())
