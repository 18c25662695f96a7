"""A run: one worker's hold on one document. A later run wins; the earlier one notices at its next write and stops.

Rows of documents are locked in the order in which they came into being, and so a mail before its attachments: the
database writes both when a mail's access changes, and reads the mail's row whenever an attachment is written
(docs/decisions/0020). Chunks are written after their document's row is locked.
"""

from __future__ import annotations

import hashlib
from functools import cache
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ingestion.models import Document, Status

RECIPE = "3"
"""Raise it when extraction, chunking or lexemes change what they make of the same file: `reconcile` then reads every
document again, a few at a time."""

MOST_ATTEMPTS = 5
"""Runs in a row that may die over a document before it is given up: a file that kills workers is not fed to more."""

PARTLY_TAKEN_IN = "partly_taken_in"
"""The reason of a container of which some parts were refused."""

READ_AGAIN = (PARTLY_TAKEN_IN, "partly_read", "damaged_but_read", "damaged", "missing")
"""Flaws that only reading the stored file again can tell to be gone."""


class Superseded(Exception):
    """A later run, an archiving or a new file has taken the document over; this run stops without a trace."""


class GivenUp(Exception):
    """As many runs as may have died over this document."""


def recipe_of(document: Document) -> str:
    """RECIPE, and a hash of all else that decides what the document's chunks are."""
    parts = [document.next_sha256 or document.sha256, document.title, document.language]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{RECIPE}:{digest}"[:64]


def claim(document_id: UUID, run: UUID, *, again: bool = False) -> Document | None:
    """Take the document over, from whichever run holds it; None when it is ready as it is, and nothing is to be done.

    Raises Superseded when it is archived or gone, and GivenUp, with the run holding it, when MOST_ATTEMPTS runs in a
    row began and never came to an end. A run that only goes on (`again`) after the database was away does not count.
    """
    with transaction.atomic():
        document = held(document_id, None)
        is_as_wanted = document.recipe == recipe_of(document)
        if document.status == Status.READY and is_as_wanted:
            return None
        attempts = document.attempts
        document.attempts = attempts if again else min(attempts + 1, MOST_ATTEMPTS)
        document.status, document.progress, document.error, document.error_reason = Status.EXTRACTING, 0, "", ""
        document.run, document.run_seen_at = run, timezone.now()
        document.save(
            update_fields=[
                *("status", "progress", "error", "error_reason", "attempts"),
                *("run", "run_seen_at", "updated_at"),
            ]
        )
        if is_as_wanted:
            # Staged for a change that was taken back since: what is served is right.
            document.chunks.filter(staged=True).delete()
    if attempts >= MOST_ATTEMPTS:
        raise GivenUp
    return document


def progress(document_id: UUID, run: UUID, **changes: object) -> None:
    """Write these fields, with a sign of life, if the run still holds the document. Raises Superseded."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_MAIL, [document_id])
        mine = Document.objects.filter(pk=document_id, run=run).exclude(status=Status.ARCHIVED)
        if not mine.update(run_seen_at=now, updated_at=now, **changes):
            raise Superseded


def held(document_id: UUID, run: UUID | None) -> Document:
    """The document, locked until the transaction ends. Raises Superseded when `run` does not hold it any more."""
    document: Document
    for document in Document.objects.raw(_locking(), [document_id, document_id, Status.ARCHIVED]):
        if run is None or document.run == run:
            return document
    raise Superseded


_LOCK_MAIL = """
SELECT 1 FROM ingestion_document mail JOIN ingestion_document attachment ON attachment.parent_id = mail.id
WHERE attachment.id = %s AND attachment.is_attachment FOR SHARE OF mail
"""
"""Keeps the mail of an attachment from being changed until the transaction ends; other documents have none."""


@cache
def _locking() -> str:
    """The statement that locks a document, its mail first, and reads it.

    Kept, because to write it takes Django several times as long as to carry it out takes PostgreSQL.
    """
    columns, _ = Document.objects.order_by().query.sql_with_params()
    return (
        f"WITH mail AS ({_LOCK_MAIL}) {columns} "  # noqa: S608  # nosec B608  # a queryset's own SQL
        "WHERE id = %s AND status <> %s AND (SELECT count(*) FROM mail) >= 0 FOR UPDATE OF ingestion_document"
    )


def lock_all(documents: QuerySet[Document]) -> list[UUID]:
    """Lock these documents until the transaction ends, and the mails of those that are attachments; the ids of these.

    What was changed before the lock was had is seen: the ids are of those that still meet the query's conditions.
    """
    wanted = documents.order_by().values("pk")
    mails = Document.objects.filter(parts__in=wanted, parts__is_attachment=True).values("pk")
    rows = Document.objects.filter(Q(pk__in=wanted) | Q(pk__in=mails)).order_by("created_at", "pk")
    locked = list(rows.select_for_update().values_list("pk", flat=True))
    return list(documents.filter(pk__in=locked).order_by().values_list("pk", flat=True))
