"""What people keep for themselves: searches to ask again, documents, and what they asked lately."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ingestion.models import Document


class Alert(models.TextChoices):
    """How a person is told of something new in a saved search."""

    OFF = "off", _("not at all")
    SITE = "site", _("here, in Cloister")
    MAIL = "mail", _("here and by e-mail")


class Rhythm(models.TextChoices):
    """How often a saved search is asked for its person."""

    DAY = "day", _("every day")
    WEEK = "week", _("every Monday")


class SavedSearch(models.Model):
    """A search that its owner keeps; `address` is its query string, as `SearchQuery.querystring` writes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_searches")
    name = models.CharField(max_length=100)
    address = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the address, which may be too long for an index.")
    alert = models.CharField(max_length=4, choices=Alert.choices, default=Alert.OFF)
    rhythm = models.CharField(max_length=4, choices=Rhythm.choices, default=Rhythm.DAY)
    created_at = models.DateTimeField(auto_now_add=True)
    checked_on = models.DateField(null=True, help_text="Empty: what it finds next is known already, not new.")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "digest"], name="search_saved_once"),
            models.CheckConstraint(condition=models.Q(alert__in=Alert.values), name="saved_alert_is_known"),
            models.CheckConstraint(condition=models.Q(rhythm__in=Rhythm.values), name="saved_rhythm_is_known"),
        ]
        # Most are not asked for anybody.
        indexes = [models.Index(fields=["checked_on"], condition=~models.Q(alert=Alert.OFF), name="saved_to_check")]

    def __str__(self) -> str:
        return self.name


class FoundDocument(models.Model):
    """A document that a saved search has found for its owner: known from the beginning, or new (`told`).

    Says nothing of whether it may be shown: that is asked whenever it is.
    """

    saved = models.ForeignKey(SavedSearch, on_delete=models.CASCADE, related_name="found")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="found_by")
    told = models.BooleanField(help_text="It was new, and its owner is told of it.")
    at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True, help_text="Claimed for a mail, before it is sent.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["saved", "document"], name="found_once_a_search")]
        indexes = [
            models.Index(
                fields=["saved"], condition=models.Q(told=True, seen_at__isnull=True), name="found_and_not_seen"
            )
        ]

    def __str__(self) -> str:
        return f"{self.saved_id}: {self.document_id}"


class SavedDocument(models.Model):
    """A document that a person keeps at hand. Whether it may be shown is asked whenever it is."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_documents")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="saved_by")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "document"], name="document_saved_once")]

    def __str__(self) -> str:
        return f"{self.owner_id}: {self.document_id}"


class RememberedSearch(models.Model):
    """A search that a person asked on the page, once however often: their own history, which is no audit trail."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="remembered_searches")
    text = models.CharField(max_length=500, blank=True)
    address = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the address, which may be too long for an index.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "digest"], name="search_remembered_once")]
        indexes = [models.Index(fields=["owner", "-at"], name="remembered_newest")]

    def __str__(self) -> str:
        return self.text
