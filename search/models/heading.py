"""Titles and sections, for completing what one types."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from ingestion.models import Chunk, Document


class Heading(models.Model):
    """A document's title (in the row of its first chunk) or the section of a chunk, by its words, for completing.

    The database itself writes these rows (search/migrations/0005). They say nothing of who may see them: the document
    does. A title's text is the document's; a section's is the chunk's, with the headings above it.
    """

    chunk = models.ForeignKey(Chunk, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    is_title = models.BooleanField()
    staged = models.BooleanField()
    text = models.CharField(max_length=300)
    words = SearchVectorField()

    class Meta:
        indexes = [
            GinIndex(fields=["words"], condition=models.Q(is_title=True), name="heading_title_words"),
            GinIndex(fields=["words"], condition=models.Q(is_title=False), name="heading_section_words"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id}: {self.text}"
