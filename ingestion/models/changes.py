"""Changes of many documents at once, kept so that they can be undone."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from ingestion.models.documents import Document


class BulkChange(models.Model):
    """What somebody changed on several documents at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    asked = models.JSONField(help_text="What was filled in, by field.")
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-made_at"]

    def __str__(self) -> str:
        return f"{self.made_at:%Y-%m-%d %H:%M}"


class ChangedDocument(models.Model):
    """What a bulk change did to one document: the changed fields' values before and after it."""

    change = models.ForeignKey(BulkChange, on_delete=models.CASCADE, related_name="changed")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    before = models.JSONField()
    after = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "document"], name="changeddocument_once")]

    def __str__(self) -> str:
        return str(self.document_id)
