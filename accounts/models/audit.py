"""What people did that somebody may have to answer for."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format

from accounts.acts import in_words


class AuditEvent(models.Model):
    """One act: who, as whom, what, on what, from where. Written by `accounts.audit.note`, never changed."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="acts")
    actor_name = models.CharField(max_length=150, blank=True, help_text="The user name, as it was then.")
    seen_as = models.CharField(max_length=200, blank=True, help_text="As whom they looked, if not as themselves.")
    action = models.CharField(max_length=40, db_index=True)
    subject = models.CharField(max_length=200, blank=True, help_text="Whom or what it was done to.")
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name, verbose_name_plural = "act", "audit trail"

    def __str__(self) -> str:
        said = f"{self.actor_name or 'Nobody known'}: {in_words(self.action)}"
        return f"{said}, {date_format(timezone.localtime(self.at), 'j F Y, H:i')}"
