"""Who sees a document, counted from the people's side, is who sees it by the access rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, combinations
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.clearance import Role, Viewer, viewer_for
from accounts.models import Department, User
from accounts.readership import Access, conditions_for, effect_between, effects_of, headcount, people_who_see
from ingestion.audience import access_of, archiving, readers_of, reclassification, restoring, sight_of
from ingestion.models import Document
from portal.tests.conftest import MakeDocument

pytestmark = pytest.mark.django_db

NAMES = ("Estates", "Finance", "Library")


def subsets(ids: list[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(ids, size) for size in range(len(ids) + 1))


@pytest.fixture
def departments() -> list[Department]:
    return [Department.objects.create(name=name) for name in NAMES]


@pytest.fixture
def crowd(departments: list[Department]) -> dict[int, Viewer]:
    """Everybody there could be: each role in each set of three departments; user id -> viewer."""
    people = []
    for role in Role:
        for some in subsets([department.pk for department in departments]):
            person = User.objects.create_user(f"{role}-{'-'.join(map(str, some))}", role=role)
            person.departments.set(some)
            people.append(person)
    return {person.pk: viewer_for(person) for person in people}


days = st.none() | st.integers(-3, 3).filter(bool)
papers = st.fixed_dictionaries(
    {
        "clearance": st.integers(1, 4),
        "audience": st.sampled_from(["institution", "department"]),
        "owner": st.integers(0, 2),
        "shared": st.sets(st.integers(0, 2)),
        "is_searchable": st.booleans() | st.just(True),
        "opens": days,
        "closes": days,
    }
)


def file(document: MakeDocument, departments: list[Department], paper: dict[str, Any]) -> Document:
    """A document as drawn."""
    now = timezone.now()
    made = document(
        "Drawn",
        department=departments[paper["owner"]],
        shared_with=tuple(departments[one] for one in paper["shared"]),
        clearance=paper["clearance"],
        audience=paper["audience"],
        is_searchable=paper["is_searchable"],
        visible_from=now + timedelta(days=paper["opens"]) if paper["opens"] else None,
        visible_until=now + timedelta(days=paper["closes"]) if paper["closes"] else None,
    )
    made.refresh_from_db()
    return made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paper=papers)
def test_people_who_see_a_document_are_those_whom_the_access_rule_lets_see_it(
    document: MakeDocument, departments: list[Department], crowd: dict[int, Viewer], paper: dict[str, Any]
) -> None:
    with transaction.atomic():
        made = file(document, departments, paper)
        ruled = {pk for pk, viewer in crowd.items() if Document.objects.visible_to(viewer).filter(pk=made.pk).exists()}
        assert set(people_who_see(access_of(made)).values_list("pk", flat=True)) == ruled
        anonymous = Document.objects.visible_to(viewer_for(AnonymousUser())).filter(pk=made.pk).exists()
        assert (access_of(made).open_to_all and access_of(made).shown_at(timezone.now())) == anonymous
        if access_of(made).shown_at(timezone.now()):
            assert headcount(access_of(made)).total == len(ruled)
        transaction.set_rollback(True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paper=papers)
def test_the_conditions_of_a_person_are_all_met_just_when_they_see_the_document(
    document: MakeDocument, departments: list[Department], crowd: dict[int, Viewer], paper: dict[str, Any]
) -> None:
    with transaction.atomic():
        made = file(document, departments, paper)
        seen = set(people_who_see(access_of(made)).values_list("pk", flat=True))
        for person in User.objects.filter(pk__in=crowd):
            assert all(one.met for one in conditions_for(person, access_of(made))) == (person.pk in seen)
        transaction.set_rollback(True)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=papers, after=papers)
def test_an_effect_counts_exactly_who_gains_and_who_loses(
    document: MakeDocument,
    departments: list[Department],
    crowd: dict[int, Viewer],
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    with transaction.atomic():
        one, other = (access_of(file(document, departments, paper)) for paper in (before, after))
        now = timezone.now()
        effect = effect_between([one] if one.shown_at(now) else [], [other] if other.shown_at(now) else [])
        saw, sees = (set(people_who_see(access).values_list("pk", flat=True)) for access in (one, other))
        assert (effect.before, effect.after) == (len(saw), len(sees))
        assert (effect.gained, effect.lost) == (len(sees - saw), len(saw - sees))
        transaction.set_rollback(True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paper=papers)
def test_the_readers_that_a_form_foresees_are_those_that_the_database_writes(
    document: MakeDocument, departments: list[Department], paper: dict[str, Any]
) -> None:
    with transaction.atomic():
        made = file(document, departments, paper)
        assert readers_of(made.audience, made.department, made.shared_with.all()) == frozenset(made.readers)
        transaction.set_rollback(True)


def test_closed_accounts_are_not_counted(document: MakeDocument, departments: list[Department]) -> None:
    User.objects.create_user("gone", role="student", is_active=False)
    User.objects.create_user("here", role="student")
    made = document("For all", department=departments[0])
    made.refresh_from_db()
    assert [person.username for person in people_who_see(access_of(made))] == ["here"]
    assert headcount(access_of(made)).by_role == (("student", 1),)


def test_nobody_without_an_account_is_counted_where_searching_is_not_public(
    settings: Settings, document: MakeDocument, departments: list[Department]
) -> None:
    made = document("For all", department=departments[0])
    made.refresh_from_db()
    assert sight_of(made).people.anonymous
    settings.PUBLIC_SEARCH = False
    assert not sight_of(made).people.anonymous


def test_who_belongs_to_two_departments_is_counted_in_both_and_once_in_all(departments: list[Department]) -> None:
    both = User.objects.create_user("both", role="staff")
    both.departments.set(departments[:2])
    counted = headcount(Access(3, frozenset({0})))
    assert counted.total == 1
    assert counted.by_department == (("Estates", 1), ("Finance", 1))


def test_a_date_that_is_still_to_come_is_no_way_round_the_question(crowd: dict[int, Viewer]) -> None:
    secret = Access(4, frozenset({0}))
    tomorrow = timezone.now() + timedelta(days=1)
    public_tomorrow = Access(1, frozenset({0}), visible_from=tomorrow)
    first, second = effects_of(secret, public_tomorrow)
    assert (first.moment, first.gained, first.after) == (None, 0, 0)
    assert first.lost
    assert (second.moment, second.lost) == (tomorrow, 0)
    assert second.gained
    assert second.anonymous_after


def test_a_change_that_nobody_notices_has_no_effect(crowd: dict[int, Viewer], departments: list[Department]) -> None:
    past, longer_past = (timezone.now() - timedelta(days=days) for days in (1, 2))
    assert effects_of(Access(2, frozenset({0})), Access(2, frozenset({0}), visible_from=past)) == []
    hidden = Access(1, frozenset({0}), visible_until=past)
    assert effects_of(hidden, Access(4, frozenset({0}), visible_until=longer_past)) == []


def test_archiving_and_restoring_count_people_of_all_documents_once(
    document: MakeDocument, departments: list[Department], crowd: dict[int, Viewer]
) -> None:
    several = [
        document("Estates", department=departments[0], audience="department", clearance=2),
        document("Finance", department=departments[1], audience="department", clearance=3),
        document("Hidden already", department=departments[2], is_searchable=False),
    ]
    for one in several:
        one.refresh_from_db()
    change = archiving(several)
    seen = {pk for pk, viewer in crowd.items() if Document.objects.visible_to(viewer).exists()}
    assert (change.documents, change.effects[0].lost, change.effects[0].gained) == (2, len(seen), 0)
    assert restoring(several[:2]).effects[0].gained == len(seen)


def test_the_token_stands_for_one_change_of_one_document(document: MakeDocument, departments: list[Department]) -> None:
    one, other = (document(title, department=departments[0]) for title in ("One", "Other"))
    low, high = Access(1, frozenset({0})), Access(4, frozenset({0}))
    tokens = {
        reclassification(which, *change).token
        for which in (one, other)
        for change in ((low, high), (high, low), (low, low))
    }
    assert len(tokens) == 6
