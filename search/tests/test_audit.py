"""The trail of searches: what is noted, how long it is kept, how it leaves."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import chain
from accounts.clearance import PUBLIC_VIEWER, viewer_for
from accounts.models import User
from accounts.tests.tampering import unguarded
from ingestion.models import Document
from search import audit, service, tasks
from search.models import Feedback, SearchEvent
from search.query import Mode, SearchQuery

pytestmark = pytest.mark.django_db


def test_every_search_is_noted_with_who_asked_what_as_whom(corpus: dict[str, Document]) -> None:
    user = User.objects.create_user("ada", role="staff")
    query = SearchQuery("travel", departments=("Finance",), min_priority=2, mode=Mode.KEYWORD)
    page = service.search(query, viewer=viewer_for(user), request_id="request-1234")
    event = SearchEvent.objects.get()
    assert str(event.pk) == page.search_id
    assert (event.user, event.role, event.query, event.mode) == (user, "staff", "travel", "keyword")
    assert event.filters == {"department": ["Finance"], "min_priority": 2}
    assert (event.count, event.page, event.request_id) == (page.count, 1, "request-1234")
    assert (event.degraded, event.duration_ms >= 0) == ([], True)


def test_a_measurement_leaves_no_trail(corpus: dict[str, Document]) -> None:
    service.search(SearchQuery("travel", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER, audited=False)
    assert not SearchEvent.objects.exists()


def aged(days: int, query: str, user: User | None = None) -> SearchEvent:
    at = timezone.now() - timedelta(days=days)
    return SearchEvent.objects.create(
        query=query, role="anonymous", mode="hybrid", count=0, duration_ms=1, at=at, user=user
    )


def test_what_is_older_than_it_may_be_is_deleted(settings: Settings) -> None:
    settings.AUDIT_RETENTION_DAYS = 30
    aged(31, "old")
    aged(29, "young")
    assert audit.purge() == {"searches": 1, "acts": 0}
    assert [event.query for event in SearchEvent.objects.all()] == ["young"]
    assert tasks.purge_audit() == {"searches": 0, "acts": 0}
    settings.AUDIT_RETENTION_DAYS = 20
    answer = StringIO()
    call_command("purge_audit", stdout=answer)
    assert answer.getvalue() == "1 searches and 0 acts deleted.\n"
    chain.seal()
    assert chain.verify(chain.SEARCHES).intact


def test_what_people_said_of_the_hits_goes_with_the_search(corpus: dict[str, Document]) -> None:
    old = aged(1000, "old")
    Feedback.objects.create(search=old, document=corpus["loans"], verdict="helpful")
    assert audit.purge()["searches"] == 1
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Feedback.objects.exists()


def test_a_persons_searches_outlive_the_person() -> None:
    user = User.objects.create_user("ada")
    event = aged(1, "loans", user)
    user.delete()
    event.refresh_from_db()
    assert (event.user, event.user_name) == (None, "ada")


def test_a_persons_searches_are_erased_and_nobody_elses_with_proof() -> None:
    user = User.objects.create_user("ada")
    aged(1, "mine", user)
    aged(1, "somebody's")
    assert audit.erase(user) == 1
    assert audit.erase(user) == 0
    assert [event.query for event in SearchEvent.objects.all()] == ["somebody's"]
    assert chain.verify(chain.SEARCHES).intact
    told = [line.get("erased", False) for line in audit.export(chain.SEARCHES)]
    assert told == [True, False]


def test_personal_data_is_taken_out_before_it_is_kept(corpus: dict[str, Document]) -> None:
    query = SearchQuery("who is jane@ed.ac.uk", tags=("s1234567",), mode=Mode.KEYWORD)
    service.search(query, viewer=PUBLIC_VIEWER)
    event = SearchEvent.objects.get()
    assert (event.query, event.filters) == ("who is [email]", {"tag": ["[student]"]})


def test_a_search_tells_its_person_address_and_session(corpus: dict[str, Document], client: Client) -> None:
    client.force_login(User.objects.create_user("ada", role="staff"))
    for _ in range(2):
        client.get("/search/?q=travel&mode=keyword", REMOTE_ADDR="192.0.2.7")
    one, other = SearchEvent.objects.all()
    assert (one.user_name, one.address) == ("ada", "192.0.2.7")
    assert (len(one.session), one.session) == (32, other.session)
    assert client.session.session_key not in one.session


def test_a_changed_search_is_found() -> None:
    aged(1, "one")
    event = aged(1, "two")
    chain.seal()
    with unguarded() as cursor:
        cursor.execute("UPDATE search_searchevent SET query = 'three' WHERE id = %s", [event.pk])
    proof = chain.verify(chain.SEARCHES)
    assert (proof.position, proof.event, proof.broken) == (2, str(event.pk), "the event was changed")


@pytest.mark.parametrize("statement", ["UPDATE search_searchevent SET query = ''", "DELETE FROM search_searchevent"])
def test_the_database_refuses_to_change_or_delete_a_search(statement: str) -> None:
    aged(1, "one")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_export_is_one_json_object_a_line_in_the_order_of_the_chain() -> None:
    aged(2, "first")
    aged(1, "second\nline")
    answer = StringIO()
    call_command("export_audit", "--kind", "searches", stdout=answer)
    lines = [json.loads(line) for line in answer.getvalue().splitlines()]
    assert [line["query"] for line in lines] == ["first", "second\nline"]
    assert set(lines[0]) == {
        "id", "at", "user", "role", "seen_as", "phase", "query", "filters", "mode", "degraded", "count", "page",
        "duration_ms", "request_id", "kind", "address", "session", "position", "digest", "link",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("search_searchevent", "user_name"), ("search_searchevent", "session"), ("accounts_auditevent", "event_id"),
        ("search_searchevent", "seen_as"), ("search_searchevent", "phase"),
        ("accounts_user", "is_service"), ("accounts_user", "sign_in_epoch"),
    ],
)  # fmt: skip
def test_processes_of_the_release_before_can_go_on_writing_rows_while_this_one_is_rolled_out(
    table: str, column: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_default FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
            [table, column],
        )
        assert cursor.fetchone()[0] is not None
