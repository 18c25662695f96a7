"""People, and the departments and campuses that they belong to."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property

from accounts.clearance import AUDITORS, CURATORS, LIBRARIANS, Role, Viewer


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


class Memberships(NamedTuple):
    """What a person belongs to: names of groups, ids of departments, and of those whose documents they may curate."""

    groups: frozenset[str]
    departments: frozenset[int]
    curated: frozenset[int]


# By hand: every request of everybody asks this, and three querysets take several times as long (docs/benchmarks.md).
_MEMBERSHIPS = """
    SELECT ARRAY(SELECT name FROM accounts_user_groups AS member JOIN auth_group AS of ON of.id = member.group_id
                 WHERE member.user_id = %(person)s),
           ARRAY(SELECT department_id FROM accounts_user_departments WHERE user_id = %(person)s),
           ARRAY(SELECT department_id FROM accounts_user_curated_departments WHERE user_id = %(person)s)
"""


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

    curated_departments = models.ManyToManyField(
        Department,
        blank=True,
        related_name="curators",
        help_text="For members of Curators: those of their departments whose documents they upload and edit. "
        "Librarians curate all departments that they belong to.",
    )
    external_id = models.CharField(
        max_length=400,
        null=True,
        blank=True,
        unique=True,
        editable=False,
        help_text="Who this is at the single sign-on provider: its issuer and subject. Empty for local accounts.",
    )
    is_service = models.BooleanField(
        "service account",
        default=False,
        # The database's own as well: while a release is rolled out, processes of the one before go on writing.
        db_default=False,
        help_text="Another system, not a person: it signs in with API keys only.",
    )
    sign_in_epoch = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Sessions and tokens of an earlier epoch are no longer taken.",
    )
    # What people say of themselves (accounts.profile); it orders what they find and hides nothing.
    preferred_campus = models.ForeignKey(
        Campus,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Their own choice, where it is not the campus that the university has for them.",
    )
    languages = ArrayField(
        models.CharField(max_length=10),
        default=list,
        db_default=[],
        blank=True,
        editable=False,
        help_text="Languages that they read (ISO 639-1); none is no preference.",
    )
    keeps_history = models.BooleanField(
        default=True, db_default=True, editable=False, help_text="Whether their searches are kept for them."
    )

    objects = PersonManager()  # type: ignore[misc]  # the stubs know a class variable only

    seen_as: Viewer | None = None
    """As whom this request looks at the portal, when it is not as the person themselves (accounts.seeing)."""

    @cached_property
    def group_names(self) -> frozenset[str]:
        """The groups that this person is in."""
        return frozenset(self.groups.values_list("name", flat=True))

    def memberships(self) -> Memberships:
        """Groups and departments, read from the database now, in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(_MEMBERSHIPS, {"person": self.pk})
            read = Memberships(*(frozenset(column) for column in cursor.fetchone()))
        self.__dict__["group_names"] = read.groups
        return read

    @property
    def is_librarian(self) -> bool:
        """Whether this person is in the group of librarians."""
        return LIBRARIANS in self.group_names

    @property
    def is_curator(self) -> bool:
        """Whether this person curates some departments without being a librarian."""
        return CURATORS in self.group_names

    @property
    def is_auditor(self) -> bool:
        """Whether this person reads the audit trail."""
        return AUDITORS in self.group_names

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must carry to hold: it changes with the password, as Django's own does, and with the epoch."""
        signed = f"{self.password}:{self.sign_in_epoch}"
        return salted_hmac("accounts.sessions", signed, secret=secret, algorithm="sha256").hexdigest()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A service account has no password, whoever sets one: it signs in with its API keys."""
        if self.is_service and self.has_usable_password():
            self.set_unusable_password()
        super().save(*args, **kwargs)

    @property
    def is_superuser(self) -> bool:  # type: ignore[override]
        """Administrators hold every permission of the admin site."""
        return self.role == Role.ADMIN

    @property
    def is_staff(self) -> bool:  # type: ignore[override]
        """Whether the admin site is open to this person."""
        return self.is_superuser or self.is_librarian or self.is_curator

    class Meta:
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_is_known"),
        ]
