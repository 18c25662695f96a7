"""What machines sign in with: API keys, and tokens that were taken back."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Scope(models.TextChoices):
    """What an API key may be used for; what its account may see and do is the access rule's matter."""

    READ = "read", "read: search, look at documents"
    UPLOAD = "upload", "upload: add, change and archive documents"
    ACT = "act", "act: search as a named person, for what both may see"


class ApiKey(models.Model):
    """A service account's key. Only a digest of it is kept; it is shown once, when it is made (accounts.api_keys)."""

    name = models.CharField(max_length=100, help_text="What uses it, such as: VLE search box.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name="service account", on_delete=models.CASCADE, related_name="api_keys"
    )
    prefix = models.CharField(max_length=12, unique=True, editable=False, help_text="The part that is no secret.")
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the whole key.")
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    expires_at = models.DateTimeField("expires")
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    revoked_at = models.DateTimeField("revoked", null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"
        verbose_name_plural = "API keys"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class RevokedGrant(models.Model):
    """A sign-in for tokens that was taken back: neither its refresh tokens nor its access tokens hold any longer.

    The grant is the id of its first refresh token, which every later token of it carries. Kept until the last of them
    would have expired.
    """

    grant = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.grant
