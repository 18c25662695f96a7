"""Uploads of several files at once."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class UploadBatch(models.Model):
    """What one upload brought: its documents point here; the files that were refused are named here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="upload_batches")
    created_at = models.DateTimeField(auto_now_add=True)
    refused = models.JSONField(
        default=list,
        help_text="A refusal each: file_name, reason, explanation, and existing (the id of the document that it is).",
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["owner", "-created_at"], name="uploadbatch_newest")]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}"
