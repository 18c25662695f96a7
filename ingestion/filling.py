"""Giving chunks their vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from ingestion import vectorspace
from ingestion.chunking import chunk_pages
from ingestion.chunkrows import chunk_row, embedded_text
from ingestion.embeddings import client_from_settings
from ingestion.extraction import Page
from ingestion.models import Chunk, Document, Status
from ingestion.runs import held, progress

EMBEDDING_BATCH = 16
"""Passages sent in one call, and so also what a killed run loses at most."""


def embed(document_id: UUID, run: UUID, title: str) -> None:
    """Give every chunk of the newest version, made with this title, that lacks one its vector, batch by batch."""
    vectorspace.require(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    chunks = newest(document_id)
    total = chunks.count()
    waiting = chunks.filter(embedding__isnull=True).exclude(metadata__has_key="unembeddable").order_by("position")
    progress(document_id, run, status=Status.EMBEDDING)
    while batch := list(waiting[:EMBEDDING_BATCH]):
        texts = [embedded_text(title, chunk.section_title, chunk.text) for chunk in batch]
        for chunk, vector in zip(batch, client_from_settings().embed_passages(texts), strict=True):
            chunk.embedding = vector
            if vector is None:
                chunk.metadata["unembeddable"] = True
        with transaction.atomic():
            held(document_id, run)
            Chunk.objects.bulk_update(batch, ["embedding", "metadata"])
            progress(document_id, run, progress=10 + 89 * (total - waiting.count()) // total)


def newest(document_id: UUID) -> QuerySet[Chunk]:
    """The chunks of the staged version, else of the served one."""
    chunks = Chunk.objects.filter(document=document_id)
    return chunks.filter(staged=chunks.filter(staged=True).exists())


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
