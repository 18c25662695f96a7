"""Documents with text and real vectors for tests, without files."""

from __future__ import annotations

from typing import Any

from accounts.models import Department
from ingestion import statistics, vectorspace
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row, embedded_text
from ingestion.models import Document, DocumentType

_vectors: dict[str, list[float] | None] = {}
"""Vectors of this test run by their text: the same texts stand in many tests, and embedding is what takes time."""


def serve(title: str, *texts: str, department: Department, embedded: bool = True, **more: Any) -> Document:
    """A document that is served, with one chunk, on a page of its own, for each text."""
    fields = {
        "file_name": f"{title}.txt",
        "file_size": 1,
        "sha256": f"{abs(hash(title)):064x}",
        # A test of several connections leaves no types behind.
        "doc_type": DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0],
        "clearance": 1,
        "audience": "institution",
        "status": "ready",
        "language": "en",
        "is_searchable": True,
        "chunk_count": len(texts),
    } | more
    document = Document.objects.create(title=title, department=department, **fields)
    write(document, *texts, embedded=embedded)
    return document


def write(document: Document, *texts: str, embedded: bool = True) -> None:
    """Give a document these chunks."""
    drafts = [ChunkDraft(position, text, position + 1, "") for position, text in enumerate(texts)]
    wanted = [embedded_text(document.title, "", text) for text in texts]
    if embedded and (new := [text for text in wanted if text not in _vectors]):
        _vectors.update(zip(new, vectorspace.live().client().embed_passages(new), strict=True))
    for draft, text in zip(drafts, wanted, strict=True):
        row = chunk_row(document, draft)
        if embedded:
            row.embedding = _vectors[text]
        row.save()


def count_statistics() -> None:
    """What a worker does every minute."""
    vectorspace.settle()
    statistics.refresh()
