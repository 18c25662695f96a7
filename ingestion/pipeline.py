"""From a stored file to served chunks. The only writer of chunks.

A run claims the document; a later run wins over an earlier one, which notices at its next write and stops. New chunks
are staged beside the served ones, embedded, and swapped in by one short transaction. Where nothing is served yet, they
are served at once and found by words while the vectors come. So a run killed anywhere loses and doubles nothing.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

from ingestion import vectorspace
from ingestion.chunking import chunk_pages
from ingestion.chunkrows import chunk_row, embedded_text
from ingestion.embeddings import EmbeddingUnavailable, client_from_settings
from ingestion.extraction import ExtractionError, Page, extract
from ingestion.models import WORKING, Chunk, Document, Status
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

__all__ = [
    "DocumentMetadata",
    "UploadRejected",
    "archive",
    "clean_title",
    "enqueue",
    "ingest",
    "insert_ready",
    "metadata_changed",
    "reconcile",
    "reembed",
    "register",
    "register_upload",
    "replace_file",
    "restore",
    "retry",
]

logger = logging.getLogger(__name__)

RECIPE = "1"
"""Raise it when extraction, chunking or lexemes change what they make of the same file."""

EMBEDDING_BATCH = 16
"""Passages sent in one call, and so also what a killed run loses at most."""

STALE_AFTER = timedelta(minutes=5)
"""A run without a sign of life for this long is dead. One embedding batch may take up to a minute."""

UNAVAILABLE = "no_embedding_node"

OUR_FAULT = "Something went wrong on our side. Retry; if it stays, tell the operators."

PROGRAM_LIMIT = "54"
"""The one class of PostgreSQL's operational errors that comes back with the same data (SQLSTATE, appendix A)."""


class Superseded(Exception):
    """A later run, an archiving or a new file has taken the document over; this run stops without a trace."""


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
        document = _claim(document_id, run)
        recipe = recipe_of(document)
        if document.recipe != recipe:
            document = _stage(document, run)
            recipe = recipe_of(document)
        _embed(document_id, run, document.title)
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


def recipe_of(document: Document) -> str:
    """Hash of all that decides what the document's chunks are."""
    parts = [RECIPE, document.next_sha256 or document.sha256, document.title, document.language]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_passing(error: OperationalError | InterfaceError) -> bool:
    """Whether the database failed for reasons of its own: lost, full, overloaded, a deadlock."""
    return (getattr(error.__cause__, "sqlstate", None) or "")[:2] != PROGRAM_LIMIT


@transaction.atomic
def _claim(document_id: UUID, run: UUID) -> Document:
    """Take the document over, from whichever run holds it. Raises Superseded when it is archived or gone."""
    document = _progress(document_id, run, claim=True, status=Status.EXTRACTING, progress=0, error="", error_reason="")
    if document.recipe == recipe_of(document):
        # Staged for a change that was taken back since: what is served is right.
        document.chunks.filter(staged=True).delete()
    return document


def _progress(document_id: UUID, run: UUID, *, claim: bool = False, **changes: object) -> Document:
    """Write these fields, with a sign of life, if the run still holds the document. Raises Superseded."""
    with transaction.atomic():
        document = _held(document_id, None if claim else run)
        document.run, document.run_seen_at = run, timezone.now()
        for name, value in changes.items():
            setattr(document, name, value)
        document.save(update_fields=["run", "run_seen_at", "updated_at", *changes])
    return document


def _held(document_id: UUID, run: UUID | None) -> Document:
    """The document, locked until the transaction ends. Raises Superseded when `run` does not hold it any more."""
    held = Document.objects.select_for_update().filter(pk=document_id).exclude(status=Status.ARCHIVED)
    document: Document | None = held.first() if run is None else held.filter(run=run).first()
    if document is None:
        raise Superseded
    return document


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
        document = _held(document.pk, run)
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


def _embed(document_id: UUID, run: UUID, title: str) -> None:
    """Give every chunk of the newest version, made with this title, that lacks one its vector, batch by batch."""
    vectorspace.require(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    newest = _newest(document_id)
    total = newest.count()
    waiting = newest.filter(embedding__isnull=True).exclude(metadata__has_key="unembeddable").order_by("position")
    _progress(document_id, run, status=Status.EMBEDDING)
    while batch := list(waiting[:EMBEDDING_BATCH]):
        texts = [embedded_text(title, chunk.section_title, chunk.text) for chunk in batch]
        for chunk, vector in zip(batch, client_from_settings().embed_passages(texts), strict=True):
            chunk.embedding = vector
            if vector is None:
                chunk.metadata["unembeddable"] = True
        with transaction.atomic():
            _held(document_id, run)
            Chunk.objects.bulk_update(batch, ["embedding", "metadata"])
            _progress(document_id, run, progress=10 + 89 * (total - waiting.count()) // total)


def _newest(document_id: UUID) -> QuerySet[Chunk]:
    """The chunks of the staged version, else of the served one."""
    chunks = Chunk.objects.filter(document=document_id)
    return chunks.filter(staged=chunks.filter(staged=True).exists())


def _serve(document_id: UUID, run: UUID, recipe: str) -> None:
    """Swap the staged version in, if there is one, and set the document ready.

    Where a title or a language was edited after the chunks were made, the document goes back to the queue instead.
    """
    with transaction.atomic():
        document = _held(document_id, run)
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


def insert_ready(texts: Sequence[tuple[Document, str]]) -> None:
    """Write new documents with their text and vectors at once, for corpora that are measured and rolled back.

    Call it inside a transaction. Raises EmbeddingUnavailable.
    """
    for document, _ in texts:
        document.status, document.is_searchable = Status.READY, True
    chunks = [chunk_row(document, draft) for document, text in texts for draft in chunk_pages([Page(1, text)])]
    chunk_counts = Counter(chunk.document_id for chunk in chunks)
    for document, _ in texts:
        document.chunk_count = chunk_counts[document.pk]
    Document.objects.bulk_create([document for document, _ in texts], batch_size=1000)
    passages = [embedded_text(chunk.document.title, chunk.section_title, chunk.text) for chunk in chunks]
    for chunk, vector in zip(chunks, client_from_settings().embed_passages(passages), strict=True):
        chunk.embedding = vector
    Chunk.objects.bulk_create(chunks, batch_size=200)


def retry(*documents: Document) -> None:
    """Queue documents to be ingested again; nothing that they serve is lost meanwhile.

    Passages that the model refused are tried again too.
    """
    with transaction.atomic():
        # A document's row is locked first and its chunks' after it, as everywhere.
        _requeue(Document.objects.filter(pk__in=_ids(documents)).exclude(status=Status.ARCHIVED))
        refused = list(Chunk.objects.filter(document__in=documents, metadata__has_key="unembeddable"))
        for chunk in refused:
            del chunk.metadata["unembeddable"]
        Chunk.objects.bulk_update(refused, ["metadata"], batch_size=200)


def _ids(documents: Iterable[Document]) -> list[UUID]:
    return [document.pk for document in documents]


def metadata_changed(document: Document) -> None:
    """To be called after a document was edited: ingests it again if its chunks are made differently now."""
    if document.status in (Status.READY, Status.FAILED) and document.recipe != recipe_of(document):
        retry(document)


def archive(*documents: Document) -> None:
    """Take documents out of every search at once. Their chunks stay, so that they can be restored."""
    Document.objects.filter(pk__in=_ids(documents)).update(
        status=Status.ARCHIVED, is_searchable=False, run=None, updated_at=timezone.now()
    )


@transaction.atomic
def restore(*documents: Document) -> None:
    """Bring archived documents back: what they served is found again at once, and their state is checked anew."""
    archived = Document.objects.filter(pk__in=_ids(documents), status=Status.ARCHIVED)
    served = Exists(Chunk.objects.filter(document=OuterRef("pk"), staged=False))
    archived.update(is_searchable=served)
    _requeue(archived)


@transaction.atomic
def reembed() -> int:
    """Drop all vectors and embed the corpus anew with the configured model; how many documents are queued for it.

    The corpus stays searchable by words meanwhile.
    """
    vectorspace.reset(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    return _requeue(Document.objects.exclude(status__in=[Status.ARCHIVED, Status.FAILED]))


def reconcile() -> int:
    """Queue again what is not as it should be; how many documents that were.

    That is: runs that died, documents whose message was lost, and documents that waited for an embedding node when
    one answers again. A long queue is not a loss: waiting documents count as lost only when the queue is empty.
    """
    long_ago = timezone.now() - STALE_AFTER
    unfinished = Document.objects.filter(status__in=WORKING)
    lost = Q(run_seen_at__lt=long_ago, status__in=[Status.EXTRACTING, Status.EMBEDDING]) & ~Q(error_reason=UNAVAILABLE)
    if _queue_is_empty():
        lost |= Q(status=Status.QUEUED, updated_at__lt=timezone.now() - timedelta(minutes=1))
    if unfinished.filter(error_reason=UNAVAILABLE).exists() and _nodes_answer():
        lost |= Q(error_reason=UNAVAILABLE)
    return _requeue(unfinished.filter(lost))


def _queue_is_empty() -> bool:
    """Whether no document waits in the broker; not known to be so when the broker is away."""
    try:
        with current_app.connection_for_read() as connection:
            # Without this it would try for ever to connect.
            connection.ensure_connection(max_retries=1, interval_start=0)
            channel: Any = connection.default_channel
            return bool(channel.queue_declare(queue="ingestion", passive=True).message_count == 0)
    except ChannelError:
        return True  # Redis keeps no empty list, so that a queue without messages is one that does not exist
    except BrokerError:
        return False


def _nodes_answer() -> bool:
    """Whether documents can be embedded now: a node answers, and with the model that the corpus is embedded with."""
    try:
        client_from_settings().describe()
    except EmbeddingUnavailable:
        return False
    return not vectorspace.mismatch(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)


def _requeue(documents: QuerySet[Document]) -> int:
    """Set these documents queued and hand them to the workers on commit; how many they were."""
    with transaction.atomic():
        ids = list(documents.select_for_update().values_list("pk", flat=True))
        Document.objects.filter(pk__in=ids).update(
            status=Status.QUEUED, progress=0, error="", error_reason="", run=None, updated_at=timezone.now()
        )
        for document_id in ids:
            transaction.on_commit(partial(enqueue, document_id), robust=True)
    return len(ids)
