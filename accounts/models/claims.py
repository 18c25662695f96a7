"""What the claims of the single sign-on provider make of a person."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from accounts.clearance import Role
from accounts.models.people import Campus, Department


class ClaimRule(models.Model):
    """One line of the operators' table: whoever has this claim gets this.

    All rules are read at each sign-in; of several roles the one with the most clearance holds.
    """

    claim = models.CharField(
        max_length=100, help_text="Name of the claim, such as groups, or affiliation.type for a claim inside another."
    )
    value = models.CharField(
        max_length=200,
        help_text="What the claim, or one of its values, must be; * stands for any characters (staff@*).",
    )
    role = models.CharField(max_length=10, choices=Role.choices, blank=True)
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.PROTECT, related_name="claim_rules"
    )
    campus = models.ForeignKey(Campus, null=True, blank=True, on_delete=models.PROTECT, related_name="claim_rules")
    librarian = models.BooleanField(default=False, help_text="Makes them a member of Librarians.")

    class Meta:
        ordering = ["claim", "value", "pk"]

    def __str__(self) -> str:
        return f"{self.claim} = {self.value}"

    def clean(self) -> None:
        """A rule that gives nothing is a mistake."""
        if not (self.role or self.department_id or self.campus_id or self.librarian):
            raise ValidationError("Say what this rule gives: a role, a department, a campus, or the librarians' group.")
