"""Requests that may be sent again."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from ingestion.models.documents import Document


class IdempotencyKey(models.Model):
    """What a request with a key of its own has made (ingestion.idempotency)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.BinaryField(max_length=32, help_text="SHA-256 of what was sent.")
    part = models.PositiveIntegerField(default=0, help_text="Which of the documents that the request makes.")
    request = models.BinaryField(max_length=32, help_text="SHA-256 of what the request says.")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key", "part"], name="idempotencykey_once")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.document_id}"
