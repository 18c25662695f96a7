"""A run: one worker's hold on one document. A later run wins; the earlier one notices at its next write and stops.

Rows of documents are locked in the order in which they came into being, and so a mail before its attachments: the
database writes both when a mail's access changes, and reads the mail's row whenever an attachment is written
(docs/decisions/0020). Chunks are written after their document's row is locked.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ingestion.models import Document, Status

RECIPE = "2"
"""Raise it when extraction, chunking or lexemes change what they make of the same file: `reconcile` then reads every
document again, a few at a time."""

MOST_ATTEMPTS = 5
"""Runs in a row that may die over a document before it is given up: a file that kills workers is not fed to more."""

PARTLY_TAKEN_IN = "partly_taken_in"
"""The reason of a container of which some parts were refused."""

READ_AGAIN = (PARTLY_TAKEN_IN, "partly_read", "damaged", "missing")
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


def claim(document_id: UUID, run: UUID, *, again: bool = False) -> Document:
    """Take the document over, from whichever run holds it.

    Raises Superseded when it is archived or gone, and GivenUp, with the run holding it, when MOST_ATTEMPTS runs in a
    row began and never came to an end. A run that only goes on (`again`) after the database was away does not count.
    """
    with transaction.atomic():
        attempts = held(document_id, None).attempts
        document = progress(
            document_id, run, claim=True, status=Status.EXTRACTING, progress=0, error="", error_reason="",
            attempts=attempts if again else min(attempts + 1, MOST_ATTEMPTS),
        )  # fmt: skip
        if document.recipe == recipe_of(document):
            # Staged for a change that was taken back since: what is served is right.
            document.chunks.filter(staged=True).delete()
    if attempts >= MOST_ATTEMPTS:
        raise GivenUp
    return document


def progress(document_id: UUID, run: UUID, *, claim: bool = False, **changes: object) -> Document:
    """Write these fields, with a sign of life, if the run still holds the document. Raises Superseded."""
    with transaction.atomic():
        document = held(document_id, None if claim else run)
        document.run, document.run_seen_at = run, timezone.now()
        for name, value in changes.items():
            setattr(document, name, value)
        document.save(update_fields=["run", "run_seen_at", "updated_at", *changes])
    return document


def held(document_id: UUID, run: UUID | None) -> Document:
    """The document, locked until the transaction ends. Raises Superseded when `run` does not hold it any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM ingestion_document mail "
            "JOIN ingestion_document attachment ON attachment.parent_id = mail.id "
            "WHERE attachment.id = %s AND attachment.is_attachment FOR SHARE OF mail",
            [document_id],
        )
    held = Document.objects.select_for_update().filter(pk=document_id).exclude(status=Status.ARCHIVED)
    document: Document | None = held.first() if run is None else held.filter(run=run).first()
    if document is None:
        raise Superseded
    return document


def lock_all(documents: QuerySet[Document]) -> list[UUID]:
    """Lock these documents until the transaction ends, and the mails of those that are attachments; the ids of these.

    What was changed before the lock was had is seen: the ids are of those that still meet the query's conditions.
    """
    wanted = documents.order_by().values("pk")
    mails = Document.objects.filter(parts__in=wanted, parts__is_attachment=True).values("pk")
    rows = Document.objects.filter(Q(pk__in=wanted) | Q(pk__in=mails)).order_by("created_at", "pk")
    locked = list(rows.select_for_update().values_list("pk", flat=True))
    return list(documents.filter(pk__in=locked).order_by().values_list("pk", flat=True))
