"""Taking in a file: checked, streamed to storage, noted in the database, and handed to the queue."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db import connection, transaction
from django.db.models import Q
from django.template.defaultfilters import filesizeformat

from accounts.clearance import Audience, Viewer, viewer_for
from accounts.models import Campus, Department, User
from ingestion.models import Document, DocumentType, Status, UploadBatch, original_path
from ingestion.queueing import enqueue
from ingestion.retention import hold, remove_unless_referred
from ingestion.runs import held
from ingestion.tags import tags_named

MAX_FILE_NAME = 255

_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the order of what follows them on a page; right-to-left titles need none."""
MAX_TITLE = 300


@dataclass(frozen=True)
class DocumentMetadata:
    """What a person says about a file. `clearance` and `audience` left out mean the most restricted they may set.

    `tags` are clean names (ingestion.tags).
    """

    department: Department
    doc_type: DocumentType
    title: str = ""
    campus: Campus | None = None
    clearance: int | None = None
    audience: str | None = None
    shared_with: tuple[Department, ...] = ()
    language: str = ""
    priority: int = 3
    tags: tuple[str, ...] = ()
    last_reviewed: date | None = None
    visible_from: datetime | None = None
    visible_until: datetime | None = None


@dataclass(frozen=True)
class PartOf:
    """Where a file came from that came within another one: the run that holds that document writes it."""

    container: Document
    place: str
    run: UUID


class UploadRejected(Exception):
    """A file that is not taken in; the message tells the uploader why and what to do.

    `reason` is one of empty, too_large, duplicate, clearance, department, archived, nested, manifest. `existing` is the
    document that a duplicate is of; only documents that the uploader manages are ever compared, so that none betrays
    its existence.
    """

    def __init__(self, reason: str, message: str, *, existing: Document | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.existing = existing


def register_upload(
    file: File[bytes],
    *,
    file_name: str,
    uploader: User,
    metadata: DocumentMetadata,
    batch: UploadBatch | None = None,
    also: Callable[[Document], None] | None = None,
) -> Document:
    """Take in an uploaded file on behalf of this person. See `register`."""
    return register(file, file_name=file_name, viewer=viewer_for(uploader), metadata=metadata, batch=batch, also=also)


def register(
    file: File[bytes],
    *,
    file_name: str,
    viewer: Viewer,
    metadata: DocumentMetadata,
    batch: UploadBatch | None = None,
    part_of: PartOf | None = None,
    also: Callable[[Document], None] | None = None,
) -> Document:
    """Store the file and note the document as queued; on commit its id goes to the queue.

    `batch` and `part_of` say what it came with and in; `also` is done in the transaction that writes it. Raises
    UploadRejected, with nothing kept, PermissionDenied for people who do not curate, and Superseded where the
    container's run holds it no more.
    """
    clearance = _permitted(viewer, metadata)
    file_name = clean_file_name(file_name)
    sha256, size = fingerprint(file, file_name)
    container = part_of.container if part_of else None
    _refuse_twin(viewer, sha256, file_name, container)
    document = Document(
        title=clean_title(metadata.title),
        file_name=file_name,
        file_size=size,
        sha256=sha256,
        department=metadata.department,
        campus=metadata.campus,
        doc_type=metadata.doc_type,
        clearance=clearance,
        audience=metadata.audience or Audience.DEPARTMENT,
        language=metadata.language,
        priority=metadata.priority,
        last_reviewed=metadata.last_reviewed,
        visible_from=metadata.visible_from,
        visible_until=metadata.visible_until,
        owner_id=viewer.user_id,
        batch=batch,
        parent=container,
        part=part_of.place if part_of else "",
    )

    def save(name: str) -> None:
        if part_of:
            held(part_of.container.pk, part_of.run)
        document.file = name
        # Of two uploads of one file at the same moment the second waits here, and then sees the first.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [sha256])
        _refuse_twin(viewer, sha256, file_name, container)
        document.save(force_insert=True)
        document.shared_with.set(metadata.shared_with)
        document.tags.set(tags_named(metadata.tags, viewer))
        if also:
            also(document)

    store(document, file, save)
    return document


def clean_file_name(name: str) -> str:
    """The last part of a path, without control and direction marks, NFC, at most 255 characters, its ending kept."""
    name = unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).name)
    name = "".join(char for char in " ".join(name.split()) if unicodedata.category(char)[0] != "C").strip()
    if not name.strip("."):
        return "unnamed"
    ending = PurePosixPath(name).suffix[:20]
    return name if len(name) <= MAX_FILE_NAME else name[: MAX_FILE_NAME - len(ending)] + ending


def clean_title(title: str) -> str:
    """A title on one line, without what no database or page takes, at most 300 characters."""
    one_line = " ".join(title.split())
    kept = (char for char in one_line if unicodedata.category(char) not in ("Cc", "Cs"))
    return "".join(char for char in kept if char not in _REORDERING)[:MAX_TITLE].strip()


def _permitted(viewer: Viewer, metadata: DocumentMetadata) -> int:
    """The clearance that the document gets, once the viewer is known to be allowed what they ask for."""
    if not viewer.curates:
        raise PermissionDenied("Only librarians, curators and administrators upload documents.")
    if not viewer.may_file_under(metadata.department.pk):
        raise UploadRejected(
            "department", f"You do not curate {metadata.department}. Choose a department that you curate."
        )
    if metadata.clearance is not None and metadata.clearance > viewer.effective_clearance:
        raise UploadRejected(
            "clearance",
            f"Clearance {metadata.clearance} is above your own ({viewer.effective_clearance}). Choose a lower one.",
        )
    return metadata.clearance or viewer.effective_clearance


def fingerprint(file: File[bytes], file_name: str) -> tuple[str, int]:
    """SHA-256 in hex and size in bytes of what is read, not of what was announced."""
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    for block in file.chunks():
        digest.update(block)
        size += len(block)
        if size > settings.MAX_UPLOAD_BYTES:
            limit = filesizeformat(settings.MAX_UPLOAD_BYTES)
            raise UploadRejected("too_large", f"“{file_name}” is larger than {limit}. Split it, or make it smaller.")
    if not size:
        raise UploadRejected("empty", f"“{file_name}” is empty. Check the file and upload it again.")
    file.seek(0)
    return digest.hexdigest(), size


def _refuse_twin(viewer: Viewer, sha256: str, file_name: str, container: Document | None) -> None:
    """Raise UploadRejected where a document that the viewer manages holds this very file.

    Attachments are not in the way: they are read by whoever reads their mail, which may not be meant for this file. Of
    a file within a container all who manage that are told: only what all of them manage is in its way.
    """
    same = Q(sha256=sha256, is_attachment=False) | Q(next_sha256=sha256, is_attachment=False)
    twins = Document.objects.manageable_by(viewer).filter(same).exclude(status=Status.ARCHIVED)
    if container:
        twins = twins.filter(department=container.department_id, clearance__lte=container.clearance)
    if twin := twins.first():
        raise UploadRejected("duplicate", f"“{file_name}” is already here as “{twin}”.", existing=twin)


def store(document: Document, file: File[bytes], save: Callable[[str], None]) -> None:
    """Write the original, then the row (`save`); when either cannot be written the original goes again.

    `save` is called in a transaction of its own.
    """
    storage = document.file.storage
    name = original_path(document, "")
    try:
        name = storage.save(name, file)
        with transaction.atomic():
            hold(storage, name)
            save(name)
    except BaseException:
        # Whether the row was written is not known when the database went away while it wrote.
        remove_unless_referred(storage, name)
        raise
    # Outside of the `try`: from here on the row is written, and whatever the queue does its original stays.
    transaction.on_commit(lambda: enqueue(document.pk), robust=True)
