"""The originals that a document has had: replaced by a new file, kept, and brought back.

Versions are numbered in the order in which files stopped being the newest. No stored file is copied, and none is
deleted: bringing an earlier version back makes its stored file the document's next one (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.files import File
from django.db import transaction
from django.db.models import Max, QuerySet

from ingestion.models import Document, EarlierVersion, Status
from ingestion.queueing import enqueue
from ingestion.registration import UploadRejected, clean_file_name, fingerprint, store
from ingestion.runs import lock_all


def earlier(document: Document) -> QuerySet[EarlierVersion]:
    """The document's earlier versions, newest first."""
    return EarlierVersion.objects.filter(document=document.pk).order_by("-number")


def replace_file(
    document: Document, file: File[bytes], *, file_name: str, insist: Callable[[], object] = lambda: None
) -> Document:
    """Give a document a new original. What is served now, text and file, stays until the new one is ready.

    `insist` is called in the transaction that writes, once the file is stored, which takes its time: it locks what has
    to hold still then, and raises where it does not. Raises UploadRejected when the file is empty, too large, or what
    the document already holds, and when the document is archived.
    """
    file_name = clean_file_name(file_name)
    sha256, size = fingerprint(file, file_name)
    _refuse(document, sha256, file_name)

    def save(name: str) -> None:
        insist()
        _give(document, EarlierVersion(file=name, file_name=file_name, file_size=size, sha256=sha256))

    store(document, file, save)
    return document


@transaction.atomic
def restore_version(document: Document, number: int) -> Document:
    """Make an earlier version the document's next file, as if it were uploaded anew.

    It is listed as the earlier version that it was, too. Raises EarlierVersion.DoesNotExist for a number that there
    is not, and UploadRejected when it is what the document already holds, or when the document is archived.
    """
    _give(document, earlier(document).get(number=number))
    transaction.on_commit(lambda: enqueue(document.pk), robust=True)
    return document


def _give(document: Document, new: EarlierVersion) -> None:
    """Write a stored file as the document's newest one, and what it displaces as an earlier version.

    Called in a transaction.
    """
    lock_all(Document.objects.filter(pk=document.pk))
    document.refresh_from_db()
    _refuse(document, new.sha256, new.file_name)
    if document.is_searchable:
        set_next_aside(document)
        document.next_file, document.next_file_name = new.file.name, new.file_name
        document.next_file_size, document.next_sha256 = new.file_size, new.sha256
    else:
        # Nothing is served, and so there is nothing that must stay until the new file is read.
        set_aside(document)
        document.file, document.file_name = new.file.name, new.file_name
        document.file_size, document.sha256 = new.file_size, new.sha256
    document.status, document.progress, document.error, document.error_reason = Status.QUEUED, 0, "", ""
    # A run that still reads the old original finds out that it does not hold the document any more.
    document.run, document.attempts = None, 0
    document.save()


def set_aside(document: Document) -> None:
    """Keep the document's original as an earlier version, and count the document's version up.

    Called in the transaction that gives it another one, with the document locked; the caller saves the document.
    """
    _keep(
        document,
        document.version,
        file=document.file.name,
        file_name=document.file_name,
        file_size=document.file_size,
        sha256=document.sha256,
        mime_type=document.mime_type,
        page_count=document.page_count,
    )
    document.version = _latest(document) + 1


def set_next_aside(document: Document) -> None:
    """Keep a replacement that was never served, where there is one, as an earlier version."""
    if document.next_file:
        _keep(
            document,
            _latest(document) + 1,
            file=document.next_file.name,
            file_name=document.next_file_name,
            file_size=document.next_file_size,
            sha256=document.next_sha256,
        )


def _keep(document: Document, number: int, **fields: object) -> None:
    EarlierVersion.objects.create(document=document, number=number, **fields)


def _latest(document: Document) -> int:
    """The highest number that is taken."""
    kept: int | None = earlier(document).order_by().aggregate(latest=Max("number"))["latest"]
    return max(document.version, kept or 0)


def _refuse(document: Document, sha256: str, file_name: str) -> None:
    """Raise UploadRejected where this document cannot take this file."""
    if document.status == Status.ARCHIVED:
        raise UploadRejected("archived", "This document is archived. Restore it before you replace its file.")
    if sha256 == (document.next_sha256 or document.sha256):
        raise UploadRejected(
            "duplicate", f"“{file_name}” is the file that this document already has.", existing=document
        )
