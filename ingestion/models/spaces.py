"""What scores know of the corpus as a whole: the model of its vectors, the centres of its languages, its words."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from pgvector.django import VectorField


class VectorSpace(models.Model):
    """Which model the stored vectors were made with; there is one row. Vectors of two models are never compared."""

    model = models.CharField(max_length=200)
    dimensions = models.PositiveIntegerField()
    counted = models.CharField(max_length=100, blank=True, help_text="State of the corpus at its last count.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.model} ({self.dimensions})"


class LanguageCentre(models.Model):
    """The mean vector of a language's public chunks; the empty language stands for all of them.

    Embedding models put texts of one language nearer to each other than their meaning does. What a chunk's language
    alone has in common with a query is taken off its similarity. Made by `ingestion.statistics` from what everyone may
    see and from nothing else, so that no score betrays a hidden document.
    """

    language = models.CharField(max_length=8, primary_key=True)
    vector = VectorField(dimensions=settings.EMBEDDING_DIMENSIONS)
    chunks = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.language or "all"


class Term(models.Model):
    """How rare a word is among the public chunks; made by `ingestion.statistics` as the centres are."""

    word = models.TextField(primary_key=True)
    idf = models.FloatField(help_text="ln(1 + (N - n + 0.5) / (n + 0.5)), as in BM25.")

    def __str__(self) -> str:
        return self.word
