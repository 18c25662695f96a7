"""Whom the portal is open to while it is introduced, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.models import Func, IntegerField, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import Phase, User


@dataclass(frozen=True)
class Admission:
    """Whether somebody may use the portal now, and the phase by which; its name is empty where there are no phases."""

    admitted: bool
    phase: str = ""


@dataclass(frozen=True)
class Prospect:
    """What somebody who is not admitted can be told: when a phase admits them, or when the last one that did ended.

    `whose` says to whom that phase opens the portal: `department`, `everyone`, or else just `you`.
    """

    opens_at: datetime | None = None
    whose: str = "you"
    ended_at: datetime | None = None


PLACE = (
    "mod(('x' || encode(substr(sha256(convert_to('rollout ' || {person}::text, 'UTF8')), 1, 4), 'hex'))"
    "::bit(32)::bigint, 100)"
)
"""A person's place, 0 to 99, in the order in which a rising percentage lets people in. It is made of their id alone, so
it is the same in every phase and at every request, and nobody falls out when a percentage rises.
"""

# By hand, not by the ORM: every request of everybody asks this. The same through querysets took 3.4 ms, most of it for
# building and planning joins that nothing needs (docs/decisions/0011-rollout.md).
PHASES = f"""
    SELECT name, starts_at, ends_at, running, everyone, percentage = 100, of_department,
        -- People who are not signed in cannot be told apart: they come with all the others or not at all.
        invited OR (everyone AND percentage = 100) OR (coalesce(everyone OR of_group OR of_department, false)
            AND coalesce(percentage > {PLACE.format(person="person.id")}, false))
    FROM accounts_phase AS phase, (SELECT %(person)s::bigint AS id) AS person,
    LATERAL (SELECT
        starts_at <= statement_timestamp() AND (ends_at IS NULL OR ends_at > statement_timestamp()) AS running,
        EXISTS (SELECT FROM accounts_phase_people AS named
            WHERE named.phase_id = phase.id AND named.user_id = person.id) AS invited,
        EXISTS (SELECT FROM accounts_phase_groups AS open_to JOIN accounts_user_groups AS of USING (group_id)
            WHERE open_to.phase_id = phase.id AND of.user_id = person.id) AS of_group,
        EXISTS (SELECT FROM accounts_phase_departments AS open_to
            JOIN accounts_user_departments AS of USING (department_id)
            WHERE open_to.phase_id = phase.id AND of.user_id = person.id) AS of_department
    ) AS reasons
    ORDER BY starts_at, phase.id
"""  # noqa: S608  # nosec B608  # constants of this module
"""All phases in their order, and what each means for one person; the person's id is bound, NULL for nobody known."""


class PhaseForOne(NamedTuple):
    """A line of `PHASES`."""

    name: str
    starts_at: datetime
    ends_at: datetime | None
    running: bool
    everyone: bool
    whole: bool
    of_department: bool
    admits: bool


RUNNING = Q(starts_at__lte=Now()) & (Q(ends_at__isnull=True) | Q(ends_at__gt=Now()))
"""Phases that run at this moment, by the database's clock."""


def admission_of(user: User | None) -> Admission:
    """Whether the roll-out admits this person (None: nobody who is signed in), read from the database now.

    Where no phase was ever made, everybody. Otherwise whom a phase that runs now admits, and at any time those who
    prepare the portal: administrators, librarians, curators. Nobody else: a phase that ended closes the door.
    """
    phases = _phases_for(user.pk if user is not None else None)
    if not phases:
        return Admission(True)
    current = [phase for phase in phases if phase.running]
    for phase in current:
        if phase.admits:
            return Admission(True, phase.name)
    prepares = user is not None and user.is_staff
    return Admission(prepares, current[-1].name if prepares and current else "")


def prospect_of(person_id: int | None) -> Prospect:
    """What to tell somebody whom the roll-out does not admit now. Names no phase and nobody else."""
    admitting = [phase for phase in _phases_for(person_id) if phase.admits and not phase.running]
    for phase in admitting:
        if phase.ends_at is None or phase.starts_at > timezone.now():
            whose = "everyone" if phase.everyone else "department" if phase.of_department else "you"
            return Prospect(opens_at=phase.starts_at, whose=whose if phase.whole else "you")
    return Prospect(ended_at=max((phase.ends_at for phase in admitting if phase.ends_at), default=None))


def _phases_for(person_id: int | None) -> list[PhaseForOne]:
    """All phases, as they are for this person."""
    with connection.cursor() as cursor:
        cursor.execute(PHASES, {"person": person_id})
        return [PhaseForOne(*line) for line in cursor.fetchall()]


class Place(Func):
    """`PLACE` of the people in a queryset."""

    output_field = IntegerField()
    template = PLACE.format(person="(%(expressions)s)")


def people_of(phase: Phase) -> QuerySet[User]:
    """The open accounts that this phase admits while it runs, whether it runs now or not."""
    return _open_accounts().filter(_admitted_by(phase)).order_by()


def admitted_people() -> QuerySet[User]:
    """The open accounts that may use the portal now: the same people for whom `admission_of` says so."""
    people = _open_accounts().order_by()
    phases = list(apps.get_model("accounts", "Phase").objects.annotate(running=RUNNING))
    if not phases:
        return people
    prepared = _prepares()
    for phase in phases:
        if phase.running:
            prepared |= _admitted_by(phase)
    return people.filter(prepared)


def _open_accounts() -> QuerySet[User]:
    people: QuerySet[User] = apps.get_model("accounts", "User").objects.filter(is_active=True)
    return people.alias(place=Place("pk"))


def _prepares() -> Q:
    """Who is staff of the portal, as `User.is_staff` says it of one person."""
    from accounts.clearance import CURATORS, LIBRARIANS, Role

    memberships: Any = apps.get_model("accounts", "User").groups.through
    named = memberships.objects.filter(group__name__in=(LIBRARIANS, CURATORS))
    return Q(role=Role.ADMIN) | Q(pk__in=named.values("user"))


def _admitted_by(phase: Phase) -> Q:
    """Who this phase admits, as a condition on people. By sub-selects: joins would multiply people and places."""
    user: Any = apps.get_model("accounts", "User")
    invited = type(phase).people.through.objects.filter(phase=phase)
    of_groups = user.groups.through.objects.filter(group__phases=phase)
    of_departments = user.departments.through.objects.filter(department__phases=phase)
    drawn = Q(place__lt=phase.percentage)
    if not phase.everyone:
        drawn &= Q(pk__in=of_groups.values("user")) | Q(pk__in=of_departments.values("user"))
    return Q(pk__in=invited.values("user")) | drawn
