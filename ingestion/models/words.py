"""What a chunk's words weigh in it: the lexical half of ranking."""

from __future__ import annotations

from django.db import models
from pgvector.django import SparseVectorField

from ingestion.models.chunks import Chunk

WORD_DIMENSIONS = 1_000_000_000
"""As many as pgvector allows. A word's dimension is a hash of it (`ingestion_word_dimension`)."""


class WordWeights(models.Model):
    """How much each word weighs in a chunk, by BM25, in thousandths: a query's words multiplied with it are its score.

    Written by the database itself, from `Chunk.lexemes` (triggers in ingestion/migrations/0006), and kept beside the
    chunks and not in them: a row with a vector of 1,024 dimensions would push it out of line, and filling it in would
    write the vectors' index anew (docs/decisions/0022). The triggers also delete it, so there is no foreign key.
    """

    chunk = models.OneToOneField(
        Chunk, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="word_weights"
    )
    weights = SparseVectorField(dimensions=WORD_DIMENSIONS)

    def __str__(self) -> str:
        return f"weights of chunk {self.pk}"
