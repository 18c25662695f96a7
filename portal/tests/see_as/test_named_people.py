"""Looking as a named person, and that it ends by itself with what it stood on."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from accounts.clearance import ANONYMOUS_ROLE, LIBRARIANS, Role
from accounts.models import AuditEvent, Department, User
from accounts.seeing import SEEING
from ingestion.models import Document
from portal.tests.conftest import MakePerson
from portal.tests.see_as.conftest import opens, prove, see_as, see_as_person, signed_in
from search.models import Feedback, SearchEvent

pytestmark = pytest.mark.django_db


def test_an_administrator_looks_as_a_named_person_and_leaves_nothing_of_theirs_touched(
    admin: User, person: MakePerson, law: Department, corpus: dict[str, Document]
) -> None:
    client, ada = signed_in(admin), person("academic", departments=(law,), first_name="Ada", last_name="Lovelace")
    assert see_as_person(client, ada).status_code == 302
    assert f"as Ada Lovelace ({ada.username})." in client.get("/").content.decode()
    assert {name for name, one in corpus.items() if opens(client, one)} == {
        "public", "members", "staff", "restricted", "law", "both",
    }  # fmt: skip
    client.get("/search/?q=public&mode=keyword")
    assert not SearchEvent.objects.filter(user=ada).exists()
    assert not Feedback.objects.exists()
    assert not AuditEvent.objects.filter(actor=ada).exists()
    ada.refresh_from_db()
    assert ada.last_login is None


def test_a_named_person_is_for_administrators_who_have_just_proved_who_they_are(
    admin: User, librarian: User, person: MakePerson
) -> None:
    student = person("student")
    assert signed_in(librarian).get("/see-as/person/").status_code == 403
    assert see_as_person(signed_in(librarian), student).status_code == 403
    client = signed_in(admin)
    session = client.session
    session["proven_at"] = 0
    session.save()
    assert "/accounts/" in client.get("/see-as/person/")["Location"]
    assert "/accounts/" in client.post("/see-as/person/", {"person": student.pk})["Location"]
    assert SEEING not in client.session
    prove(client)
    assert client.get("/see-as/person/").status_code == 200


@pytest.mark.parametrize("person_id", ["", "0", "x", "99999999", "-1", "1" * 40])
def test_nobody_can_be_looked_as_who_does_not_exist(admin: User, person_id: str) -> None:
    client = signed_in(admin)
    prove(client)
    assert client.post("/see-as/person/", {"person": person_id}).status_code == 404


def test_people_are_found_by_name_and_closed_accounts_are_not(admin: User, person: MakePerson) -> None:
    person("student", first_name="Ada", last_name="Lovelace")
    person("student", first_name="Ada", last_name="Closed", is_active=False)
    client = signed_in(admin)
    prove(client)
    text = client.get("/see-as/person/?name=ada%20love").content.decode()
    assert "Ada Lovelace" in text
    assert "Ada Closed" not in client.get("/see-as/person/?name=ada").content.decode()
    assert "Nobody of this name" in client.get("/see-as/person/?name=%00zzz").content.decode()


def test_a_changed_role_of_the_named_person_counts_at_the_next_request(
    admin: User, person: MakePerson, law: Department, corpus: dict[str, Document]
) -> None:
    client, ada = signed_in(admin), person("academic", departments=(law,))
    see_as_person(client, ada)
    assert opens(client, corpus["restricted"])
    User.objects.filter(pk=ada.pk).update(role=Role.STUDENT)
    assert not opens(client, corpus["restricted"])
    assert opens(client, corpus["law"])
    ada.departments.clear()
    assert not opens(client, corpus["law"])


@pytest.mark.parametrize("fate", ["disabled", "deleted"])
def test_it_ends_when_the_named_person_is_gone(admin: User, person: MakePerson, fate: str) -> None:
    client, ada = signed_in(admin), person("student")
    see_as_person(client, ada)
    if fate == "disabled":
        User.objects.filter(pk=ada.pk).update(is_active=False)
    else:
        ada.delete()
    text = client.get("/").content.decode()
    assert "That account is closed. You see Cloister as yourself again." in text
    assert SEEING not in client.session
    assert AuditEvent.objects.get(action="see_as_ended").details["reason"] == "the person is gone"


def test_it_ends_when_the_person_does_not_curate_any_more(librarian: User, corpus: dict[str, Document]) -> None:
    client = signed_in(librarian)
    see_as(client, ANONYMOUS_ROLE)
    librarian.groups.clear()
    assert "You may not do that any more." in client.get("/").content.decode()
    assert SEEING not in client.session


def test_an_administrator_who_is_one_no_longer_does_not_stay_somebody_else(
    admin: User, person: MakePerson, law: Department, corpus: dict[str, Document]
) -> None:
    client, ada = signed_in(admin), person("academic", departments=(law,))
    see_as_person(client, ada)
    admin.groups.add(Group.objects.get(name=LIBRARIANS))
    assert opens(client, corpus["members"])
    User.objects.filter(pk=admin.pk).update(role=Role.STUDENT)
    assert not opens(client, corpus["restricted"])
    assert SEEING not in client.session
    assert AuditEvent.objects.get(action="see_as_ended").details["reason"] == "no longer allowed"


def test_it_ends_by_itself_after_half_an_hour(librarian: User, corpus: dict[str, Document]) -> None:
    client = signed_in(librarian)
    see_as(client, ANONYMOUS_ROLE)
    session = client.session
    session[SEEING] = session[SEEING] | {"since": session[SEEING]["since"] - 30 * 60 - 5}
    session.save()
    # What was meant as somebody who only looks is not done as oneself.
    answer = client.delete(f"/api/v1/documents/{corpus['finance'].pk}/")
    assert answer.status_code == 403
    assert SEEING not in client.session
    assert AuditEvent.objects.get(action="see_as_ended").details["reason"] == "expired"
    assert opens(client, corpus["finance"])
