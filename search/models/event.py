"""The audit trail of searches, and what people say of their hits."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from ingestion.models import Document


class SearchEvent(models.Model):
    """One answered search: who asked what, as whom, from where, and how many documents were found.

    Written by `search.audit`, never changed: the database refuses it (migration 0009). Only `user` may become empty,
    with the person; `user_name` stays. The query is kept as `accounts.redaction` leaves it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="searches")
    # With defaults of the database too: while a release is rolled out, processes of the one before go on writing.
    user_name = models.CharField(max_length=150, blank=True, db_default="", help_text="The user name, as it was then.")
    role = models.CharField(max_length=10)
    seen_as = models.CharField(
        max_length=200, blank=True, db_default="", help_text="As whom a curator searched, if not themselves."
    )
    phase = models.CharField(
        max_length=40, blank=True, db_default="", help_text="The roll-out's phase that admitted them."
    )
    query = models.CharField(max_length=500)
    filters = models.JSONField(default=dict)
    mode = models.CharField(max_length=10)
    degraded = models.JSONField(default=list)
    count = models.PositiveIntegerField()
    page = models.PositiveIntegerField(default=1)
    duration_ms = models.PositiveIntegerField()
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)
    session = models.CharField(
        max_length=32, blank=True, db_default="", help_text="Searches of one session have the same digest here."
    )

    class Meta:
        ordering = ["-at"]
        verbose_name, verbose_name_plural = "search", "searches"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.query}"


class Verdict(models.TextChoices):
    """Whether a hit helped."""

    HELPFUL = "helpful", "helpful"
    UNHELPFUL = "unhelpful", "not helpful"


class Feedback(models.Model):
    """What a person said of one hit of one search; a later word replaces an earlier one."""

    search = models.ForeignKey(SearchEvent, on_delete=models.CASCADE, related_name="feedback")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="feedback")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["search", "document"], name="feedback_once_a_hit")]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.document_id}"
