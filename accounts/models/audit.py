"""What people did that somebody may have to answer for."""

from __future__ import annotations

from django.conf import settings
from django.db import models


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

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name}: {self.action} {self.subject}".rstrip()
