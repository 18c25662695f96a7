"""Before a change lets more or fewer people see a document, the desk says how many, and the trail keeps it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.clearance import Role
from accounts.models import AuditEvent, Department, User
from ingestion.models import Chunk, Document, Status
from ingestion.tests.admin.conftest import (
    LIST,
    Make,
    asks,
    change,
    metadata,
    person,
    post_confirmed,
    press,
    signed_in,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(finance: Department, library: Department) -> None:
    """Three students, two staff of Finance and one of the Library, an academic of Finance; the librarian is a third."""
    for number in range(3):
        person(f"student{number}", Role.STUDENT)
    for number in range(2):
        person(f"accountant{number}", Role.STAFF, finance)
    person("keeper", Role.STAFF, library)
    person("professor", Role.ACADEMIC, finance)


@pytest.fixture
def minutes(make: Make, finance: Department) -> Document:
    """For staff of Finance."""
    return make("Minutes", finance, clearance=3, audience="department")


def the_trail() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="audience_changed").order_by("pk"))


def stored(document: Document) -> Document:
    return Document.objects.get(pk=document.pk)


def test_a_widening_is_asked_about_with_numbers_and_nothing_is_written_before(
    desk: Client, people: None, minutes: Document
) -> None:
    answer = desk.post(change(minutes), metadata(minutes, clearance=2, audience="institution", title="Renamed"))
    assert asks(answer)
    (effect,) = answer.context["change"].effects
    # Seen by three of the staff and the professor; all eight then, and everybody has an account.
    assert (effect.before, effect.after, effect.gained, effect.lost) == (4, 8, 4, 0)
    assert {one.role: (one.before, one.after) for one in effect.roles} == {
        "student": (0, 3),
        "staff": (3, 4),
        "academic": (1, 1),
    }
    page = answer.content.decode()
    assert "<b>4</b> people gain sight of it" in page
    assert "Clearance: 3 – staff with a department → <b>2 – students and staff</b>" in page
    assert "Audience: Finance → <b>the whole institution</b>" in page
    assert "Yes, change it" in page
    assert (stored(minutes).clearance, stored(minutes).title) == (3, "Minutes")
    assert not the_trail()


def test_yes_saves_all_that_was_typed_and_notes_it(
    desk: Client, people: None, minutes: Document, library: Department, librarian: User
) -> None:
    typed = metadata(
        minutes, clearance=2, title="A “better” <title>", tags="lamps, oil", shared_with=[library.pk], priority=5
    )
    answer = desk.post(change(minutes), typed)
    answer = press(desk, change(minutes), answer)
    assert answer.status_code == 302
    saved = stored(minutes)
    assert (saved.clearance, saved.title, saved.priority) == (2, "A “better” <title>", 5)
    assert [tag.name for tag in saved.tags.all()] == ["lamps", "oil"]
    assert list(saved.shared_with.all()) == [library]
    (noted,) = the_trail()
    assert (noted.actor, noted.subject) == (librarian, "A “better” <title>")
    assert noted.details["document"] == str(minutes.pk)
    assert (noted.details["before"]["clearance"], noted.details["after"]["clearance"]) == (3, 2)
    assert noted.details["before"]["readers"] == ["Finance"]
    assert noted.details["after"]["readers"] == ["Finance", "Library"]
    assert (noted.details["effects"][0]["gained"], noted.details["effects"][0]["lost"]) == (1, 0)


def test_back_to_the_form_keeps_all_that_was_typed_and_saves_nothing(
    desk: Client, people: None, minutes: Document, library: Department
) -> None:
    typed = metadata(minutes, clearance=2, title="Typed", tags="lamps", shared_with=[library.pk])
    answer = press(desk, change(minutes), desk.post(change(minutes), typed), "back")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert not asks(answer)
    assert 'value="Typed"' in text
    assert 'value="lamps"' in text
    form = answer.context["adminform"].form
    assert (form["clearance"].value(), form["shared_with"].value()) == ("2", [str(library.pk)])
    assert "Nothing is saved yet" in text
    assert stored(minutes).title == "Minutes"
    # What the panel says is what holds, not what was typed.
    assert "staff and academics of Finance." in text


def test_the_question_keeps_which_button_was_pressed(desk: Client, people: None, minutes: Document) -> None:
    typed = metadata(minutes, audience="institution", _continue="Save and continue editing")
    answer = press(desk, change(minutes), desk.post(change(minutes), typed))
    assert answer["Location"] == change(minutes)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other"},
        {"priority": 5},
        {"visible_from": "2020-01-01T10:00"},
        # Whom a department's document is shared with does not matter to one for the institution.
        {"audience": "institution", "clearance": 1},
    ],
)
def test_what_changes_nothing_for_anybody_is_not_asked_about(
    desk: Client, people: None, make: Make, finance: Department, library: Department, changes: dict[str, Any]
) -> None:
    document = make("Guide", finance)
    answer = desk.post(change(document), metadata(document, shared_with=[library.pk], **changes))
    assert answer.status_code == 302


def test_nobody_is_asked_where_nobody_else_is_there(desk: Client, make: Make, finance: Department) -> None:
    """The librarian alone sees it before and after."""
    document = make("Notes", finance, clearance=2, audience="department")
    assert desk.post(change(document), metadata(document, clearance=3)).status_code == 302


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"clearance": 4, "audience": "department"}, (8, 1, 7)),
        ({"audience": "department"}, (8, 4, 4)),
        ({"visible_until": "2020-01-01T10:00"}, (8, 0, 8)),
        ({"visible_from": "2098-01-01T10:00"}, (8, 0, 8)),
        ({"clearance": 3}, (8, 5, 3)),
    ],
)
def test_a_narrowing_is_asked_about(
    people: None, make: Make, finance: Department, changes: dict[str, Any], numbers: tuple[int, int, int]
) -> None:
    boss = signed_in(person("boss", Role.ACADEMIC, finance, librarian=True))
    User.objects.filter(username="professor").delete()
    User.objects.create_user("aide", role=Role.STAFF).departments.add(finance)
    document = make("Guide", finance)
    answer = boss.post(change(document), metadata(document, **changes))
    assert asks(answer)
    effect = answer.context["change"].effects[0]
    assert (effect.before, effect.after, effect.lost) == numbers
    assert "Everybody who is not signed in</b> loses sight" in answer.content.decode()


def test_a_change_that_only_a_coming_date_brings_about_is_asked_about_too(
    desk: Client, people: None, make: Make, finance: Department
) -> None:
    in_a_year = timezone.now() + timedelta(days=365)
    document = make("Embargoed", finance, clearance=2, visible_from=in_a_year)
    answer = desk.post(
        change(document), metadata(document, visible_from=f"{timezone.now() + timedelta(days=7):%Y-%m-%dT%H:%M}")
    )
    assert asks(answer)
    assert [effect.moment is None for effect in answer.context["change"].effects] == [False]


def test_a_document_that_is_still_being_read_is_asked_about_as_if_it_were_there(
    desk: Client, people: None, make: Make, finance: Department
) -> None:
    document = make("New", finance, clearance=3, audience="department", status="queued", is_searchable=False)
    answer = desk.post(change(document), metadata(document, clearance=1, audience="institution"))
    assert asks(answer)
    assert "once the file has been read" in answer.content.decode()


def test_an_answer_to_another_question_counts_for_nothing(desk: Client, people: None, minutes: Document) -> None:
    answer = desk.post(change(minutes), metadata(minutes, audience="institution", clearance=2))
    token = answer.context["change"].token
    # Something else is asked for with it, then the document has changed since.
    assert asks(desk.post(change(minutes), metadata(minutes, audience="institution", clearance=1, _confirmed=token)))
    Document.objects.filter(pk=minutes.pk).update(audience="institution")
    assert asks(desk.post(change(minutes), metadata(minutes, audience="institution", clearance=2, _confirmed=token)))
    assert stored(minutes).clearance == 3


def test_a_question_is_not_asked_about_a_form_that_is_wrong(desk: Client, people: None, minutes: Document) -> None:
    answer = desk.post(change(minutes), metadata(minutes, clearance=1, priority=9))
    assert not asks(answer)
    assert list(answer.context["adminform"].form.errors) == ["priority"]


@pytest.mark.parametrize("act", ["archive", "restore"])
def test_archiving_and_restoring_are_asked_about(
    desk: Client, people: None, minutes: Document, librarian: User, act: str
) -> None:
    Chunk.objects.create(document=minutes, position=0, text="Said.", page_number=1, lexemes="", content_hash=b"0" * 32)
    if act == "restore":
        post_confirmed(desk, f"{LIST}{minutes.pk}/archive/")
    before = len(the_trail())
    answer = desk.post(f"{LIST}{minutes.pk}/{act}/")
    assert asks(answer)
    (effect,) = answer.context["change"].effects
    assert (effect.gained, effect.lost) == ((0, 4) if act == "archive" else (4, 0))
    assert stored(minutes).is_searchable == (act == "archive")
    press(desk, f"{LIST}{minutes.pk}/{act}/", answer)
    assert stored(minutes).is_searchable == (act == "restore")
    (noted,) = the_trail()[before:]
    assert (noted.actor, noted.details["effects"][0]["lost"]) == (librarian, 4 if act == "archive" else 0)
    assert noted.details["before"]["searchable"] == (act == "archive")


def test_several_are_archived_after_one_question(desk: Client, people: None, managed: list[Document]) -> None:
    chosen = [str(document.pk) for document in managed]
    answer = desk.post(LIST, {"action": "archive", "_selected_action": chosen, "index": 0, "select_across": 0})
    assert asks(answer)
    change_of = answer.context["change"]
    # The failed one and the archived one are seen by nobody.
    assert (change_of.documents, change_of.effects[0].lost) == (3, 8)
    assert not Document.objects.filter(status=Status.ARCHIVED).exclude(pk=managed[3].pk).exists()
    press(desk, LIST, answer)
    assert Document.objects.filter(status=Status.ARCHIVED).count() == len(managed)
    assert len(the_trail()) == 3


def test_an_answer_about_other_documents_counts_for_nothing(
    desk: Client, people: None, managed: list[Document]
) -> None:
    one, other = managed[:2]
    answer = desk.post(LIST, {"action": "archive", "_selected_action": [str(one.pk)]})
    token = answer.context["change"].token
    both = {"action": "archive", "_selected_action": [str(one.pk), str(other.pk)], "_confirmed": token}
    assert asks(desk.post(LIST, both))
    assert stored(one).status == Status.READY


def test_changes_by_machine_are_noted_as_well(desk: Client, people: None, minutes: Document, librarian: User) -> None:
    address = f"/api/v1/documents/{minutes.pk}/"
    assert desk.patch(address, {"clearance": 2}, content_type="application/json").status_code == 200
    assert desk.patch(address, {"priority": 5}, content_type="application/json").status_code == 200
    assert desk.delete(address).status_code == 204
    changed, archived = the_trail()
    assert (changed.actor, changed.details["after"]["clearance"]) == (librarian, 2)
    assert archived.details["after"]["searchable"] is False
    assert archived.details["effects"][0]["lost"] == 4


def test_what_is_not_written_is_not_noted(
    desk: Client, people: None, minutes: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(document: Document) -> None:
        raise RuntimeError("the queue is on fire")

    monkeypatch.setattr("ingestion.pipeline.metadata_changed", broken)
    with pytest.raises(RuntimeError):
        desk.patch(f"/api/v1/documents/{minutes.pk}/", {"clearance": 2}, content_type="application/json")
    with pytest.raises(RuntimeError):
        post_confirmed(desk, change(minutes), metadata(minutes, clearance=2))
    assert stored(minutes).clearance == 3
    assert not the_trail()


def test_a_deletion_is_noted_and_needs_a_fresh_proof(admin_desk: Client, people: None, minutes: Document) -> None:
    fresh = admin_desk.session["proven_at"]
    session = admin_desk.session
    session["proven_at"] = 0
    session.save()
    for answer in (
        admin_desk.get(f"{LIST}{minutes.pk}/delete/"),
        admin_desk.post(f"{LIST}{minutes.pk}/delete/", {"post": "yes"}),
        admin_desk.post(LIST, {"action": "delete_selected", "_selected_action": [str(minutes.pk)], "post": "yes"}),
    ):
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/confirm/")
    assert stored(minutes)
    session["proven_at"] = fresh
    session.save()
    admin_desk.post(f"{LIST}{minutes.pk}/delete/", {"post": "yes"})
    assert not Document.objects.exists()
    (noted,) = the_trail()
    assert (noted.subject, noted.details["after"]) == ("Minutes", "deleted")


def test_a_documents_page_says_who_sees_it_and_why(
    desk: Client, people: None, minutes: Document, library: Department
) -> None:
    minutes.shared_with.add(library)
    Document.objects.filter(pk=minutes.pk).update(visible_until=timezone.now() + timedelta(days=30))
    for address in (change(minutes), f"{LIST}{minutes.pk}/readers/"):
        text = text_of(desk, address)
        assert "Read by staff and academics of Finance or Library." in text
        assert "Clearance 3: staff and academics with a department" in text
        assert "Audience: Finance, shared with Library" in text
        assert "Hidden from " in text
        assert "<b>5</b> people with an account: 4 staff, 1 academic." in text
        assert "Can a certain person see it?" not in text
    assert '<th scope="row">Finance</th><td>4</td>' in text_of(desk, f"{LIST}{minutes.pk}/readers/")
    curators_page = desk.get(f"/documents/{minutes.pk}/").content.decode()
    assert "(4 staff, 1 academic)" in curators_page
    reader = signed_in(User.objects.get(username="keeper")).get(f"/documents/{minutes.pk}/").content.decode()
    assert "4 staff" not in reader


def test_the_page_of_readers_is_for_those_who_manage_the_document(
    desk: Client, hidden: list[Document], admin_desk: Client
) -> None:
    for document in hidden:
        assert desk.get(f"{LIST}{document.pk}/readers/")["Location"] == "/admin/"
        assert admin_desk.get(f"{LIST}{document.pk}/readers/").status_code == 200


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("accountant0", "Yes, accountant0 sees it", "It is for Finance; accountant0 belongs to Finance."),
        ("keeper", "No, keeper does not see it", "It is for Finance; keeper belongs to Library."),
        ("student0", "No, student0 does not see it", "Its clearance is 3; student0 is student, which reaches 2."),
        ("student", "Whom do you mean by “student”?", "student2"),
        ("zorro", "There is nobody called “zorro”", ""),
        ("<b>", "There is nobody called “&lt;b&gt;”", ""),
    ],
)
def test_an_administrator_asks_whether_a_person_sees_it(
    admin_desk: Client, people: None, minutes: Document, name: str, answer: str, reason: str
) -> None:
    page = admin_desk.get(f"{LIST}{minutes.pk}/readers/", {"name": name}).content.decode()
    assert answer in page
    assert reason in page


def test_a_librarian_learns_nothing_about_a_person(desk: Client, people: None, minutes: Document) -> None:
    page = desk.get(f"{LIST}{minutes.pk}/readers/", {"name": "keeper"}).content.decode()
    assert "does not see it" not in page
