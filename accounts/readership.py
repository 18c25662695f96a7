"""Who sees a document: the access rule, asked from the other side.

`visible_to` (accounts.clearance) says which documents a person sees; this, which people see a document, so that
curators know before they change something. The tests prove the two equal. The roll-out, which opens the portal to more
and more people, is left out of the counts: who it does not admit yet is counted as if it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db.models import BooleanField, Case, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from accounts.clearance import EVERYONE, NEEDS_DEPARTMENT, ROLE_CLEARANCE, Clearance, Role, viewer_for
from accounts.effects import Effect, RoleEffect
from accounts.models import Department, User


@dataclass(frozen=True)
class Access:
    """What the access rule reads of a document; `readers` as in `Restricted`."""

    clearance: int
    readers: frozenset[int]
    is_searchable: bool = True
    visible_from: datetime | None = None
    visible_until: datetime | None = None

    def shown_at(self, moment: datetime) -> bool:
        """Whether anybody sees it then: condition 1 of the rule."""
        begun = self.visible_from is None or self.visible_from <= moment
        return self.is_searchable and begun and (self.visible_until is None or self.visible_until > moment)

    @property
    def open_to_all(self) -> bool:
        """Whether people who are not signed in see it too, while it is shown."""
        return settings.PUBLIC_SEARCH and self.clearance <= Clearance.PUBLIC and EVERYONE in self.readers


def _may_read(access: Access) -> Q:
    """People with an open account who meet conditions 2 to 4 of the rule: clearance, affiliation, audience."""
    roles = [role for role in Role.values if ROLE_CLEARANCE[role] >= access.clearance]
    met = Q(is_active=True, role__in=roles)
    belonging = User.departments.through.objects.filter(user=OuterRef("pk"))
    if access.clearance >= NEEDS_DEPARTMENT:
        met &= Q(role=Role.ADMIN) | Q(Exists(belonging))
    if EVERYONE not in access.readers:
        met &= Q(role=Role.ADMIN) | Q(Exists(belonging.filter(department__in=access.readers)))
    return met


def people_who_see(access: Access) -> QuerySet[User]:
    """The people who see a document of this access now."""
    return User.objects.filter(_may_read(access)) if access.shown_at(timezone.now()) else User.objects.none()


@dataclass(frozen=True)
class Headcount:
    """How many people see a document while it is shown. Who belongs to two departments is counted in both."""

    by_role: tuple[tuple[str, int], ...]
    by_department: tuple[tuple[str, int], ...]
    without_department: int
    anonymous: bool
    """Also everybody who is not signed in."""

    @property
    def total(self) -> int:
        """All of those who have an account."""
        return sum(number for _, number in self.by_role)


def headcount(access: Access) -> Headcount:
    """How many people meet this access, whether it is shown at this moment or not. Two queries."""
    people = User.objects.filter(_may_read(access)).order_by()
    roles = dict(people.values_list("role").annotate(Count("pk")))
    departments = dict(people.values_list("departments__name").annotate(Count("pk")))
    without = departments.pop(None, 0)
    return Headcount(
        by_role=tuple((str(role.label), roles[role.value]) for role in Role if roles.get(role.value)),
        by_department=tuple(sorted(departments.items(), key=lambda pair: (-pair[1], pair[0]))),
        without_department=without,
        anonymous=access.open_to_all,
    )


def _see_one_of(accesses: Iterable[Access]) -> Case:
    """Whether a person meets one of these. At most four conditions, however many documents there are."""
    readers: dict[int, frozenset[int]] = defaultdict(frozenset)
    for access in accesses:
        readers[access.clearance] |= access.readers
    met = [When(_may_read(Access(clearance, those)), then=Value(True)) for clearance, those in sorted(readers.items())]
    return Case(*met, default=Value(False), output_field=BooleanField())


def effect_between(before: Iterable[Access], after: Iterable[Access]) -> Effect:
    """Who sees at least one of the documents `before`, and `after`; all of these are taken to be shown. One query."""
    before, after = list(before), list(after)
    people = User.objects.filter(is_active=True).order_by()
    sighted = people.annotate(saw=_see_one_of(before), sees=_see_one_of(after))
    counts: dict[tuple[str, bool, bool], int] = {
        (role, saw, sees): number
        for role, saw, sees, number in sighted.values_list("role", "saw", "sees").annotate(Count("pk"))
    }
    roles = []
    for role in Role:
        both, gained, lost = (counts.get((role.value, *how), 0) for how in ((True, True), (False, True), (True, False)))
        if both or gained or lost:
            roles.append(RoleEffect(str(role.label), both + lost, both + gained, gained, lost))
    return Effect(
        tuple(roles), any(access.open_to_all for access in before), any(access.open_to_all for access in after)
    )


def effects_of(before: Access, after: Access) -> list[Effect]:
    """What a change of one document's access does, now and at each moment to come at which its dates say otherwise.

    Empty where it makes no difference to anybody at any time.
    """
    now = timezone.now()
    dates = (before.visible_from, before.visible_until, after.visible_from, after.visible_until)
    moments = [now, *sorted({date for date in dates if date is not None and date > now})]
    effects: list[Effect] = []
    was: tuple[bool, bool] | None = None
    for moment in moments:
        shown = (before.shown_at(moment), after.shown_at(moment))
        if shown == was:
            continue
        was = shown
        effect = effect_between([before] if shown[0] else [], [after] if shown[1] else [])
        if effect.matters:
            effects.append(replace(effect, moment=None if moment == now else moment))
    return effects


@dataclass(frozen=True)
class Condition:
    """One condition of the access rule for one person and one document, and whether it is met."""

    sentence: str
    met: bool


def conditions_for(person: User, access: Access) -> list[Condition]:
    """Whether this person sees a document of this access now, condition by condition; they do if all are met."""
    now, viewer, name = timezone.now(), viewer_for(person), person.get_full_name() or person.username
    own = list(person.departments.order_by("name").values_list("name", flat=True))
    belongs = f"{name} belongs to {', '.join(own)}" if own else f"{name} belongs to no department"
    for_whom = Department.objects.filter(pk__in=access.readers).order_by("name").values_list("name", flat=True)
    conditions = [
        Condition("The account is open." if person.is_active else "The account is closed.", person.is_active),
        Condition(
            "The portal is open to them." if viewer.admitted else "The roll-out does not admit them yet.",
            viewer.admitted,
        ),
        Condition(
            "The document can be searched." if access.is_searchable else "The document is not searchable.",
            access.is_searchable,
        ),
        Condition(
            f"Its clearance is {access.clearance}; {name} is {person.get_role_display()}, which reaches "
            f"{ROLE_CLEARANCE[person.role]}.",
            access.clearance <= ROLE_CLEARANCE[person.role],
        ),
    ]
    if access.visible_from or access.visible_until:
        shown = replace(access, is_searchable=True).shown_at(now)
        text = "Today is within its dates." if shown else "Its dates hide it at this moment."
        conditions.append(Condition(text, shown))
    if access.clearance >= NEEDS_DEPARTMENT:
        affiliated = viewer.every_department or bool(own)
        conditions.append(Condition(f"Clearance {access.clearance} needs a department; {belongs}.", affiliated))
    if EVERYONE not in access.readers:
        theirs = viewer.every_department or person.departments.filter(pk__in=access.readers).exists()
        who = "administrators read it too" if viewer.every_department else belongs
        conditions.append(Condition(f"It is for {', '.join(for_whom)}; {who}.", theirs))
    return conditions
