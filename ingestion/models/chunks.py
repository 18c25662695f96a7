"""Chunks: what is embedded, ranked and shown."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from pgvector.django import HalfVectorField, HnswIndex

from accounts.clearance import Restricted, RestrictedQuerySet
from ingestion.models.documents import Document


class Chunk(Restricted):
    """A piece of a document: what is embedded, ranked and shown as a passage.

    `ingestion.pipeline` is its only writer. A staged chunk belongs to a version that is not served yet. `embedding` is
    null while it waits for its vector, and for good when the model could not embed it (`metadata.unembeddable`; in the
    second space `metadata.second_unembeddable`).
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField()
    text = models.TextField()
    page_number = models.PositiveIntegerField()
    section_title = models.CharField(max_length=300, blank=True)
    overlap = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="Characters at its beginning that repeat the chunk before, or a table's head.",
    )
    offset = models.PositiveIntegerField(
        null=True, help_text="Where its own text begins in the text of its page, in characters."
    )
    place = models.FloatField(
        null=True, help_text="Where that is on the page, or in a file without pages: from 0 (beginning) to 1 (end)."
    )
    language = models.CharField(max_length=8, blank=True)
    lexemes = SearchVectorField()
    # The length of a column's vectors is known to the database alone: it changes with the model.
    embedding = HalfVectorField(null=True)
    second_embedding = HalfVectorField(
        null=True, help_text="Its vector in the other vector space, while there is one (ingestion.vectorspace)."
    )
    content_hash = models.BinaryField(max_length=32, help_text="SHA-256 of what was sent to the embedding model.")
    staged = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict)

    objects = RestrictedQuerySet.as_manager()

    class Meta:
        ordering = ["document", "position"]
        indexes = [
            HnswIndex(
                fields=["embedding"],
                name="chunk_embedding_hnsw",
                opclasses=["halfvec_cosine_ops"],
                m=16,
                ef_construction=64,
            ),
            GinIndex(fields=["lexemes"], name="chunk_lexemes"),
            models.Index(fields=["language"], name="chunk_language"),
            models.Index(fields=["id"], name="chunk_missing", condition=models.Q(embedding__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["document", "staged", "position"], name="chunk_position_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} #{self.position}"
