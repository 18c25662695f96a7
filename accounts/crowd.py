"""People by what the access rule reads of them, so that what many changes do to whom is worked out at once.

`readership` asks the database about one access; here one query fetches how many people there are of each role and set
of departments, and the rule is applied to these few kinds. The tests prove that both count the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, Value
from django.utils import timezone

from accounts.clearance import EVERYONE, NEEDS_DEPARTMENT, ROLE_CLEARANCE, Role
from accounts.effects import Effect, JointEffect, RoleEffect
from accounts.models import User
from accounts.readership import Access

MOST_MOMENTS = 6
"""Moments at which an effect is worked out; documents with more dates than these are rare, and nobody reads on."""


@dataclass(frozen=True)
class Kind:
    """People with an open account who are one to the access rule."""

    role: str
    departments: frozenset[int]


def kinds_of_people() -> Counter[Kind]:
    """How many people of each kind there are. One query."""
    own = ArrayAgg("departments", filter=Q(departments__isnull=False), default=Value([]))
    people = User.objects.filter(is_active=True).order_by().annotate(own=own).values_list("role", "own")
    return Counter(Kind(role, frozenset(departments)) for role, departments in people)


def may_read(kind: Kind, access: Access) -> bool:
    """Whether these people meet conditions 2 to 4 of the rule: clearance, affiliation, audience."""
    if ROLE_CLEARANCE[kind.role] < access.clearance:
        return False
    if kind.role == Role.ADMIN:
        return True
    if access.clearance >= NEEDS_DEPARTMENT and not kind.departments:
        return False
    return EVERYONE in access.readers or not kind.departments.isdisjoint(access.readers)


class Crowd:
    """All people as they are at one moment, with who reads what worked out once for each access."""

    def __init__(self) -> None:
        self.kinds = list(kinds_of_people().items())
        self._readers: dict[Access | None, frozenset[int]] = {None: frozenset()}

    def readers_of(self, access: Access | None) -> frozenset[int]:
        """The kinds, by their places, that may read something of this access; of nothing: none."""
        if access is not None and access not in self._readers:
            self._readers[access] = frozenset(
                place for place, (kind, _) in enumerate(self.kinds) if may_read(kind, access)
            )
        return self._readers[access]


Change = tuple[Access, Access]
"""The access of one document before and after."""


def effects_of_several(changes: Iterable[Change], crowd: Crowd | None = None) -> list[JointEffect]:
    """What changes of several documents do together, now and at each moment to come at which their dates say otherwise.

    Somebody who comes to see one of them and loses another is counted as both. Empty where it makes no difference to
    anybody; only the first few moments are worked out (MOST_MOMENTS). `crowd` saves counting people again.
    """
    now, pairs = timezone.now(), set(changes)
    dates = {
        moment
        for pair in pairs
        for one in pair
        for moment in (one.visible_from, one.visible_until)
        if moment is not None and moment > now
    }
    crowd = Crowd() if crowd is None else crowd
    effects, told = list[JointEffect](), 0
    shown_before: frozenset[tuple[Change, bool, bool]] | None = None
    for moment in (now, *sorted(dates)):
        shown = frozenset((pair, pair[0].shown_at(moment), pair[1].shown_at(moment)) for pair in pairs)
        if shown == shown_before:
            continue
        shown_before, told = shown, told + 1
        if told > MOST_MOMENTS:
            break
        effect = _effect(crowd, shown, None if moment == now else moment)
        # Dates of some documents often change nothing for anybody on the whole.
        if effect.matters and not (effects and replace(effects[-1], moment=moment) == replace(effect, moment=moment)):
            effects.append(effect)
    return effects


def _effect(crowd: Crowd, shown: Iterable[tuple[Change, bool, bool]], moment: datetime | None) -> JointEffect:
    """What changes do, of which each document is shown before or after, or not."""
    # Dates are dealt with by now; without them far fewer pairs are different.
    pairs = {
        (_timeless(before) if was else None, _timeless(after) if is_ else None)
        for (before, after), was, is_ in shown
        if was or is_
    }
    each = [(crowd.readers_of(before), crowd.readers_of(after)) for before, after in pairs]
    which = (
        frozenset[int]().union(*(before for before, _ in each)),
        frozenset[int]().union(*(after for _, after in each)),
        frozenset[int]().union(*(after - before for before, after in each)),
        frozenset[int]().union(*(before - after for before, after in each)),
    )
    counts = {role: [0, 0, 0, 0] for role in Role}
    for place, kinds in enumerate(which):
        for one in kinds:
            kind, number = crowd.kinds[one]
            counts[Role(kind.role)][place] += number
    return JointEffect(
        roles=tuple(RoleEffect(str(role.label), *sums) for role, sums in counts.items() if any(sums)),
        opens=any(_open(after) and not _open(before) for before, after in pairs),
        shuts=any(_open(before) and not _open(after) for before, after in pairs),
        moment=moment,
    )


def _open(access: Access | None) -> bool:
    return access is not None and access.open_to_all


def _timeless(access: Access) -> Access:
    return replace(access, visible_from=None, visible_until=None)


def effects_among(crowd: Crowd, before: Access, after: Access) -> list[Effect]:
    """What `readership.effects_of` says of one document, without asking the database: for many, one after another."""
    now = timezone.now()

    def opened(access: Access, moment: datetime | None) -> bool:
        return access.open_to_all and access.shown_at(moment or now)

    return [
        Effect(one.roles, opened(before, one.moment), opened(after, one.moment), one.moment)
        for one in effects_of_several([(before, after)], crowd)
    ]
