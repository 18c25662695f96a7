"""Changing several documents at once: the preview tells the truth, the write keeps to it, and it can be undone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.clearance import Role
from accounts.models import AuditEvent, Campus, Department, User
from ingestion import bulk
from ingestion.admin import acts
from ingestion.models import BulkChange, Document, Tag
from ingestion.tests.admin.conftest import LIST, Make, change, person, signed_in

pytestmark = pytest.mark.django_db

SEVERAL, CHANGES = f"{LIST}several/", f"{LIST}changes/"
TOKEN = re.compile(r'name="token" value="(\w+)"')


def ids(documents: list[Document]) -> str:
    return " ".join(str(document.pk) for document in documents)


def preview(client: Client, documents: list[Document], **said: Any) -> str:
    answer = client.post(SEVERAL, {"documents": ids(documents), "step": "preview", **said})
    assert answer.status_code == 200
    return answer.content.decode()


def confirm(client: Client, documents: list[Document], token: str = "", **said: Any) -> Any:
    found = TOKEN.search(preview(client, documents, **said))
    token = token or (found[1] if found else "")
    return client.post(SEVERAL, {"documents": ids(documents), "step": "confirm", "token": token, **said})


def undo(client: Client, made: BulkChange) -> Any:
    found = TOKEN.search(client.get(f"{CHANGES}{made.pk}/").content.decode())
    return client.post(f"{CHANGES}{made.pk}/", {"token": found[1] if found else ""})


def as_stored(documents: list[Document]) -> list[dict[str, Any]]:
    stored = Document.objects.in_bulk([document.pk for document in documents])
    return list(bulk.values_of([stored[document.pk] for document in documents]).values())


@pytest.fixture
def shelf(make: Make, finance: Department) -> list[Document]:
    """Six documents of Finance: three public ones, three for its staff."""
    open_, closed = {"clearance": 1}, {"clearance": 3, "audience": "department"}
    return [make(f"Paper {number}", finance, **(open_ if number < 3 else closed)) for number in range(6)]


@pytest.fixture
def crowd(finance: Department, library: Department) -> None:
    """Besides the librarian: two students, one member of staff of Finance and two of the Library."""
    for name, role, *own in (("s1", Role.STUDENT), ("s2", Role.STUDENT), ("f1", Role.STAFF, finance)):
        person(name, role, *own)
    for name in ("l1", "l2"):
        person(name, Role.STAFF, library)


def test_the_action_leads_to_the_form_and_only_what_is_filled_in_is_changed(
    desk: Client, shelf: list[Document], finance: Department
) -> None:
    chosen = {"action": "change_several", "_selected_action": [str(document.pk) for document in shelf]}
    form = desk.post(LIST, chosen).content.decode()
    assert "6 documents chosen" in form
    assert ids(sorted(shelf, key=lambda one: one.pk)) in form
    before = as_stored(shelf)
    assert confirm(desk, shelf, priority="5").status_code == 302
    assert as_stored(shelf) == [values | {"priority": 5} for values in before]
    assert "Nothing is filled in" in preview(desk, shelf)


def test_afterwards_the_list_is_as_narrowed_down_as_it_was(desk: Client, shelf: list[Document]) -> None:
    narrowed = f"{LIST}?q=Paper"
    chosen = {"action": "change_several", "_selected_action": [str(one.pk) for one in shelf[:2]]}
    assert f'name="came_from" value="{narrowed}"' in desk.post(narrowed, chosen).content.decode()
    assert confirm(desk, shelf[:2], priority="5", came_from=narrowed).url == narrowed
    for elsewhere in ("https://example.org/", "//example.org/", f"{LIST}{shelf[0].pk}/delete/"):
        assert confirm(desk, shelf[:2], priority="4", came_from=elsewhere).url == LIST
        assert confirm(desk, shelf[:2], priority="5", came_from=elsewhere).url == LIST


def test_the_preview_says_who_gains_and_who_loses_and_changes_nothing(
    desk: Client, shelf: list[Document], crowd: None
) -> None:
    before = as_stored(shelf)
    text = preview(desk, shelf, clearance="2", audience="institution")
    assert "6 documents would be changed" in text
    assert "<b>Everybody who is not signed in</b> loses sight" in text
    # The students and the Library's staff come to see the three closed ones; nobody with an account loses any.
    assert "<b>4</b> people gain sight" in text
    assert "people lose sight" not in text
    assert "3 – staff with a department</td><td><b>2 – students and staff</b>" in text
    assert as_stored(shelf) == before
    assert not BulkChange.objects.exists()


def test_a_person_may_gain_sight_of_one_and_lose_another(
    desk: Client, make: Make, finance: Department, library: Department, librarian: User, crowd: None
) -> None:
    librarian.departments.add(library)
    ours = make("Ours", finance, clearance=3, audience="department")
    theirs = make("Theirs", library, clearance=3, audience="department")
    text = preview(desk, [ours, theirs], sharing="set", shared_with=[library.pk], department=str(finance.pk))
    # The Library's two keep theirs, which is shared, and gain ours; Finance's one gains theirs.
    assert "<b>3</b> people gain sight" in text
    text = preview(desk, [theirs], department=str(finance.pk))
    assert "<b>1</b> person gains sight" in text
    assert "<b>2</b> people lose sight" in text


def test_what_was_confirmed_is_done_noted_and_undone(
    desk: Client, shelf: list[Document], librarian: User, finance: Department, library: Department
) -> None:
    campus = Campus.objects.create(name="Main")
    shelf[0].tags.add(Tag.objects.create(name="old"), Tag.objects.create(name="kept"))
    before = as_stored(shelf)
    said = {
        "clearance": "2", "audience": "department", "sharing": "add", "shared_with": [library.pk],
        "campus": str(campus.pk), "add_tags": "fees, kept", "remove_tags": "OLD", "priority": "4",
        "review_by": "2030-05-01", "visible_from": "2026-01-01T10:00",
    }  # fmt: skip
    answer = confirm(desk, shelf, **said)
    assert answer.headers["Location"] == LIST
    after = as_stored(shelf)
    assert after[0] == before[0] | {
        "clearance": 2, "audience": "department", "shared_with": [library.pk], "campus": campus.pk, "priority": 4,
        "tags": ["fees", "kept"], "review_by": "2030-05-01", "visible_from": "2026-01-01T10:00:00+00:00",
    }  # fmt: skip
    # The database has worked out who reads them.
    assert Document.objects.get(pk=shelf[0].pk).readers == [finance.pk, library.pk]
    made = BulkChange.objects.get()
    assert (made.actor, made.changed.count()) == (librarian, 6)
    assert f"{CHANGES}{made.pk}/" in desk.get(LIST).content.decode()
    assert LogEntry.objects.filter(object_id=str(shelf[0].pk)).get().get_change_message().startswith("Changed with")
    notes = AuditEvent.objects.filter(action="document_changed")
    assert notes.count() == 6
    note = notes.get(details__document=str(shelf[0].pk))
    assert (note.actor, note.subject) == (librarian, "Paper 0")
    assert (note.details["before"]["tags"], note.details["after"]["tags"]) == (["kept", "old"], ["fees", "kept"])
    assert (note.details["before"]["shared_with"], note.details["after"]["shared_with"]) == ([], ["Library"])
    assert AuditEvent.objects.filter(action="audience_changed").count() == 6
    assert undo(desk, made).status_code == 302
    assert as_stored(shelf) == before
    made.refresh_from_db()
    assert made.undone_by == librarian
    assert AuditEvent.objects.filter(action="document_changed", details__by__startswith="undoing").count() == 6


def test_another_document_a_later_edit_or_an_old_token_is_shown_again_and_not_done(
    desk: Client, shelf: list[Document]
) -> None:
    token = TOKEN.search(preview(desk, shelf[:3], priority="5"))
    assert token
    for documents, said in ((shelf[:4], {"priority": "5"}), (shelf[:3], {"priority": "4"})):
        again = confirm(desk, documents, token[1], **said)
        assert "Something changed meanwhile" in again.content.decode()
    Document.objects.filter(pk=shelf[0].pk).update(priority=1)
    assert "Something changed meanwhile" in confirm(desk, shelf[:3], token[1], priority="5").content.decode()
    assert set(Document.objects.values_list("priority", flat=True)) == {1, 3}


def test_what_one_may_not_set_is_neither_offered_nor_taken(
    desk: Client, shelf: list[Document], library: Department
) -> None:
    form = desk.post(LIST, {"action": "change_several", "_selected_action": [str(shelf[0].pk)]}).content.decode()
    assert '<option value="3">' in form
    assert '<option value="4">4 – restricted' not in form
    assert f'<option value="{library.pk}">' not in form
    for said in ({"clearance": "4"}, {"department": str(library.pk)}):
        assert "Select a valid choice" in preview(desk, shelf, **said)
    planned = bulk.plan_change(
        bulk.Viewer("staff", 3, frozenset({1}), librarian=True), [shelf[0]], {"clearance": 4, "department": library.pk}
    )
    assert planned.changes == ()


def test_hidden_documents_are_like_unknown_ones(desk: Client, managed: list[Document], hidden: list[Document]) -> None:
    before = as_stored(hidden)
    text = preview(desk, [*managed[:1], *hidden], priority="5")
    assert "1 document would be changed" in text
    assert all(document.title not in text for document in hidden)
    confirm(desk, [*managed[:1], *hidden], priority="5")
    assert as_stored(hidden) == before
    assert BulkChange.objects.get().changed.count() == 1


def test_documents_that_cannot_be_changed_are_left_out_with_the_reason(
    desk: Client, make: Make, managed: list[Document], finance: Department, librarian: User
) -> None:
    mail = make("Mail", finance)
    attached = make("Attached", finance, parent=mail, part="1", is_attachment=True)
    beyond = make("Beyond", finance, clearance=4, owner=librarian)
    closing = make("Closing", finance, visible_until=timezone.now() + timedelta(days=1))
    text = preview(desk, [managed[3], attached, beyond, closing, mail], clearance="2", visible_from="2040-01-01T00:00")
    for reason in (
        "It is archived",
        "It came with a mail",
        "restricted beyond your own rights",
        "end before it begins",
    ):
        assert reason in text
    assert "1 document would be changed" in text
    assert "With them 1 attachment, read by whoever reads the mail that it came with" in text
    # A tag says nothing about who reads it.
    assert "1 document would be changed" in preview(desk, [attached], add_tags="x")


def test_undoing_leaves_what_was_changed_since_and_what_is_not_ones_own(
    desk: Client, admin_desk: Client, shelf: list[Document], library: Department
) -> None:
    confirm(desk, shelf[:3], priority="5", add_tags="a")
    made = BulkChange.objects.get()
    Document.objects.filter(pk=shelf[0].pk).update(priority=2)
    Document.objects.filter(pk=shelf[1].pk).update(department=library)
    text = desk.get(f"{CHANGES}{made.pk}/").content.decode()
    assert "It was changed again since." in text
    assert "Paper 1" not in text
    undo(desk, made)
    assert [values["priority"] for values in as_stored(shelf[:3])] == [2, 5, 3]
    assert [values["tags"] for values in as_stored(shelf[:3])] == [["a"], ["a"], []]


def test_a_changed_document_that_is_hidden_now_is_like_a_deleted_one(
    desk: Client, shelf: list[Document], library: Department
) -> None:
    confirm(desk, shelf[:3], priority="5")
    addresses = CHANGES, f"{CHANGES}{BulkChange.objects.get().pk}/"

    def shown() -> list[str]:
        pages = (desk.get(address).content.decode() for address in addresses)
        return [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page) for page in pages]

    shown()  # and with it what is said once: that it is done
    before = shown()
    Document.objects.filter(pk=shelf[1].pk).update(department=library, audience="department")
    hidden = shown()
    shelf[1].delete()
    assert hidden == shown()
    assert hidden[0] != before[0]
    assert "3 documents" in before[0]
    assert "2 documents" in hidden[0]


def test_changes_are_their_makers_and_the_administrators_and_for_thirty_days(
    desk: Client, admin_desk: Client, shelf: list[Document], finance: Department
) -> None:
    confirm(desk, shelf, priority="5")
    made = BulkChange.objects.get()
    other = signed_in(person("other", Role.STAFF, finance, librarian=True))
    assert other.get(f"{CHANGES}{made.pk}/").status_code == 404
    assert other.post(f"{CHANGES}{made.pk}/").status_code == 404
    assert str(made.pk) not in other.get(CHANGES).content.decode()
    assert "Priority: 5" in desk.get(CHANGES).content.decode()
    assert str(made.pk) in admin_desk.get(CHANGES).content.decode()
    BulkChange.objects.update(made_at=timezone.now() - timedelta(days=31))
    assert "cannot be undone any more" in desk.get(f"{CHANGES}{made.pk}/").content.decode()
    undo(desk, made)
    assert {values["priority"] for values in as_stored(shelf)} == {5}


def test_undoing_keeps_to_the_rights_of_now(desk: Client, shelf: list[Document], librarian: User) -> None:
    confirm(desk, shelf[3:], clearance="2")
    librarian.role = Role.STUDENT
    librarian.save()
    made = BulkChange.objects.get()
    assert "Your own clearance is 2." in signed_in(librarian).get(f"{CHANGES}{made.pk}/").content.decode()
    undo(signed_in(librarian), made)
    assert {values["clearance"] for values in as_stored(shelf[3:])} == {2}


def test_reviewed_today_takes_a_day_that_is_over_away_and_can_be_undone(desk: Client, shelf: list[Document]) -> None:
    today, later = timezone.localdate(), timezone.localdate() + timedelta(days=90)
    Document.objects.filter(pk=shelf[0].pk).update(review_by=today)
    Document.objects.filter(pk=shelf[1].pk).update(review_by=later)
    before = as_stored(shelf)
    desk.post(LIST, {"action": "mark_reviewed", "_selected_action": [str(one.pk) for one in shelf[:2]]})
    first, second = as_stored(shelf[:2])
    assert (first["last_reviewed"], first["review_by"]) == (today.isoformat(), None)
    assert (second["last_reviewed"], second["review_by"]) == (today.isoformat(), later.isoformat())
    undo(desk, BulkChange.objects.get())
    assert as_stored(shelf) == before
    assert desk.get(f"{LIST}{shelf[2].pk}/reviewed/").status_code == 405
    desk.post(f"{LIST}{shelf[2].pk}/reviewed/")
    assert as_stored(shelf[2:3])[0]["last_reviewed"] == today.isoformat()
    assert "review due" not in desk.get(change(shelf[2])).content.decode()


def test_more_than_can_be_done_at_once_are_refused(
    desk: Client, shelf: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "MOST_AT_ONCE", 5)
    chosen = {"action": "change_several", "_selected_action": [str(shelf[0].pk)], "select_across": "1"}
    answer = desk.post(LIST, chosen, follow=True)
    assert "These are 6 documents. Up to 5 can be done at once; choose fewer." in answer.content.decode()
    answer = desk.post(SEVERAL, {"documents": ids(shelf), "step": "confirm", "priority": "5"}, follow=True)
    assert "Up to 5 can be done at once" in answer.content.decode()


def test_six_documents_cost_as_many_statements_as_two(desk: Client, shelf: list[Document]) -> None:
    def statements(documents: list[Document], **said: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            confirm(desk, documents, **said)
        return len(asked.captured_queries)

    # Two kinds of documents either time.
    few = statements([shelf[0], shelf[3]], clearance="2", add_tags="c", priority="4")
    Document.objects.filter(pk=shelf[0].pk).update(clearance=1)
    Document.objects.filter(pk=shelf[3].pk).update(clearance=3)
    assert statements(shelf, clearance="2", add_tags="b", priority="2") <= few
