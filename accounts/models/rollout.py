"""To whom the portal is open already, while it is introduced."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.models.people import Department


class Phase(models.Model):
    """A stage of the introduction. Without any phase the portal is open to all; with some, to whom one of those that
    run now admits (accounts.rollout).
    """

    name = models.CharField(max_length=40, unique=True, help_text="Stands in the audit trail and in the metrics.")
    starts_at = models.DateTimeField("starts")
    ends_at = models.DateTimeField("ends", null=True, blank=True, help_text="Leave empty for no end.")
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="phases",
        help_text="Invited by name, whatever the percentage.",
    )
    groups = models.ManyToManyField(Group, blank=True, related_name="phases")
    departments = models.ManyToManyField(Department, blank=True, related_name="phases")
    everyone = models.BooleanField(
        default=False, help_text="Everybody who can sign in; at 100 % also without signing in."
    )
    percentage = models.PositiveSmallIntegerField(
        default=100,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="How many of these groups, departments or of everyone: always the same people, and more as it rises.",
    )

    class Meta:
        ordering = ["starts_at", "pk"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A phase ends after it starts."""
        if self.ends_at and self.starts_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "A phase ends after it starts."})
