"""Earlier versions of documents."""

from __future__ import annotations

from django.db import models

from ingestion.models.documents import Document, original_path


class EarlierVersion(models.Model):
    """An original that a newer one has replaced. Curators reach it, and can bring it back."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="earlier_versions")
    number = models.PositiveIntegerField(help_text="The document's version number while this was its original.")
    file = models.FileField(upload_to=original_path, max_length=200)
    file_name = models.CharField(max_length=255)
    file_size = models.PositiveBigIntegerField()
    mime_type = models.CharField(max_length=150, blank=True)
    sha256 = models.CharField(max_length=64)
    page_count = models.PositiveIntegerField(default=0)
    replaced_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["document", "number"], name="earlierversion_number_unique")]

    def __str__(self) -> str:
        return f"version {self.number}: {self.file_name}"
