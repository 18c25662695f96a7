"""What scores know of the corpus as a whole: the model of its vectors, the centres of its languages, its words."""

from __future__ import annotations

from django.db import models
from pgvector.django import VectorField


class SpaceState(models.TextChoices):
    """What a vector space is there for. One is live; beside it there is one more at most."""

    LIVE = "live", "live: searches and new documents use it"
    FILLING = "filling", "being filled"
    CHECKED = "checked", "complete and checked, ready to be switched to"
    KEPT = "kept", "was live before, kept for a roll-back"


class VectorSpace(models.Model):
    """A model, with the digest of its weights, and the vectors that it made of the chunks.

    The live one's are in `Chunk.embedding`, the other's in `Chunk.second_embedding`: whichever changes places also
    swaps the names of the columns (`ingestion.vectorspace`). Vectors of two spaces are never compared.
    """

    model = models.CharField(max_length=200)
    dimensions = models.PositiveIntegerField()
    digest = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Of the weights; empty until a node told it."
    )
    state = models.CharField(
        max_length=8, choices=SpaceState.choices, default=SpaceState.LIVE, db_default=SpaceState.LIVE
    )
    held = models.BooleanField(default=False, db_default=False, help_text="It is not switched to by itself.")
    recall = models.FloatField(null=True, help_text="Share of the nearest chunks that its index finds, when checked.")
    problem = models.TextField(blank=True, default="", db_default="", help_text="Why it does not go on at present.")
    run = models.UUIDField(null=True, help_text="The run that fills it; a later run wins.")
    run_seen_at = models.DateTimeField(null=True, help_text="Last sign of life of that run.")
    counted = models.CharField(max_length=100, blank=True, help_text="State of the corpus at its last count.")
    created_at = models.DateTimeField(auto_now_add=True)
    filled_at = models.DateTimeField(null=True)
    live_at = models.DateTimeField(null=True, help_text="When it was switched to.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state=SpaceState.LIVE), name="vectorspace_one_is_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} ({self.dimensions})"


class LanguageCentre(models.Model):
    """The mean vector, in one space, of a language's public chunks; the empty language stands for all of them.

    Embedding models put texts of one language nearer to each other than their meaning does. What a chunk's language
    alone has in common with a query is taken off its similarity. Made by `ingestion.statistics` from what everyone may
    see and from nothing else, so that no score betrays a hidden document.
    """

    # The constraint below brings an index that begins with it.
    space = models.ForeignKey(VectorSpace, on_delete=models.CASCADE, related_name="centres", db_index=False)
    language = models.CharField(max_length=8)
    vector = VectorField()
    chunks = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["space", "language"], name="languagecentre_once_a_space")]

    def __str__(self) -> str:
        return self.language or "all"


class Term(models.Model):
    """How rare a word is among the public chunks; made by `ingestion.statistics` as the centres are."""

    word = models.TextField(primary_key=True)
    idf = models.FloatField(help_text="ln(1 + (N - n + 0.5) / (n + 0.5)), as in BM25.")

    def __str__(self) -> str:
        return self.word
