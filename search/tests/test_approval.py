"""What people thought of documents, and what it moves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.audit import VIEWED
from accounts.clearance import PUBLIC_VIEWER
from accounts.models import AuditEvent, Department, User
from ingestion.models import Document
from search import approval, service, tasks
from search.approval import DOUBT, PEOPLE, count
from search.boosts import Boosts
from search.models import Feedback, Popularity, SearchEvent, Verdict
from search.query import Mode, SearchQuery
from search.tests.corpus import count_statistics, serve

TEXT = "Bicycles are parked behind the gymnasium."


@pytest.fixture
def people(db: None) -> list[User]:
    return [User.objects.create_user(f"reader{number}") for number in range(PEOPLE)]


@pytest.fixture
def twins(library: Department, monkeypatch: pytest.MonkeyPatch) -> list[Document]:
    """Two documents that say the same, in the order in which a tie leaves them; nothing is remembered of others."""
    monkeypatch.setattr(approval, "_read", (-approval.KEPT_SECONDS, {}))
    made = [serve("Bicycles", TEXT, department=library), serve("Bicycles", TEXT, department=library, sha256="0" * 64)]
    count_statistics()
    return sorted(made, key=lambda document: document.pk)


def say(user: User | None, document: Document, verdict: str) -> None:
    """One word of one search."""
    search = SearchEvent.objects.create(user=user, role="staff", query="q", mode="hybrid", count=1, duration_ms=1)
    Feedback.objects.create(search=search, document=document, user=user, verdict=verdict)


def test_a_voice_a_person_counts_and_the_last_one(people: list[User], twins: list[Document]) -> None:
    for person in people:
        say(person, twins[0], Verdict.UNHELPFUL)
        say(person, twins[0], Verdict.HELPFUL)
    assert count() == {twins[0].pk: pytest.approx(PEOPLE / (PEOPLE + DOUBT))}
    say(people[0], twins[0], Verdict.UNHELPFUL)
    assert count() == {twins[0].pk: pytest.approx((PEOPLE - 2) / (PEOPLE + DOUBT))}


def test_what_fewer_people_say_is_told_by_no_score(people: list[User], twins: list[Document]) -> None:
    for person in people[1:]:
        for _ in range(3):
            say(person, twins[0], Verdict.HELPFUL)
    for _ in range(PEOPLE):
        say(None, twins[0], Verdict.HELPFUL)
    assert count() == {}


def order(mode: Mode = Mode.HYBRID) -> list[str]:
    approval._read = (-approval.KEPT_SECONDS, {})
    page = service.search(SearchQuery("bicycles", mode=mode), viewer=PUBLIC_VIEWER, audited=False)
    return [hit.document.id for hit in page.hits]


def test_of_two_that_answer_alike_the_helpful_one_is_first_unless_switched_off(
    people: list[User], twins: list[Document], settings: pytest.FixtureRequest
) -> None:
    first, second = (str(document.pk) for document in twins)
    for person in people:
        say(person, twins[1], Verdict.HELPFUL)
    assert order() == [first, second], "a worker has not counted it yet"
    assert tasks.count_popularity() == 1
    assert order() == [second, first]
    settings.SEARCH_BOOSTS = Boosts(popularity=0)  # type: ignore[attr-defined]
    assert order() == [first, second]
    assert tasks.count_popularity() == 0, "nor is it counted"


def opens(user: User | None, document: Document, **more: object) -> None:
    """What is noted where somebody opens a document."""
    AuditEvent.objects.create(actor=user, action=VIEWED, details={"document": str(document.pk)}, **more)


def test_what_many_opened_goes_before_what_few_did(people: list[User], twins: list[Document]) -> None:
    first, second = (str(document.pk) for document in twins)
    for person in people:
        opens(person, twins[1])
        for _ in range(3):
            opens(people[0], twins[0])
        opens(None, twins[0])
        opens(person, twins[0], seen_as="student")
        opens(person, twins[0], at=timezone.now() - timedelta(days=approval.OPENED_DAYS + 1))
    counted = count()
    assert counted.keys() == {twins[1].pk}, "one person, nobody known, somebody else, and long ago do not count"
    assert 0 < counted[twins[1].pk] < approval.OPENED
    tasks.count_popularity()
    assert order() == [second, first]
    for person in people:
        say(person, twins[1], Verdict.UNHELPFUL)
    assert count()[twins[1].pk] < 0, "what people say weighs more than that they looked"
    tasks.count_popularity()
    assert order() == [first, second]


def test_what_is_forgotten_is_popular_no_more(people: list[User], twins: list[Document]) -> None:
    for person in people:
        say(person, twins[1], Verdict.HELPFUL)
    tasks.count_popularity()
    Feedback.objects.all().delete()
    tasks.count_popularity()
    assert not Popularity.objects.exists()


def test_a_count_is_kept_for_a_while(people: list[User], twins: list[Document]) -> None:
    assert approval.approval() == {}
    for person in people:
        say(person, twins[0], Verdict.HELPFUL)
    tasks.count_popularity()
    assert approval.approval() == {}
    assert set(count()) == {twins[0].pk}
