"""Giving chunks their vectors: before they are written where they are few, else in steps afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ingestion import vectorspace
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row, drafts_of, embedded_text, hash_of, passage_of
from ingestion.embeddings import BATCH_SIZE, EmbeddingUnavailable
from ingestion.extraction import Page
from ingestion.halves import Halves
from ingestion.models import Chunk, Document, Status
from ingestion.runs import held, progress

STEP = 64
"""Passages that are embedded between two writes, and so also what a killed run loses at most. Of a document with no
more than these to embed nothing is written before it has its vectors (docs/decisions/0021)."""

Known = Mapping[bytes, Mapping[str, Any]]
"""What chunks get beside their text, by the hash of what is embedded: their vectors, or that the model refuses it."""


@dataclass(frozen=True)
class Beforehand:
    """What passages got that are no chunks yet, and of which space the vectors are."""

    space: vectorspace.Space
    known: Known


def beforehand(document: Document, run: UUID, drafts: Sequence[ChunkDraft]) -> Beforehand | None:
    """Embed those of a document's drafts that are new to it. Raises Superseded.

    None where there are none, or more than STEP, or no node answers: then the chunks are written without.
    """
    passages = [passage_of(document.title, draft) for draft in drafts]
    wanted = dict(zip(map(hash_of, passages), passages, strict=True))
    if document.chunk_count:
        embedded = document.chunks.filter(embedding__isnull=False)
        for content_hash in embedded.values_list("content_hash", flat=True):
            wanted.pop(bytes(content_hash), None)
    if not wanted or len(wanted) > STEP:
        return None
    progress(document.pk, run, status=Status.EMBEDDING, progress=10)
    try:
        space = vectorspace.learned()
        vectors = _vectors(space, list(wanted.values()))
    except EmbeddingUnavailable:
        return None
    return Beforehand(
        space,
        {
            content_hash: {"metadata": {"unembeddable": True}} if vector is None else {"embedding": Halves(vector)}
            for content_hash, vector in zip(wanted, vectors, strict=True)
        },
    )


def embed(document_id: UUID, run: UUID, title: str) -> None:
    """Give every chunk of the newest version, made with this title, that lacks one its vector, step by step.

    Raises EmbeddingUnavailable: as ModelChanged where the nodes serve other weights than the corpus was embedded with.
    """
    space = vectorspace.learned()
    total, lacking = newest(document_id).count(), waiting(document_id)
    left = lacking.count()
    progress(document_id, run, status=Status.EMBEDDING)
    while chunks := list(lacking.defer("embedding", "second_embedding")[:STEP]):
        vectors = _vectors(space, [embedded_text(title, chunk.section_title, chunk.text) for chunk in chunks])
        with transaction.atomic():
            document = held(document_id, run)
            asked, space = space, vectorspace.hold()
            if space == asked:
                _write(chunks, vectors)
                left -= len(chunks)
                document.progress, document.run_seen_at = 10 + 89 * (total - left) // total, timezone.now()
                document.save(update_fields=["progress", "run_seen_at", "updated_at"])
            # Else the model was changed since: they are embedded again, and these vectors are never seen.


def _vectors(space: vectorspace.Space, passages: Sequence[str]) -> list[list[float] | None]:
    """The passages' vectors; None for one that the model refuses. Raises EmbeddingUnavailable.

    One request at a time for each node: a worker has several processes, and searches want their turn as well.
    """
    client = space.client()
    size = BATCH_SIZE * len(client.urls)
    return [
        vector
        for start in range(0, len(passages), size)
        for vector in client.embed_passages(passages[start : start + size])
    ]


def _write(chunks: Sequence[Chunk], vectors: Sequence[list[float] | None]) -> None:
    """Write the vectors of these chunks; where there is none, that the model refused the text."""
    embedded = [(chunk.pk, vector) for chunk, vector in zip(chunks, vectors, strict=True) if vector is not None]
    refused = [chunk for chunk, vector in zip(chunks, vectors, strict=True) if vector is None]
    with connection.cursor() as cursor:
        # What `bulk_update` does, in a third of its time.
        cursor.execute(
            "UPDATE ingestion_chunk SET embedding = given.embedding "
            "FROM unnest(%s::bigint[], %s::halfvec[]) AS given (id, embedding) WHERE ingestion_chunk.id = given.id",
            [[key for key, _ in embedded], [Halves(vector).to_text() for _, vector in embedded]],
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


def known_to(document: Document, made: Beforehand | None) -> Known:
    """What this document's chunks have already, and what was made beforehand if that is of the live space still.

    For chunks that are written in the same transaction, with the document locked: until it ends the columns stay what
    they are.
    """
    made_now = made.known if made and vectorspace.hold() == made.space else {}
    if not document.chunk_count:
        return made_now
    embedded = document.chunks.filter(Q(embedding__isnull=False) | Q(second_embedding__isnull=False))
    vectors = {
        bytes(content_hash): {"embedding": vector, "second_embedding": second}
        for content_hash, vector, second in embedded.values_list("content_hash", "embedding", "second_embedding")
    }
    return vectors | {content_hash: {**vectors.get(content_hash, {}), **got} for content_hash, got in made_now.items()}


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
