"""The warning of personal data in a document: counts and kinds, never the data, and who has looked at it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.clearance import Role
from accounts.models import AuditEvent, Department, User
from accounts.tests.people import person
from ingestion.models import Chunk, Document
from ingestion.personaldata import count
from ingestion.tests.admin.conftest import LIST, Make, asks, change, metadata, press

pytestmark = pytest.mark.django_db

TEXTS = (
    "Write to jane.doe@example.ac.uk or ring 0131 650 1000. Room 1234.",
    "Ring 0131 650 1000, or 07700 900123. Form B12 3CD.",
)


@pytest.fixture
def minutes(make: Make, finance: Department) -> Document:
    document = make("Minutes", finance, clearance=2)
    for place, text in enumerate(TEXTS):
        Chunk.objects.create(
            document=document, position=place, text=text, page_number=1, lexemes="", content_hash=bytes([place]) * 32
        )
    return document


def test_each_counts_once_where_chunks_overlap() -> None:
    assert count(TEXTS) == {"email": 1, "phone": 2}
    assert count(["0131 650 1000", "01316501000"]) == {"phone": 1}


def test_librarians_are_warned_with_counts_and_kinds_and_see_none_of_it_there(desk: Client, minutes: Document) -> None:
    page = desk.get(f"{LIST}{minutes.pk}/change/").content.decode()
    panel = page[page.index('id="personal-data"') : page.index('id="readers"')]
    assert "2 telephone numbers, 1 e-mail address." in panel
    assert "Everybody whom its clearance and audience allow" in panel
    assert "example.ac.uk" not in panel


def test_a_restricted_one_warns_before_it_is_opened(desk: Client, minutes: Document) -> None:
    Document.objects.filter(pk=minutes.pk).update(clearance=3)
    assert "Before you lower its clearance to 1 or 2" in desk.get(f"{LIST}{minutes.pk}/change/").content.decode()


def test_they_are_told_before_it_is_opened_to_many_and_going_on_is_noted(
    desk: Client, minutes: Document, librarian: User
) -> None:
    person("student", Role.STUDENT)
    Document.objects.filter(pk=minutes.pk).update(clearance=3)
    minutes.refresh_from_db()
    answer = desk.post(change(minutes), metadata(minutes, clearance=2))
    assert asks(answer)
    assert "2 telephone numbers, 1 e-mail address" in answer.content.decode()
    press(desk, change(minutes), answer)
    minutes.refresh_from_db()
    assert minutes.clearance == 2
    noted = AuditEvent.objects.get(action="personal_data_acknowledged")
    assert (noted.actor, noted.details["clearance"]) == (librarian, 2)
    # Who is told once is not told again of the same file.
    again = desk.post(change(minutes), metadata(minutes, clearance=1))
    assert asks(again)
    assert "personal data" not in again.content.decode()


def test_a_change_that_leaves_it_to_few_does_not_speak_of_it(desk: Client, minutes: Document) -> None:
    person("student", Role.STUDENT)
    answer = desk.post(change(minutes), metadata(minutes, clearance=3))
    assert asks(answer)
    assert "personal data" not in answer.content.decode()
    press(desk, change(minutes), answer)
    assert not AuditEvent.objects.filter(action="personal_data_acknowledged").exists()


def test_whoever_has_looked_at_it_says_so_and_it_is_noted_without_the_data(
    desk: Client, minutes: Document, librarian: User
) -> None:
    answer = desk.post(f"{LIST}{minutes.pk}/personal-data/", follow=True)
    assert "librarian has looked at it" in answer.content.decode()
    noted = AuditEvent.objects.get(action="personal_data_acknowledged")
    assert (noted.actor, noted.details["counts"]) == (librarian, {"email": 1, "phone": 2})
    assert "jane" not in str(noted.details)
    desk.post(f"{LIST}{minutes.pk}/personal-data/")
    assert AuditEvent.objects.filter(action="personal_data_acknowledged").count() == 1


def test_another_file_is_to_be_looked_at_again(desk: Client, minutes: Document) -> None:
    desk.post(f"{LIST}{minutes.pk}/personal-data/")
    Document.objects.filter(pk=minutes.pk).update(sha256="0" * 64)
    assert 'id="personal-data-seen"' in desk.get(f"{LIST}{minutes.pk}/change/").content.decode()


def test_a_document_without_any_says_nothing(desk: Client, make: Make, finance: Department) -> None:
    document = make("Rules", finance)
    assert "personal-data" not in desk.get(f"{LIST}{document.pk}/change/").content.decode()


def test_the_button_is_for_whoever_manages_the_document(
    desk: Client, make: Make, library: Department, minutes: Document
) -> None:
    theirs = make("Theirs", library)
    assert desk.post(f"{LIST}{theirs.pk}/personal-data/").status_code == 302
    assert desk.get(f"{LIST}{minutes.pk}/personal-data/").status_code == 405
    assert not AuditEvent.objects.filter(action="personal_data_acknowledged").exists()
