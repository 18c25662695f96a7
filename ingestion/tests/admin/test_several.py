"""Actions on many documents at once: their cost grows with the kinds of access, not with the documents."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.clearance import Role
from accounts.models import AuditEvent, Department
from ingestion.admin import acts
from ingestion.models import Chunk, Document, Status
from ingestion.tests.admin.conftest import LIST, Make, asks, person, post_confirmed, press

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(make: Make, finance: Department) -> list[Document]:
    """Twelve documents of two kinds of access, each with a passage."""
    person("somebody", Role.STAFF, finance)
    made = [make(f"Paper {number}", finance, clearance=2 + number % 2, audience="department") for number in range(12)]
    for document in made:
        Chunk.objects.create(
            document=document, position=0, text="Said.", page_number=1, lexemes="", content_hash=b"0" * 32
        )
    return made


def choose(action: str, documents: list[Document]) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(document.pk) for document in documents]}


def statements(desk: Client, action: str, documents: list[Document]) -> list[str]:
    """What the confirmed action asks of the database."""
    question = desk.post(LIST, choose(action, documents))
    assert asks(question)
    with CaptureQueriesContext(connection) as asked:
        assert press(desk, LIST, question).status_code == 302
    return [one["sql"] for one in asked.captured_queries]


def test_twelve_documents_ask_as_much_of_the_database_as_four(desk: Client, shelf: list[Document]) -> None:
    few, many = (statements(desk, "archive", some) for some in (shelf[:4], shelf))
    assert len(many) <= len(few)
    # Once for the question; for the trail people are counted once, by their kinds.
    assert sum('"saw"' in sql for sql in many) == 1
    few, many = (statements(desk, "restore", some) for some in (shelf[:4], shelf))
    assert len(many) <= len(few)


@pytest.mark.parametrize(("action", "word"), [("archive", "Archived."), ("restore", "Restored.")])
def test_each_document_has_its_own_history_and_its_own_note(
    desk: Client, shelf: list[Document], action: str, word: str
) -> None:
    if action == "restore":
        post_confirmed(desk, LIST, choose("archive", shelf))
        LogEntry.objects.all().delete()
    before = list(AuditEvent.objects.values_list("pk", flat=True))
    post_confirmed(desk, LIST, choose(action, shelf))
    ids = sorted(str(document.pk) for document in shelf)
    assert sorted(LogEntry.objects.values_list("object_id", flat=True)) == ids
    assert {one.get_change_message() for one in LogEntry.objects.all()} == {word}
    notes = AuditEvent.objects.filter(action="audience_changed").exclude(pk__in=before)
    assert sorted(one.details["document"] for one in notes) == ids
    by_id = {str(document.pk): document for document in shelf}
    for one in notes:
        document = by_id[one.details["document"]]
        assert (one.subject, one.actor_name) == (document.title, "librarian")
        assert one.details["before"]["clearance"] == document.clearance
        assert one.details["before"]["readers"] == ["Finance"]
        (effect,) = one.details["effects"]
        # The librarian and somebody else read either kind.
        assert (effect["lost"], effect["gained"]) == ((2, 0) if action == "archive" else (0, 2))


def test_several_are_retried_together(
    desk: Client, shelf: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    Document.objects.filter(pk__in=[document.pk for document in shelf[:3]]).update(status=Status.FAILED)
    Chunk.objects.filter(document=shelf[0]).update(metadata={"unembeddable": True})
    with django_capture_on_commit_callbacks() as queued:
        desk.post(LIST, choose("retry_failed", shelf))
    assert (len(queued), Document.objects.filter(status=Status.QUEUED).count()) == (3, 3)
    assert not Chunk.objects.filter(metadata__has_key="unembeddable").exists()


@pytest.mark.parametrize("action", ["archive", "restore", "retry_failed"])
def test_more_than_can_be_done_at_once_are_left_alone_and_it_says_so(
    desk: Client, shelf: list[Document], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(acts, "MOST_AT_ONCE", 11)
    state = {"archive": Status.READY, "restore": Status.ARCHIVED, "retry_failed": Status.FAILED}[action]
    Document.objects.update(status=state)
    answer = desk.post(LIST, choose(action, shelf), follow=True)
    assert "These are 12 documents. Up to 11 can be done at once; choose fewer." in answer.content.decode()
    assert set(Document.objects.values_list("status", flat=True)) == {state}
    post_confirmed(desk, LIST, choose(action, shelf[1:]))
    assert Document.objects.exclude(status=state).count() == 11


def test_more_than_can_be_deleted_at_once_are_left_alone(
    admin_desk: Client, shelf: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "MOST_AT_ONCE", 11)
    answer = admin_desk.post(LIST, choose("delete_selected", shelf) | {"post": "yes"}, follow=True)
    assert "These are 12 documents. Up to 11 can be done at once" in answer.content.decode()
    assert Document.objects.count() == 12
    assert "Are you sure" in admin_desk.post(LIST, choose("delete_selected", shelf[1:])).content.decode()
    admin_desk.post(LIST, choose("delete_selected", shelf[1:]) | {"post": "yes"})
    assert list(Document.objects.all()) == shelf[:1]
    assert AuditEvent.objects.filter(action="audience_changed", details__after="deleted").count() == 11


def test_all_is_done_or_nothing(desk: Client, shelf: list[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    question = desk.post(LIST, choose("archive", shelf))

    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("the trail is on fire")

    monkeypatch.setattr("ingestion.admin.acts.note_changes", broken)
    with pytest.raises(RuntimeError):
        press(desk, LIST, question)
    assert not Document.objects.filter(status=Status.ARCHIVED).exists()
