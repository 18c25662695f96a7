"""From a stored file to served chunks. The only writer of chunks.

A run claims the document; a later run wins over an earlier one, which notices at its next write and stops. Where few
passages are to be embedded, that is done first, and one short transaction writes and serves them. Else new chunks are
staged beside the served ones, embedded step by step, and swapped in; where nothing is served yet, they are served at
once and found by words while the vectors come. So a run killed anywhere loses and doubles nothing.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from ingestion import metrics
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row, drafts_of
from ingestion.drift import mend, reconcile
from ingestion.embeddings import EmbeddingUnavailable, ModelChanged
from ingestion.extraction import Extraction, ExtractionError, extract
from ingestion.filling import beforehand, embed, insert_ready, known_to, waiting
from ingestion.likeness import sketch
from ingestion.models import Chunk, Document, Status
from ingestion.parts import WrongManifest, take_in, told
from ingestion.queueing import enqueue
from ingestion.registration import DocumentMetadata, UploadRejected, clean_title, register, register_upload
from ingestion.retention import DAMAGED, MISSING, Damaged, local_original
from ingestion.runs import MOST_ATTEMPTS, PARTLY_TAKEN_IN, GivenUp, Superseded, claim, held, recipe_of
from ingestion.storage import StorageAway
from ingestion.upkeep import UNAVAILABLE, archive, delete, metadata_changed, restore, retry
from ingestion.versions import replace_file, restore_version, set_aside

__all__ = [
    "UNAVAILABLE",
    "DocumentMetadata",
    "UploadRejected",
    "archive",
    "clean_title",
    "delete",
    "enqueue",
    "ingest",
    "insert_ready",
    "is_passing",
    "mend",
    "metadata_changed",
    "recipe_of",
    "reconcile",
    "register",
    "register_upload",
    "replace_file",
    "restore",
    "restore_version",
    "retry",
]

logger = logging.getLogger(__name__)

OUR_FAULT = "Something went wrong on our side. Retry; if it stays, tell the operators."

WAITING = "Found by words already. It waits for the embedding service, and goes on by itself."
MODEL_CHANGED = (
    "Found by words already. It waits because the embedding model is not the one any more that the corpus was embedded "
    "with. Tell the operators."
)

GAVE_UP = (
    f"The worker died {MOST_ATTEMPTS} times while it read this file. Save it again in a simpler form, or split it, and "
    "replace it."
)

PROGRAM_LIMIT = "54"
"""The one class of PostgreSQL's operational errors that comes back with the same data (SQLSTATE, appendix A)."""


@dataclass(frozen=True)
class _Reading:
    """What a run has just read out of a document's newest file."""

    extraction: Extraction
    drafts: Sequence[ChunkDraft]
    refused: Sequence[str]
    """A sentence for each file within the file that was not taken in."""


def ingest(document_id: UUID, *, again: bool = False) -> None:
    """Bring a document to `ready`, from wherever it stands. Safe to run twice, at once or again.

    Failures of the file end in `failed` with a reason for librarians; a missing embedding node leaves the document
    searchable by words and waiting. Errors of our own are noted as `failed` and raised for the log. A database or a
    storage that goes away says nothing about the document: that is raised (`is_passing`), and the document is to be
    ingested `again`.
    """
    run = uuid.uuid4()
    try:
        document = claim(document_id, run, again=again)
        if document is None:
            return
        reading: _Reading | None = None
        if document.recipe != recipe_of(document):
            with metrics.stage("reading"):
                reading = _read(document, run)
            with metrics.stage("writing"):
                document = _write(document, run, reading)
        if document.status != Status.READY:
            recipe = recipe_of(document)
            while not _serve(document_id, run, recipe, reading):
                with metrics.stage("embedding"):
                    embed(document_id, run, document.title)
        metrics.RUNS.labels("ready", "").inc()
    except Superseded:
        logger.info("document %s: superseded", document_id)
    except ExtractionError as error:
        _fail(document_id, run, error.reason, str(error))
    except EmbeddingUnavailable as error:
        logger.warning("document %s waits for an embedding node: %s", document_id, error)
        metrics.RUNS.labels("waiting", "").inc()
        Document.objects.filter(pk=document_id, run=run).update(
            error_reason=UNAVAILABLE,
            error=MODEL_CHANGED if isinstance(error, ModelChanged) else WAITING,
            run_seen_at=timezone.now(),
            attempts=0,
        )
    except GivenUp:
        _fail(document_id, run, "gave_up", GAVE_UP)
    except WrongManifest as error:
        _fail(document_id, run, "manifest", str(error))
    except Damaged:
        _fail(document_id, run, "damaged", DAMAGED)
    except FileNotFoundError:
        logger.exception("document %s: its original is gone", document_id)
        _fail(document_id, run, "missing", MISSING)
    except (OperationalError, InterfaceError, StorageAway) as error:
        if is_passing(error):
            raise
        _fail(document_id, run, "internal", OUR_FAULT)
        raise
    except Exception:
        _fail(document_id, run, "internal", OUR_FAULT)
        raise


def is_passing(error: Exception) -> bool:
    """Whether the database or the storage failed for reasons of its own: lost, full, overloaded, a deadlock."""
    return (getattr(error.__cause__, "sqlstate", None) or "")[:2] != PROGRAM_LIMIT


def _read(document: Document, run: UUID) -> _Reading:
    """Extract and chunk the original. The files within the file are taken in as documents of their own."""
    with local_original(document) as path, tempfile.TemporaryDirectory(prefix="extraction-parts-") as folder:
        file_name = document.next_file_name or document.file_name
        extraction = extract(path, file_name=file_name, parts_folder=Path(folder))
        drafts = drafts_of(extraction.pages)
        if not drafts and not extraction.parts:
            raise ExtractionError("empty", "There is no text in this file.")
        refused = take_in(document, extraction.parts, run)
    return _Reading(extraction, drafts, refused)


def _write(document: Document, run: UUID, reading: _Reading) -> Document:
    """Write what was read, and set the document ready where that is all there is to do.

    Else, where passages are still without a vector, the chunks are staged beside what is served; where nothing is, they
    are served at once.
    """
    _name(document, reading.extraction)
    made = beforehand(document, run, reading.drafts)
    with transaction.atomic():
        document = held(document.pk, run)
        _name(document, reading.extraction)
        known = known_to(document, made)
        chunks = [chunk_row(document, draft, known) for draft in reading.drafts]
        is_complete = all(chunk.embedding is not None or chunk.metadata for chunk in chunks)
        beside = document.is_searchable and not is_complete
        (document.chunks.filter(staged=True) if beside else document.chunks.all()).delete()
        if is_complete:
            _take_newest_file(document)
        if not beside:
            _describe(document, reading.extraction)
        if is_complete:
            by_words_only = sum("unembeddable" in chunk.metadata for chunk in chunks)
            _set_ready(document, recipe_of(document), len(chunks), by_words_only, reading)
        else:
            document.status, document.progress, document.run_seen_at = Status.EMBEDDING, 10, timezone.now()
            if not beside:
                document.is_searchable, document.chunk_count = bool(chunks), len(chunks)
            if not beside and not reading.extraction.parts and not reading.extraction.is_damaged:
                # Those are read again where a run dies: which parts were refused, or the damage, is not written yet.
                document.recipe = recipe_of(document)
        document.save()
        for chunk in chunks:
            chunk.staged = beside
        Chunk.objects.bulk_create(chunks, batch_size=200)
    return document


def _name(document: Document, extraction: Extraction) -> None:
    """Give the document the title and the language that its chunks are made with, where people gave none."""
    document.title = document.title or clean_title(extraction.title) or Path(document.file_name).stem
    document.language = document.language or extraction.language


def _describe(document: Document, extraction: Extraction) -> None:
    """Put what the file says of itself, and what it is compared by, into the document."""
    document.mime_type = extraction.mime_type
    document.page_count = max(0, *(page.number for page in extraction.pages), *extraction.pages_without_text, 0)
    document.unread_pages = len(extraction.pages_without_text)
    document.authors = [author for author in map(clean_title, extraction.authors) if author]
    document.written_on = extraction.written_on
    document.outline = [[one.level, clean_title(one.title), one.page_number] for one in extraction.outline]
    sketched = sketch(page.text for page in extraction.pages)
    document.sketch, document.sketch_bands = (sketched.signature, sketched.bands) if sketched else (None, None)
    document.checked_at = timezone.now()


def _serve(document_id: UUID, run: UUID, recipe: str, reading: _Reading | None) -> bool:
    """Swap the staged version in, if there is one, and set the document ready.

    False, and nothing is done, where chunks lack their vectors because the model was changed a moment ago.
    Where a title or a language was edited after the chunks were made, the document goes back to the queue instead.
    """
    with transaction.atomic():
        document = held(document_id, run)
        # From this reading on the model stays the same until the transaction ends (vectorspace.hold).
        if waiting(document_id).exists():
            return False
        is_staged = document.chunks.filter(staged=True).exists()
        if is_staged:
            document.chunks.filter(staged=False).delete()
            document.chunks.update(staged=False)
        _take_newest_file(document)
        if reading and is_staged:
            # Else `_write` did: what is served at once is described at once.
            _describe(document, reading.extraction)
        by_words_only = document.chunks.filter(metadata__has_key="unembeddable").count()
        _set_ready(document, recipe, document.chunks.count(), by_words_only, reading)
        document.save()
        metadata_changed(document)
    return True


def _take_newest_file(document: Document) -> None:
    """Make a replacement the document's own original, and keep the one before it; the caller saves the document."""
    if document.next_file:
        set_aside(document)
        document.file, document.file_name = document.next_file.name, document.next_file_name
        document.file_size, document.sha256 = document.next_file_size, document.next_sha256
        document.next_file, document.next_file_name, document.next_file_size, document.next_sha256 = "", "", 0, ""


def _set_ready(document: Document, recipe: str, chunk_count: int, by_words_only: int, reading: _Reading | None) -> None:
    """Say that these chunks are served, and what is wrong with them; the caller saves the document."""
    document.status, document.progress, document.recipe, document.attempts = Status.READY, 100, recipe, 0
    document.chunk_count, document.is_searchable = chunk_count, chunk_count > 0
    document.error_reason, document.error = _flaws(document, by_words_only, reading)


def _flaws(document: Document, by_words_only: int, reading: _Reading | None) -> tuple[str, str]:
    """Reason and explanation of what is wrong with a document that is ready all the same; empty when nothing is."""
    flaws = {}
    if reading and reading.refused:
        flaws[PARTLY_TAKEN_IN] = told(reading.refused)
    if document.unread_pages:
        flaws["partly_read"] = (
            f"{document.unread_pages} of {document.page_count} pages are pictures without text and are not searched. "
            "Run text recognition over the file and replace it."
        )
    if reading and reading.extraction.is_damaged:
        flaws["damaged_but_read"] = (
            "The file is damaged; what could be read is searched. Open it in its program, save it anew and replace it."
        )
    if by_words_only:
        flaws["partly_embedded"] = (
            f"{by_words_only} of {document.chunk_count} passages could not be embedded; they are found by words only."
        )
    return next(iter(flaws), ""), " ".join(flaws.values())


def _fail(document_id: UUID, run: UUID, reason: str, explanation: str) -> None:
    """Set the document failed, if the run still holds it. What it served before it goes on serving."""
    logger.warning("document %s failed: %s", document_id, reason)
    metrics.RUNS.labels("failed", reason).inc()
    if Document.objects.filter(pk=document_id).exclude(next_sha256="").exists():
        explanation += " The file before it is still the one in use."
    Document.objects.filter(pk=document_id, run=run).exclude(status=Status.ARCHIVED).update(
        status=Status.FAILED, error_reason=reason, error=explanation, attempts=0, updated_at=timezone.now()
    )
