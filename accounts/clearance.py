"""Who may see what: the one access rule of the portal (DESIGN, section 2).

Every surface that shows a document, a chunk, or anything counted or derived from them asks `visible_to`; every
curators' page and every write asks `manageable_by`. A person's filters are applied on top and can only narrow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.rollout import admission_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

LIBRARIANS = "Librarians"
"""Name of the group whose members upload and curate."""

CURATORS = "Curators"
"""Name of the group whose members do so for those of their departments that they were given to curate."""

AUDITORS = "Auditors"
"""Name of the group whose members read the audit trail, what people searched and read included. It shows them nothing
else: neither documents nor the pages of curators. Administrators are no auditors unless somebody makes them some, which
the trail notes."""

EVERYONE = 0
"""Stands in `readers` for 'no particular department': the whole institution. No department has this id."""


class Clearance(models.IntegerChoices):
    """How restricted a document is."""

    PUBLIC = 1, "1 – public"
    MEMBERS = 2, "2 – students and staff"
    STAFF = 3, "3 – staff with a department"
    RESTRICTED = 4, "4 – restricted, academics with a department"


class Audience(models.TextChoices):
    """Whether a document is for the whole institution or for its department (and those it is shared with)."""

    INSTITUTION = "institution", "whole institution"
    DEPARTMENT = "department", "owning department and those it is shared with"


class Role(models.TextChoices):
    """What a person is at the university."""

    STUDENT = "student", "student"
    STAFF = "staff", "staff"
    ACADEMIC = "academic", "academic"
    ADMIN = "admin", "administrator"


ANONYMOUS_ROLE = "anonymous"

ROLE_CLEARANCE: dict[str, int] = {
    ANONYMOUS_ROLE: Clearance.PUBLIC,
    Role.STUDENT: Clearance.MEMBERS,
    Role.STAFF: Clearance.STAFF,
    Role.ACADEMIC: Clearance.RESTRICTED,
    Role.ADMIN: Clearance.RESTRICTED,
}

NEEDS_DEPARTMENT = Clearance.STAFF
"""From this clearance on a viewer needs at least one departmental affiliation."""


@dataclass(frozen=True)
class Viewer:
    """What one person may see, as it stands at this request.

    `clearance` 0 sees nothing at all. `departments` are ids; `every_department` is the administrator's. `curated` are
    the departments whose documents they edit. `campus_id` and `languages` order what is found and hide nothing. `phase`
    is the roll-out's that admits them, empty where there is none; whoever is not `admitted` sees nothing yet. `seen_as`
    says as whom a curator looks, where it is not as themselves: then a document must also be for one of the curator's
    own departments (`within`; None: they have every one).
    """

    role: str
    clearance: int
    departments: frozenset[int] = field(default_factory=frozenset)
    every_department: bool = False
    user_id: int | None = None
    campus_id: int | None = None
    librarian: bool = False
    curated: frozenset[int] = field(default_factory=frozenset)
    admitted: bool = True
    phase: str = ""
    seen_as: str = ""
    within: frozenset[int] | None = None
    languages: frozenset[str] = field(default_factory=frozenset)

    @property
    def affiliated(self) -> bool:
        """Whether the viewer belongs to any department."""
        return self.every_department or bool(self.departments)

    @property
    def effective_clearance(self) -> int:
        """The highest clearance that the viewer can really see: 3 and 4 need a departmental affiliation."""
        return self.clearance if self.affiliated else min(self.clearance, NEEDS_DEPARTMENT - 1)

    @property
    def sight(self) -> tuple[object, ...]:
        """All of the viewer that decides what they are answered: what `visible_to` reads, and what orders the hits.

        Two viewers with the same one are answered the same, and so an answer may be kept for both (search.answers).
        """
        return (
            self.role,
            self.effective_clearance,
            self.admitted,
            self.every_department,
            tuple(sorted(self.departments)),
            None if self.within is None else tuple(sorted(self.within)),
            self.campus_id,
            tuple(sorted(self.languages)),
            bool(self.seen_as),
        )

    def may_reclassify(self, clearance: int, department_id: int) -> bool:
        """Whether the viewer, who manages a document, may also change who reads it, as it is classified now.

        Owning it is not enough: somebody above may have restricted it since.
        """
        if self.seen_as:
            return False
        return self.every_department or (clearance <= self.effective_clearance and department_id in self.curated)

    def may_file_under(self, department_id: int) -> bool:
        """Whether the viewer may put a document, new or not, under this department."""
        return self.curates and (self.every_department or department_id in self.curated)

    @property
    def curates(self) -> bool:
        """Whether the viewer may upload and edit documents at all. Nobody does while they look as somebody else."""
        return not self.seen_as and (self.librarian or bool(self.curated) or self.role == Role.ADMIN)


PUBLIC_VIEWER = Viewer(ANONYMOUS_ROLE, ROLE_CLEARANCE[ANONYMOUS_ROLE])
"""Sees what everyone may see. Statistics that enter a score are counted over nothing else."""

OPERATOR = Viewer(Role.ADMIN, ROLE_CLEARANCE[Role.ADMIN], every_department=True)
"""Whoever works at the command line of the installation; never made from a request."""


def viewer_for(user: User | AnonymousUser) -> Viewer:
    """The viewer behind a request's user, read from the database now and never from a token or a parameter.

    Anonymous and disabled people are the lowest viewer; with `PUBLIC_SEARCH` off they see nothing. Nor does anybody
    whom the roll-out does not admit yet. A curator who looks as somebody else is that viewer (accounts.seeing).
    """
    if not user.is_authenticated or not user.is_active:
        admission = admission_of(None)
        public = settings.PUBLIC_SEARCH and admission.admitted
        return Viewer(
            ANONYMOUS_ROLE,
            ROLE_CLEARANCE[ANONYMOUS_ROLE] if public else 0,
            admitted=admission.admitted,
            phase=admission.phase,
        )
    if user.seen_as is not None:
        return user.seen_as
    belongs = user.memberships()
    librarian = LIBRARIANS in belongs.groups
    curated = belongs.departments if librarian else frozenset[int]()
    if CURATORS in belongs.groups and not librarian:
        # Who left a department no longer curates it.
        curated = belongs.departments & belongs.curated
    admission = admission_of(user)
    return Viewer(
        role=user.role,
        clearance=ROLE_CLEARANCE[user.role] if admission.admitted else 0,
        departments=belongs.departments,
        every_department=user.role == Role.ADMIN,
        user_id=user.pk,
        campus_id=user.preferred_campus_id or user.campus_id,
        languages=frozenset(user.languages),
        librarian=librarian,
        curated=curated,
        admitted=admission.admitted,
        phase=admission.phase,
    )


class Restricted(models.Model):
    """What the access rule reads. Documents and their chunks both carry it.

    A person sets clearance, audience, departments and dates on the document only; the database derives `readers` and
    copies all of this to the chunks in the same transaction (triggers in ingestion/migrations/0002).
    """

    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.RESTRICTED)
    readers = ArrayField(
        models.IntegerField(),
        default=list,
        editable=False,
        help_text="Ids of the departments that may read it; 0 stands for the whole institution.",
    )
    is_searchable = models.BooleanField(
        default=False, editable=False, help_text="There is something to serve, and it is not archived."
    )
    visible_from = models.DateTimeField("visible from", null=True, blank=True, help_text="Hidden before this moment.")
    visible_until = models.DateTimeField("visible until", null=True, blank=True, help_text="Hidden from this moment.")

    class Meta:
        abstract = True


def _access_met(viewer: Viewer) -> Q:
    """Conditions 2 to 4 of the rule: clearance, affiliation, audience."""
    met = Q(clearance__lte=viewer.effective_clearance)
    if not viewer.every_department:
        met &= Q(readers__overlap=[EVERYONE, *sorted(viewer.departments)])
    if viewer.within is not None:
        met &= Q(readers__overlap=[EVERYONE, *sorted(viewer.within)])
    return met


class RestrictedQuerySet(models.QuerySet[Any]):
    """A queryset over something `Restricted`."""

    def met_by(self, viewer: Viewer) -> Self:
        """What this viewer may see once, and as long as, it is served: for what is noted about documents, not them."""
        return self.filter(_access_met(viewer))

    def visible_to(self, viewer: Viewer) -> Self:
        """What this viewer may see, and nothing else: the access rule."""
        now = Now()
        return self.filter(
            _access_met(viewer),
            Q(visible_from__isnull=True) | Q(visible_from__lte=now),
            Q(visible_until__isnull=True) | Q(visible_until__gt=now),
            is_searchable=True,
        )


def rule_for(viewer: Viewer) -> tuple[object, ...]:
    """What the SQL of `visible_to` follows from: wherever this is equal, so is that, and it may be kept.

    The rule's own code is in it: exchange the rule, and nothing is known of the new one.
    """
    return (
        RestrictedQuerySet.visible_to,
        _access_met,
        viewer.clearance,
        viewer.every_department,
        viewer.departments,
        viewer.within,
    )


class CuratedQuerySet(RestrictedQuerySet):
    """A queryset over documents, which have an owner and a department."""

    def manageable_by(self, viewer: Viewer) -> Self:
        """What this viewer may edit, in any state.

        Administrators: everything. Librarians and curators: what they own, and what belongs to a department that they
        curate, as far as they meet its access. Everybody else: nothing.
        """
        if not viewer.curates:
            return self.none()
        if viewer.role == Role.ADMIN:
            return self.all()
        curated = _access_met(viewer) & Q(department__in=viewer.curated)
        return self.filter(Q(owner=viewer.user_id) | curated)
