"""From a stored file to served chunks. The only writer of chunks.

A run claims the document; a later run wins over an earlier one, which notices at its next write and stops. New chunks
are staged beside the served ones, embedded, and swapped in by one short transaction. Where nothing is served yet, they
are served at once and found by words while the vectors come. So a run killed anywhere loses and doubles nothing.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from ingestion.chunking import chunk_pages
from ingestion.chunkrows import chunk_row
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.extraction import ExtractionError, extract
from ingestion.filling import embed, insert_ready
from ingestion.models import Chunk, Document, Status
from ingestion.originals import discard
from ingestion.registration import (
    DocumentMetadata,
    UploadRejected,
    clean_title,
    enqueue,
    register,
    register_upload,
    replace_file,
)
from ingestion.runs import Superseded, claim, held, recipe_of
from ingestion.upkeep import (
    STALE_AFTER,
    UNAVAILABLE,
    archive,
    metadata_changed,
    reconcile,
    reembed,
    restore,
    retry,
)

__all__ = [
    "STALE_AFTER",
    "UNAVAILABLE",
    "DocumentMetadata",
    "UploadRejected",
    "archive",
    "clean_title",
    "enqueue",
    "ingest",
    "insert_ready",
    "metadata_changed",
    "recipe_of",
    "reconcile",
    "reembed",
    "register",
    "register_upload",
    "replace_file",
    "restore",
    "retry",
]

logger = logging.getLogger(__name__)

OUR_FAULT = "Something went wrong on our side. Retry; if it stays, tell the operators."

PROGRAM_LIMIT = "54"
"""The one class of PostgreSQL's operational errors that comes back with the same data (SQLSTATE, appendix A)."""


def ingest(document_id: UUID) -> None:
    """Bring a document to `ready`, from wherever it stands. Safe to run twice, at once or again.

    Failures of the file end in `failed` with a reason for librarians; a missing embedding node leaves the document
    searchable by words and waiting. Errors of our own are noted as `failed` and raised for the log. A database that
    goes away says nothing about the document: that is raised, and `reconcile` starts the document again.
    """
    document = Document.objects.filter(pk=document_id).exclude(status=Status.ARCHIVED).first()
    if document is None or (document.status == Status.READY and document.recipe == recipe_of(document)):
        return
    run = uuid.uuid4()
    try:
        document = claim(document_id, run)
        recipe = recipe_of(document)
        if document.recipe != recipe:
            document = _stage(document, run)
            recipe = recipe_of(document)
        embed(document_id, run, document.title)
        _serve(document_id, run, recipe)
    except Superseded:
        logger.info("document %s: superseded", document_id)
    except ExtractionError as error:
        _fail(document_id, run, error.reason, str(error))
    except EmbeddingUnavailable as error:
        logger.warning("document %s waits for an embedding node: %s", document_id, error)
        Document.objects.filter(pk=document_id, run=run).update(
            error_reason=UNAVAILABLE,
            error="Found by words already. It waits for the embedding service, and goes on by itself.",
            run_seen_at=timezone.now(),
        )
    except FileNotFoundError:
        logger.exception("document %s: its original is gone", document_id)
        _fail(document_id, run, "missing", "The stored original is gone. Replace the file, and tell the operators.")
    except (OperationalError, InterfaceError) as error:
        if _is_passing(error):
            raise
        _fail(document_id, run, "internal", OUR_FAULT)
        raise
    except Exception:
        _fail(document_id, run, "internal", OUR_FAULT)
        raise


def _is_passing(error: OperationalError | InterfaceError) -> bool:
    """Whether the database failed for reasons of its own: lost, full, overloaded, a deadlock."""
    return (getattr(error.__cause__, "sqlstate", None) or "")[:2] != PROGRAM_LIMIT


@contextmanager
def _local_original(document: Document) -> Iterator[Path]:
    """The original as a local file, whatever the storage."""
    original = document.next_file or document.file
    try:
        path = Path(original.path)
    except NotImplementedError:
        with tempfile.NamedTemporaryFile() as copy, original.open("rb") as stored:
            for block in stored.chunks():
                copy.write(block)
            copy.flush()
            yield Path(copy.name)
    else:
        yield path


def _stage(document: Document, run: UUID) -> Document:
    """Extract and chunk the original; write the chunks staged, or served at once where nothing is served yet."""
    with _local_original(document) as path:
        extraction = extract(path, file_name=document.next_file_name or document.file_name)
    drafts = chunk_pages(extraction.pages)
    if not drafts:
        raise ExtractionError("empty", "There is no text in this file.")
    with transaction.atomic():
        document = held(document.pk, run)
        beside = document.is_searchable
        document.mime_type = extraction.mime_type
        document.page_count = max(extraction.pages[-1].number, *extraction.pages_without_text, 0)
        document.title = document.title or clean_title(extraction.title) or Path(document.file_name).stem
        document.language = document.language or extraction.language
        document.status, document.progress, document.run_seen_at = Status.EMBEDDING, 10, timezone.now()
        document.unread_pages = len(extraction.pages_without_text)
        if not beside:
            document.is_searchable, document.chunk_count = True, len(drafts)
            document.recipe = recipe_of(document)
        document.save()
        known = {
            bytes(content_hash): embedding
            for content_hash, embedding in document.chunks.filter(embedding__isnull=False).values_list(
                "content_hash", "embedding"
            )
        }
        (document.chunks.filter(staged=True) if beside else document.chunks.all()).delete()
        Chunk.objects.bulk_create(
            (chunk_row(document, draft, known, staged=beside) for draft in drafts), batch_size=200
        )
    return document


def _serve(document_id: UUID, run: UUID, recipe: str) -> None:
    """Swap the staged version in, if there is one, and set the document ready.

    Where a title or a language was edited after the chunks were made, the document goes back to the queue instead.
    """
    with transaction.atomic():
        document = held(document_id, run)
        if document.chunks.filter(staged=True).exists():
            document.chunks.filter(staged=False).delete()
            document.chunks.update(staged=False)
        if document.next_file:
            discard(document.file)
            document.file, document.file_name = document.next_file.name, document.next_file_name
            document.file_size, document.sha256 = document.next_file_size, document.next_sha256
            document.next_file, document.next_file_name, document.next_file_size, document.next_sha256 = "", "", 0, ""
        by_words_only = document.chunks.filter(metadata__has_key="unembeddable").count()
        document.status, document.progress, document.recipe = Status.READY, 100, recipe
        document.chunk_count = document.chunks.count()
        document.error_reason, document.error = _flaws(document, by_words_only)
        document.save()
        metadata_changed(document)


def _flaws(document: Document, by_words_only: int) -> tuple[str, str]:
    """Reason and explanation of what is wrong with a document that is ready all the same; empty when nothing is."""
    flaws = []
    if document.unread_pages:
        flaws.append(
            f"{document.unread_pages} of {document.page_count} pages are pictures without text and are not searched. "
            "Run text recognition over the file and replace it."
        )
    if by_words_only:
        flaws.append(
            f"{by_words_only} of {document.chunk_count} passages could not be embedded; they are found by words only."
        )
    reason = "partly_read" if document.unread_pages else "partly_embedded" if by_words_only else ""
    return reason, " ".join(flaws)


def _fail(document_id: UUID, run: UUID, reason: str, explanation: str) -> None:
    """Set the document failed, if the run still holds it. What it served before it goes on serving."""
    logger.warning("document %s failed: %s", document_id, reason)
    if Document.objects.filter(pk=document_id).exclude(next_sha256="").exists():
        explanation += " The file before it is still the one in use."
    Document.objects.filter(pk=document_id, run=run).exclude(status=Status.ARCHIVED).update(
        status=Status.FAILED, error_reason=reason, error=explanation, updated_at=timezone.now()
    )
