"""Keeping the stored originals: whole, for as long as anything refers to them, and no longer.

A stored file is deleted here and nowhere else. That holds its name (a lock in the database), and looks at that moment
whether anything refers to it. Who writes the first reference to a file holds its name too, and looks at that moment
whether the file is there. So of a registration and a clean-up that meet, one sees what the other did, and no row is
left without its file (docs/decisions/0017).
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import IO, cast

from django.core.files.storage import Storage, default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from ingestion.extraction import SCRATCH_PREFIX
from ingestion.models import Document, EarlierVersion, Status
from ingestion.storage import ListsOriginals, StorageAway, StoredFile

logger = logging.getLogger(__name__)

GRACE = timedelta(hours=24)
"""A stored file younger than this is never cleared away: the upload that it belongs to may still be going on."""

CHECK_EVERY = timedelta(days=30)
"""How often each original is compared with its checksum."""

DAMAGED = (
    "The stored original is not the file that was taken in: its checksum differs. Replace the file, or have the "
    "operators bring it back from the backup, and retry."
)
MISSING = (
    "The stored original is gone. Replace the file, or have the operators bring it back from the backup, and retry."
)

_NAMES_AT_ONCE = 500


def hold(storage: Storage, name: str) -> None:
    """Keep a stored file from being cleared away until the transaction ends, in which a reference to it is written.

    Raises FileNotFoundError where it has been already.
    """
    _lock(name)
    if not storage.exists(name):
        raise FileNotFoundError(f"the stored file {name} is gone")


def remove_unless_referred(storage: Storage, name: str) -> bool:
    """Delete a stored file that nothing refers to; whether it did. Where that cannot be known now, it stays."""
    try:
        with transaction.atomic():
            _lock(name)
            if referred([name]):
                return False
            storage.delete(name)
    except (DatabaseError, OSError) as error:
        logger.warning("the stored file %s stays until the next clean-up: %s", name, error)
        return False
    return True


def _lock(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [name])


def referred(names: Collection[str]) -> set[str]:
    """Those of the stored files that a document or an earlier version of one refers to."""
    found: set[str] = set()
    for name in ("file", "next_file"):
        found.update(Document.objects.filter(**{f"{name}__in": names}).values_list(name, flat=True))
    found.update(EarlierVersion.objects.filter(file__in=names).values_list("file", flat=True))
    return found


@dataclass
class Cleaning:
    """What a clean-up found."""

    looked_at: int = 0
    too_young: int = 0
    removed: list[StoredFile] = field(default_factory=list)


def clean(*, grace: timedelta = GRACE, dry_run: bool = False) -> Cleaning:
    """Delete the stored originals that nothing refers to, and that are older than `grace`.

    `removed` are those that were deleted, or would be. Raises StorageAway.
    """
    report, oldest = Cleaning(), timezone.now() - grace
    for stored in _in_pages(_listed()):
        report.looked_at += len(stored)
        old = [one for one in stored if one.modified <= oldest]
        report.too_young += len(stored) - len(old)
        used = referred([one.name for one in old])
        for one in old:
            if one.name not in used and (dry_run or remove_unless_referred(default_storage, one.name)):
                report.removed.append(one)
    return report


def _listed() -> Iterator[StoredFile]:
    """Every stored original. Before the first document there need not even be a folder. Raises StorageAway."""
    try:
        yield from cast("ListsOriginals", default_storage).originals()
    except StorageAway:
        if Document.objects.exists():
            raise


def _in_pages(listed: Iterator[StoredFile]) -> Iterator[list[StoredFile]]:
    while page := list(islice(listed, _NAMES_AT_ONCE)):
        yield page


def checksum(file: FieldFile) -> str:
    """SHA-256 of a stored file, in hex. Raises FileNotFoundError, and StorageAway."""
    with file.storage.open(str(file.name)) as stored:
        return _digest(stored.chunks())


class Damaged(Exception):
    """A stored file is not what was taken in."""


@contextmanager
def local_original(document: Document) -> Iterator[Path]:
    """The document's newest original as a local file, whatever the storage.

    Raises Damaged where its bytes are not those that were taken in, FileNotFoundError, and StorageAway.
    """
    original = document.next_file or document.file
    sha256 = document.next_sha256 or document.sha256
    with original.storage.open(str(original.name)) as stored:
        try:
            path = Path(original.path)
        except NotImplementedError:
            path = None
        if path:
            _insist(_digest(stored.chunks()), sha256)
            yield path
            return
        # Under a name by which the next worker clears it away where this one is killed.
        with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as folder:
            path = Path(folder, "original")
            with path.open("wb") as copy:
                _insist(_digest(_copied(stored.chunks(), copy)), sha256)
            yield path


def _copied(blocks: Iterable[bytes], copy: IO[bytes]) -> Iterator[bytes]:
    for block in blocks:
        copy.write(block)
        yield block


def _digest(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _insist(found: str, expected: str) -> None:
    if found != expected:
        raise Damaged


@dataclass
class Verification:
    """What comparing originals with their checksums found: `damaged` and `missing` are the files' own names."""

    files: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def verify(*, most_bytes: int | None = None) -> Verification:
    """Compare originals with their checksums, the longest unchecked first, and flag the documents of bad ones.

    With `most_bytes` it stops after so many, and leaves out what was checked within CHECK_EVERY; without, everything is
    compared, earlier versions too. Raises StorageAway, and flags nothing, where the storage as a whole is away.
    """
    next(_listed(), None)
    report = Verification()
    due = Document.objects.order_by(F("checked_at").asc(nulls_first=True), "pk")
    if most_bytes is not None:
        due = due.exclude(checked_at__gt=timezone.now() - CHECK_EVERY)
    for document in due.only("file", "sha256", "file_name", "file_size").iterator(chunk_size=100):
        if most_bytes is not None and report.bytes >= most_bytes:
            return report
        flaw = _compare(document, report)
        _note(document, flaw)
    if most_bytes is None:
        for version in EarlierVersion.objects.iterator(chunk_size=100):
            _compare(version, report)
    return report


def _compare(kept: Document | EarlierVersion, report: Verification) -> str:
    """What is wrong with a stored file: `damaged`, `missing` or nothing."""
    report.files += 1
    report.bytes += kept.file_size
    try:
        whole = checksum(kept.file) == kept.sha256
    except FileNotFoundError:
        report.missing.append(kept.file_name)
        flaw = "missing"
    else:
        if whole:
            return ""
        report.damaged.append(kept.file_name)
        flaw = "damaged"
    logger.error("the stored original %s (%s) is %s", kept.file.name, kept, flaw)
    return flaw


def _note(document: Document, flaw: str) -> None:
    """Write that the document's original was compared, and what is wrong with it, unless it got another meanwhile.

    What is served of it goes on being served. A flaw that is gone is taken off.
    """
    same: QuerySet[Document] = Document.objects.filter(pk=document.pk, file=document.file.name)
    same.update(checked_at=timezone.now())
    at_rest = same.filter(status=Status.READY)
    if flaw:
        at_rest.update(error_reason=flaw, error=DAMAGED if flaw == "damaged" else MISSING)
    else:
        at_rest.filter(error_reason__in=("damaged", "missing")).update(error_reason="", error="")
