"""What changes of several documents do, worked out by kinds of people, is what the access rule says of each person."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, combinations, product

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.clearance import EVERYONE, Role
from accounts.crowd import Crowd, effects_among, effects_of_several, kinds_of_people, may_read
from accounts.models import Department, User
from accounts.readership import Access, effects_of, people_who_see

pytestmark = pytest.mark.django_db

readers = st.just(frozenset({EVERYONE})) | st.sets(st.integers(0, 2), min_size=1).map(frozenset)
accesses = st.builds(lambda clearance, those: (clearance, those), st.integers(1, 4), readers)


@pytest.fixture
def departments() -> list[int]:
    return [Department.objects.create(name=name).pk for name in ("Estates", "Finance", "Library")]


@pytest.fixture
def everybody(departments: list[int]) -> list[User]:
    """Each role in each set of three departments, and one whose account is closed."""
    sets = list(chain.from_iterable(combinations(departments, size) for size in range(4)))
    people = []
    for role, some in product(Role, sets):
        person = User.objects.create_user(f"{role}-{some}", role=role)
        person.departments.set(some)
        people.append(person)
    User.objects.create_user("closed", role=Role.ADMIN, is_active=False)
    return people


def access(drawn: tuple[int, frozenset[int]], departments: list[int]) -> Access:
    clearance, those = drawn
    whole = those == {EVERYONE}
    return Access(clearance, those if whole else frozenset(departments[one] for one in those))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(accesses, accesses), min_size=1, max_size=5))
def test_who_gains_and_who_loses_is_counted_person_by_person(
    departments: list[int], everybody: list[User], changes: list[tuple[tuple[int, frozenset[int]], ...]]
) -> None:
    pairs = [(access(before, departments), access(after, departments)) for before, after in changes]
    seen = [tuple(set(people_who_see(one).values_list("pk", flat=True)) for one in pair) for pair in pairs]
    gained = set[int]().union(*(after - before for before, after in seen))
    lost = set[int]().union(*(before - after for before, after in seen))
    effects = effects_of_several(pairs)
    assert sum(one.gained for one in effects) == len(gained)
    assert sum(one.lost for one in effects) == len(lost)
    if effects:
        assert sum(one.before for one in effects[0].roles) == len(set[int]().union(*(before for before, _ in seen)))
        assert effects[0].opens == any(not before.open_to_all and after.open_to_all for before, after in pairs)
        assert effects[0].shuts == any(before.open_to_all and not after.open_to_all for before, after in pairs)


def test_kinds_count_every_open_account_once(departments: list[int], everybody: list[User]) -> None:
    kinds = kinds_of_people()
    assert kinds.total() == len(everybody)
    staff_of_first = Access(3, frozenset(departments[:1]))
    counted = sum(number for kind, number in kinds.items() if may_read(kind, staff_of_first))
    assert counted == people_who_see(staff_of_first).count()


def test_of_one_document_both_ways_of_counting_agree_at_every_moment(
    departments: list[int], everybody: list[User]
) -> None:
    now = timezone.now()
    before = Access(3, frozenset(departments[:1]), visible_until=now + timedelta(days=2))
    after = Access(2, frozenset({EVERYONE}), visible_from=now + timedelta(days=1))
    single, several = effects_of(before, after), effects_of_several([(before, after)])
    assert [(one.moment, one.gained, one.lost) for one in single] == [
        (one.moment, one.gained, one.lost) for one in several
    ]
    assert len(several) == 3
    assert effects_among(Crowd(), before, after) == single


def test_a_moment_at_which_nothing_changes_for_anybody_is_not_told(everybody: list[User]) -> None:
    later = timezone.now() + timedelta(days=1)
    hidden = Access(2, frozenset({EVERYONE}), visible_from=later)
    shown = Access(2, frozenset({EVERYONE}))
    public = Access(1, frozenset({EVERYONE}))
    assert [one.moment for one in effects_of_several([(public, shown), (hidden, hidden)])] == [None]
