"""The phased introduction: whom it admits, whom it keeps out, what it counts, and that it stays cheap."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.clearance import CURATORS, LIBRARIANS, PUBLIC_VIEWER, Role, viewer_for
from accounts.models import Department, Phase, User
from accounts.rollout import (
    PHASES,
    PLACE,
    Admission,
    Prospect,
    admission_of,
    admitted_people,
    people_of,
    prospect_of,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def now() -> datetime:
    return timezone.now()


def phase(name: str = "Pilot", *, starts: timedelta = -DAY, ends: timedelta | None = None, **more: Any) -> Phase:
    """A phase that starts and ends so long from now; `people`, `groups` and `departments` are set, too."""
    several = {one: more.pop(one, ()) for one in ("people", "groups", "departments")}
    made = Phase.objects.create(name=name, starts_at=now() + starts, ends_at=ends and now() + ends, **more)
    for one, values in several.items():
        getattr(made, one).set(values)
    return made


def person(name: str = "ada", role: str = Role.STUDENT, *departments: Department, group: str = "") -> User:
    user = User.objects.create_user(name, role=role)
    user.departments.set(departments)
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    return user


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


def places(count: int) -> list[int]:
    """The places of people with the ids 1 to `count`, as the database works them out."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {PLACE.format(person='id')} FROM generate_series(1, {count}) AS people(id)")  # noqa: S608
        return [place for (place,) in cursor.fetchall()]


class TestAdmission:
    def test_without_any_phase_the_portal_is_open_to_everybody(self) -> None:
        assert admission_of(None) == Admission(True)
        assert admission_of(person()) == Admission(True)

    def test_a_phase_admits_the_people_it_names_and_nobody_else(self) -> None:
        ada, bob = person("ada"), person("bob")
        phase(people=[ada], percentage=0)
        assert admission_of(ada) == Admission(True, "Pilot")
        assert admission_of(bob) == Admission(False)
        assert admission_of(None) == Admission(False)

    def test_a_phase_admits_its_departments_and_groups(self, finance: Department) -> None:
        friends = Group.objects.create(name="Friends")
        of_finance, friend, other = person("ada", Role.STAFF, finance), person("bob", group="Friends"), person("eve")
        phase(departments=[finance], groups=[friends])
        assert [admission_of(one).admitted for one in (of_finance, friend, other)] == [True, True, False]

    def test_everyone_at_the_full_percentage_includes_people_who_are_not_signed_in(self) -> None:
        phase(everyone=True)
        assert admission_of(None) == admission_of(person()) == Admission(True, "Pilot")

    def test_people_who_are_not_signed_in_come_with_all_the_others_or_not_at_all(self) -> None:
        phase(everyone=True, percentage=99)
        assert not admission_of(None).admitted

    @pytest.mark.parametrize("when", [{"starts": DAY}, {"starts": -2 * DAY, "ends": -DAY}], ids=["planned", "over"])
    def test_outside_its_dates_a_phase_admits_nobody(self, when: dict[str, timedelta]) -> None:
        ada = person()
        phase(people=[ada], everyone=True, **when)
        assert not admission_of(ada).admitted
        assert not admission_of(None).admitted

    def test_a_phase_that_has_just_ended_closes_the_door(self) -> None:
        ada, pilot = person(), phase(everyone=True)
        assert admission_of(ada).admitted
        Phase.objects.filter(pk=pilot.pk).update(ends_at=now())
        assert not admission_of(ada).admitted

    @pytest.mark.parametrize("role", [Role.ADMIN, Role.STAFF])
    @pytest.mark.parametrize("starts", [-DAY, DAY], ids=["running", "planned"])
    def test_those_who_prepare_the_portal_are_always_in(self, role: str, starts: timedelta) -> None:
        phase(starts=starts, percentage=0)
        prepared = (
            [person("warden", role)]
            if role == Role.ADMIN
            else [person("lib", role, group=LIBRARIANS), person("cur", role, group=CURATORS)]
        )
        expected = Admission(True, "Pilot" if starts < timedelta() else "")
        assert [admission_of(one) for one in prepared] == [expected] * len(prepared)

    def test_the_first_phase_that_admits_gives_the_name(self) -> None:
        ada, bob = person("ada"), person("bob")
        phase("Pilot", starts=-3 * DAY, people=[ada])
        phase("Everybody", everyone=True)
        assert (admission_of(ada).phase, admission_of(bob).phase) == ("Pilot", "Everybody")

    def test_whoever_is_not_admitted_is_a_viewer_who_sees_nothing(self, finance: Department) -> None:
        phase(percentage=0)
        for user in (AnonymousUser(), person("ada", Role.ACADEMIC, finance)):
            viewer = viewer_for(user)
            assert (viewer.clearance, viewer.effective_clearance, viewer.admitted) == (0, 0, False)

    def test_with_no_public_search_a_phase_for_everyone_opens_nothing_to_the_nameless(self, settings: Settings) -> None:
        settings.PUBLIC_SEARCH = False
        phase(everyone=True)
        assert viewer_for(AnonymousUser()).clearance == 0

    def test_public_statistics_are_not_changed_by_a_phase(self) -> None:
        phase(percentage=0)
        assert PUBLIC_VIEWER.clearance == 1

    def test_a_phase_must_end_after_it_starts(self) -> None:
        with pytest.raises(ValidationError, match="ends after it starts"):
            Phase(name="Odd", starts_at=now(), ends_at=now() - DAY).full_clean()


class TestPercentage:
    def test_it_really_is_about_that_share_of_ten_thousand_people(self) -> None:
        drawn = places(10_000)
        assert {*drawn} == set(range(100))
        for percentage in (1, 10, 25, 50, 90):
            share = sum(place < percentage for place in drawn) / 100
            # Four standard deviations of 10,000 fair draws are at most 2 points.
            assert abs(share - percentage) < 2, (percentage, share)

    def test_raising_it_only_ever_adds_people(self) -> None:
        people = [person(f"p{number}") for number in range(60)]
        rising = phase(everyone=True, percentage=0)
        before: set[int] = set()
        for percentage in range(0, 101, 10):
            Phase.objects.filter(pk=rising.pk).update(percentage=percentage)
            admitted = {one.pk for one in people if admission_of(one).admitted}
            assert before <= admitted
            before = admitted
        assert len(before) == 60

    def test_a_place_is_counted_from_nought_so_that_no_percentage_is_one_too_many(self) -> None:
        ada = person()
        place = places(ada.pk)[-1]
        rising = phase(everyone=True)
        for percentage, admitted in ((place, False), (place + 1, True)):
            Phase.objects.filter(pk=rising.pk).update(percentage=percentage)
            assert admission_of(ada).admitted is admitted
            rising.refresh_from_db()
            assert people_of(rising).exists() is admitted

    def test_a_person_has_the_same_place_in_every_phase(self) -> None:
        people = [person(f"p{number}") for number in range(40)]
        first, second = phase("One", everyone=True, percentage=30), phase("Two", everyone=True, percentage=30)
        assert {*people_of(first)} == {*people_of(second)} != {*people}


class TestProspect:
    def test_names_the_day_on_which_a_planned_phase_admits_somebody(self, finance: Department) -> None:
        ada, bob = person("ada", Role.STAFF, finance), person("bob")
        later = phase("Everybody", starts=9 * DAY, everyone=True)
        soon = phase("Finance", starts=5 * DAY, departments=[finance])
        assert prospect_of(ada.pk) == Prospect(soon.starts_at, "department")
        assert prospect_of(bob.pk) == prospect_of(None) == Prospect(later.starts_at, "everyone")

    def test_promises_nothing_to_people_who_are_not_drawn(self, finance: Department) -> None:
        phase("Some of Finance", starts=DAY, departments=[finance], percentage=0)
        assert prospect_of(person("ada", Role.STAFF, finance).pk) == Prospect()

    def test_says_you_to_one_of_several_who_are_drawn(self, finance: Department) -> None:
        people = [person(f"p{number}", Role.STAFF, finance) for number in range(30)]
        phase("Half", starts=DAY, departments=[finance], percentage=50)
        assert {prospect_of(one.pk).whose for one in people if prospect_of(one.pk).opens_at} == {"you"}

    def test_tells_when_the_phase_was_over_in_which_somebody_was_in(self) -> None:
        ada, bob = person("ada"), person("bob")
        over = phase("Trial", starts=-9 * DAY, ends=-2 * DAY, people=[ada])
        assert prospect_of(ada.pk) == Prospect(ended_at=over.ends_at)
        assert prospect_of(bob.pk) == Prospect()


class TestCounting:
    def test_people_and_counts_are_those_whom_admission_lets_in(self) -> None:
        """Two statements of one rule, one for a person and one for all of them, on random phases and people."""
        chance = random.Random(20261123)  # noqa: S311  (the same cases every time)
        departments = [Department.objects.create(name=f"D{number}") for number in range(4)]
        groups = [Group.objects.create(name=f"G{number}") for number in range(3)]
        people = []
        for number in range(50):
            one = person(f"p{number}", chance.choice(Role.values), *chance.sample(departments, chance.randrange(3)))
            one.groups.set(chance.sample(groups, chance.randrange(2)))
            if chance.random() < 0.1:
                one.groups.add(Group.objects.get(name=chance.choice([LIBRARIANS, CURATORS])))
            people.append(one)
        for attempt in range(25):
            Phase.objects.all().delete()
            made = [
                phase(
                    f"Phase {attempt}.{number}",
                    starts=chance.choice([-2 * DAY, -3 * DAY, DAY]),
                    ends=chance.choice([None, 9 * DAY, -DAY]),
                    everyone=chance.random() < 0.2,
                    percentage=chance.choice([0, 20, 60, 100]),
                    people=chance.sample(people, 3),
                    groups=chance.sample(groups, chance.randrange(2)),
                    departments=chance.sample(departments, chance.randrange(3)),
                )
                for number in range(chance.randrange(4))
                if number or chance.random() < 0.9
            ]
            expected = {one.pk for one in people if admission_of(one).admitted}
            assert {*admitted_people().values_list("pk", flat=True)} == expected
            running = [one for one in made if one.starts_at < now() and (not one.ends_at or one.ends_at > now())]
            prepared = {one.pk for one in people if one.is_staff}
            if made:
                assert {one.pk for each in running for one in people_of(each)} | prepared == expected

    def test_closed_accounts_are_not_counted(self) -> None:
        ada = person()
        pilot = phase(people=[ada])
        User.objects.filter(pk=ada.pk).update(is_active=False)
        assert people_of(pilot).count() == admitted_people().count() == 0


class TestCost:
    @pytest.mark.parametrize("phases", [0, 5])
    def test_it_is_one_statement_a_viewer_however_many_phases_there_are(
        self, phases: int, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        ada = User.objects.get(pk=person().pk)
        for number in range(phases):
            phase(f"Phase {number}", everyone=True)
        assert not ada.is_librarian  # the groups are read once a request
        with django_assert_num_queries(1):
            admission_of(ada)
        with django_assert_num_queries(1):
            admission_of(None)

    def test_with_twenty_thousand_people_it_still_looks_up_just_one(self, finance: Department) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO accounts_user (username, password, role, first_name, last_name, email, is_active,"
                " date_joined, is_service, sign_in_epoch)"
                " SELECT 'many' || n, '', 'student', '', '', '', true, now(), false, 0"
                " FROM generate_series(1, 20000) AS n"
            )
            cursor.execute(
                "INSERT INTO accounts_user_departments (user_id, department_id) SELECT id, %s FROM accounts_user",
                [finance.pk],
            )
        pilot = phase(departments=[finance], percentage=50)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO accounts_phase_people (phase_id, user_id) SELECT %s, id FROM accounts_user", [pilot.pk]
            )
            cursor.execute("ANALYZE accounts_user, accounts_user_departments, accounts_phase_people")
        ada = User.objects.order_by("?").first()
        assert ada is not None
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN ANALYZE {PHASES}", {"person": ada.pk})
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on accounts_user_departments" not in plan
        assert "Seq Scan on accounts_phase_people" not in plan
        took = float(plan.rsplit("Execution Time: ", 1)[1].split(" ms")[0])
        assert took < 20, plan  # it takes 0.1 ms; the machine may be busy
