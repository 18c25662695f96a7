"""The words of the corpus, for mending mistyped ones."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.db import models


class VocabularyWord(models.Model):
    """A word of any chunk, as the index has it. Who may be shown it is asked when it is wanted (search.vocabulary)."""

    word = models.CharField(max_length=40, primary_key=True)

    class Meta:
        indexes = [GinIndex(fields=["word"], opclasses=["gin_trgm_ops"], name="vocabulary_word_trgm")]

    def __str__(self) -> str:
        return self.word


class VocabularyReading(models.Model):
    """How far the words of the corpus were read, and when all of them were last. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_chunk = models.BigIntegerField(default=0)
    whole_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"up to chunk {self.last_chunk}"
