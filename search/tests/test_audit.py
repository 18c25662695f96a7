"""The trail of searches: what is noted, how long it is kept, how it leaves."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.clearance import PUBLIC_VIEWER, viewer_for
from accounts.models import User
from ingestion.models import Document
from search import audit, service, tasks
from search.models import SearchEvent
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


def aged(days: int, query: str) -> SearchEvent:
    event = SearchEvent.objects.create(query=query, role="anonymous", mode="hybrid", count=0, duration_ms=1)
    SearchEvent.objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(days=days))
    return event


def test_what_is_older_than_it_may_be_is_deleted(settings: Settings) -> None:
    settings.AUDIT_RETENTION_DAYS = 30
    aged(31, "old")
    aged(29, "young")
    assert audit.purge() == 1
    assert [event.query for event in SearchEvent.objects.all()] == ["young"]
    assert tasks.purge_audit() == 0
    aged(40, "old")
    answer = StringIO()
    call_command("purge_audit", stdout=answer)
    assert answer.getvalue() == "1 searches deleted.\n"


def test_a_persons_searches_outlive_the_person() -> None:
    user = User.objects.create_user("ada")
    event = aged(1, "loans")
    SearchEvent.objects.filter(pk=event.pk).update(user=user)
    user.delete()
    event.refresh_from_db()
    assert event.user is None


def test_the_export_is_one_json_object_a_line_oldest_first() -> None:
    aged(1, "second\nline")
    aged(2, "first")
    answer = StringIO()
    call_command("export_audit", stdout=answer)
    lines = [json.loads(line) for line in answer.getvalue().splitlines()]
    assert [line["query"] for line in lines] == ["first", "second\nline"]
    assert set(lines[0]) == {
        "id", "at", "user", "role", "seen_as", "phase", "query", "filters", "mode", "degraded", "count", "page",
        "duration_ms", "request_id",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column"),
    [
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
