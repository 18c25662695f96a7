"""People, and the departments and campuses that they belong to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.utils.functional import cached_property

from accounts.clearance import LIBRARIANS, Role


class Campus(models.Model):
    """A site of the university."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "campuses"

    def __str__(self) -> str:
        return self.name


class Department(models.Model):
    """A school, service or office that owns documents and that people belong to."""

    name = models.CharField(max_length=150, unique=True)
    campus = models.ForeignKey(
        Campus, null=True, blank=True, on_delete=models.SET_NULL, related_name="departments", help_text="Its home."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PersonManager(UserManager["User"]):
    """Makes users whose rights follow from their role."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any
    ) -> User:
        """An administrator (Django's own command calls this)."""
        extra_fields["role"] = Role.ADMIN
        return self.create_user(username, email, password, **extra_fields)

    def create_user(
        self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any
    ) -> User:
        """A person with this role; the flags that Django passes for staff and superusers have no place here."""
        user: User = self._create_user(username, email, password, **extra_fields)  # type: ignore[attr-defined]
        return user


class User(AbstractUser):
    """A person. What they may do follows from `role`, `departments` and their groups alone.

    Django's `is_staff` and `is_superuser` are derived here, not stored, so that no right can outlive a change of role.
    """

    role = models.CharField(max_length=10, choices=Role.choices, default=Role.STUDENT)
    departments = models.ManyToManyField(Department, blank=True, related_name="members")
    campus = models.ForeignKey(
        Campus,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="members",
        help_text="Documents of this campus rank a little higher for this person; none are hidden.",
    )

    objects = PersonManager()  # type: ignore[misc]  # the stubs know a class variable only

    @cached_property
    def is_librarian(self) -> bool:
        """Whether this person is in the group of librarians."""
        return self.groups.filter(name=LIBRARIANS).exists()

    @property
    def is_superuser(self) -> bool:  # type: ignore[override]
        """Administrators hold every permission of the admin site."""
        return self.role == Role.ADMIN

    @property
    def is_staff(self) -> bool:  # type: ignore[override]
        """Whether the admin site is open to this person."""
        return self.is_superuser or self.is_librarian

    class Meta:
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_is_known"),
        ]
