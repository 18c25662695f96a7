"""A run: one worker's hold on one document. A later run wins; the earlier one notices at its next write and stops."""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ingestion.models import Document, Status

RECIPE = "1"
"""Raise it when extraction, chunking or lexemes change what they make of the same file."""


class Superseded(Exception):
    """A later run, an archiving or a new file has taken the document over; this run stops without a trace."""


def recipe_of(document: Document) -> str:
    """Hash of all that decides what the document's chunks are."""
    parts = [RECIPE, document.next_sha256 or document.sha256, document.title, document.language]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@transaction.atomic
def claim(document_id: UUID, run: UUID) -> Document:
    """Take the document over, from whichever run holds it. Raises Superseded when it is archived or gone."""
    document = progress(document_id, run, claim=True, status=Status.EXTRACTING, progress=0, error="", error_reason="")
    if document.recipe == recipe_of(document):
        # Staged for a change that was taken back since: what is served is right.
        document.chunks.filter(staged=True).delete()
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
    held = Document.objects.select_for_update().filter(pk=document_id).exclude(status=Status.ARCHIVED)
    document: Document | None = held.first() if run is None else held.filter(run=run).first()
    if document is None:
        raise Superseded
    return document
