"""Giving chunks their vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from pgvector import HalfVector

from ingestion import vectorspace
from ingestion.chunkrows import chunk_row, drafts_of, embedded_text
from ingestion.extraction import Page
from ingestion.models import Chunk, Document, Status
from ingestion.runs import held, progress

EMBEDDING_BATCH = 16
"""Passages sent in one call, and so also what a killed run loses at most."""


def embed(document_id: UUID, run: UUID, title: str) -> None:
    """Give every chunk of the newest version, made with this title, that lacks one its vector, batch by batch.

    Raises EmbeddingUnavailable: as ModelChanged where the nodes serve other weights than the corpus was embedded with.
    """
    space = vectorspace.learned()
    total, lacking = newest(document_id).count(), waiting(document_id)
    left = lacking.count()
    progress(document_id, run, status=Status.EMBEDDING)
    while batch := list(lacking.defer("embedding", "second_embedding")[:EMBEDDING_BATCH]):
        texts = [embedded_text(title, chunk.section_title, chunk.text) for chunk in batch]
        vectors = space.client().embed_passages(texts)
        with transaction.atomic():
            document = held(document_id, run)
            asked, space = space, vectorspace.hold()
            if space == asked:
                _write(batch, vectors)
                left -= len(batch)
                document.progress, document.run_seen_at = 10 + 89 * (total - left) // total, timezone.now()
                document.save(update_fields=["progress", "run_seen_at", "updated_at"])
            # Else the model was changed since: the batch is embedded again, and these vectors are never seen.


def _write(batch: Sequence[Chunk], vectors: Sequence[list[float] | None]) -> None:
    """Write the vectors of these chunks; where there is none, that the model refused the text."""
    embedded = [(chunk.pk, vector) for chunk, vector in zip(batch, vectors, strict=True) if vector is not None]
    refused = [chunk for chunk, vector in zip(batch, vectors, strict=True) if vector is None]
    with connection.cursor() as cursor:
        # What `bulk_update` does, in a third of its time.
        cursor.execute(
            "UPDATE ingestion_chunk SET embedding = given.embedding "
            "FROM unnest(%s::bigint[], %s::halfvec[]) AS given (id, embedding) WHERE ingestion_chunk.id = given.id",
            [[key for key, _ in embedded], [HalfVector(vector).to_text() for _, vector in embedded]],
        )
    for chunk in refused:
        chunk.metadata["unembeddable"] = True
    Chunk.objects.bulk_update(refused, ["metadata"])


def newest(document_id: UUID) -> QuerySet[Chunk]:
    """The chunks of the staged version, else of the served one."""
    chunks = Chunk.objects.filter(document=document_id)
    return chunks.filter(staged=chunks.filter(staged=True).exists())


def waiting(document_id: UUID) -> QuerySet[Chunk]:
    """The chunks of the newest version that are still to get their vectors, in order."""
    lacking = newest(document_id).filter(embedding__isnull=True)
    return lacking.exclude(metadata__has_key="unembeddable").order_by("position")


def known_vectors(document: Document) -> dict[bytes, dict[str, Any]]:
    """The vectors that this document's chunks have already, in either space, by the hash of what was embedded.

    For chunks that are written in the same transaction: until it ends the columns stay what they are.
    """
    embedded = document.chunks.filter(Q(embedding__isnull=False) | Q(second_embedding__isnull=False))
    return {
        bytes(content_hash): {"embedding": vector, "second_embedding": second}
        for content_hash, vector, second in embedded.values_list("content_hash", "embedding", "second_embedding")
    }


def insert_ready(texts: Sequence[tuple[Document, str]]) -> None:
    """Write new documents with their text and vectors at once, for corpora that are measured and rolled back.

    Call it inside a transaction. Raises EmbeddingUnavailable.
    """
    space = vectorspace.hold()
    for document, _ in texts:
        document.status, document.is_searchable = Status.READY, True
    chunks = [chunk_row(document, draft) for document, text in texts for draft in drafts_of([Page(1, text)])]
    chunk_counts = Counter(chunk.document_id for chunk in chunks)
    for document, _ in texts:
        document.chunk_count = chunk_counts[document.pk]
    Document.objects.bulk_create([document for document, _ in texts], batch_size=1000)
    passages = [embedded_text(chunk.document.title, chunk.section_title, chunk.text) for chunk in chunks]
    for chunk, vector in zip(chunks, space.client().embed_passages(passages), strict=True):
        chunk.embedding = vector
    Chunk.objects.bulk_create(chunks, batch_size=200)
