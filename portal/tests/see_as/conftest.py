"""Who looks as whom, and the documents by which their views differ."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.clearance import LIBRARIANS
from accounts.models import Department, User
from accounts.reauthentication import remember_proof
from ingestion.models import Document
from portal.tests.conftest import MakeDocument, MakePerson


@pytest.fixture
def law() -> Department:
    return Department.objects.create(name="Law")


@pytest.fixture
def librarian(person: MakePerson, finance: Department) -> User:
    """A librarian of Finance, staff."""
    made = person("staff", departments=(finance,))
    made.groups.add(Group.objects.get(name=LIBRARIANS))
    return made


@pytest.fixture
def admin(person: MakePerson) -> User:
    return person("admin")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def prove(client: Client) -> None:
    """As if the person had just typed their password again."""
    session = client.session

    class Request:
        pass

    request: Any = Request()
    request.session = session
    remember_proof(request)
    session.save()


def see_as(client: Client, role: str, *departments: Department) -> None:
    answer = client.post("/see-as/", {"role": role, "departments": [one.pk for one in departments]})
    assert answer.status_code == 302, answer.content.decode()


def see_as_person(client: Client, person: User) -> Any:
    prove(client)
    return client.post("/see-as/person/", {"person": person.pk})


def opens(client: Client, document: Document) -> bool:
    """Whether its page opens; the API must say the same."""
    status = client.get(f"/documents/{document.pk}/").status_code
    assert client.get(f"/api/v1/documents/{document.pk}/").status_code == status
    return status == 200


def listed(client: Client) -> set[str]:
    return {one["title"] for one in client.get("/api/v1/documents/").json()["results"]}


@pytest.fixture
def corpus(document: MakeDocument, finance: Department, law: Department) -> dict[str, Document]:
    """A document for each way in which the two may differ."""
    return {
        "public": document("public", department=law),
        "members": document("members", department=law, clearance=2),
        "staff": document("staff", department=law, clearance=3),
        "restricted": document("restricted", department=law, clearance=4),
        "finance": document("finance", department=finance, clearance=2, audience="department"),
        "law": document("law", department=law, clearance=2, audience="department"),
        "both": document("both", department=finance, clearance=3, audience="department", shared_with=(law,)),
        "archived": document("archived", department=finance, status="archived", is_searchable=False),
    }
