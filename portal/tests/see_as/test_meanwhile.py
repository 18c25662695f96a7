"""Looking as somebody else: nothing can be written meanwhile, it is noted, and it always ends on request."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.clearance import CURATORS, Role
from accounts.models import AuditEvent, Department, User
from accounts.seeing import SEEING
from ingestion.models import Document
from portal.tests.conftest import MakePerson
from portal.tests.see_as.conftest import listed, see_as, signed_in
from search.models import SearchEvent

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/see-as/"),
        ("post", "/see-as/person/"),
        ("post", "/accounts/login/"),
        ("post", "/admin/ingestion/document/upload/"),
        ("post", "/api/v1/feedback/"),
        ("post", "/api/v1/search/"),
        ("post", "/api/v1/documents/"),
        ("patch", "/api/v1/documents/00000000-0000-4000-8000-000000000000/"),
        ("delete", "/api/v1/documents/00000000-0000-4000-8000-000000000000/"),
        ("put", "/"),
    ],
)
def test_nothing_can_be_written_meanwhile(librarian: User, method: str, path: str) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    before = AuditEvent.objects.count(), SearchEvent.objects.count()
    answer = getattr(client, method)(path, data="{}", content_type="application/json")
    assert answer.status_code == 403
    if path.startswith("/api/"):
        problem = json.loads(answer.content)
        assert (problem["required"], problem["current"]) == ("yourself", "student without a department")
        assert answer["Content-Type"] == "application/problem+json"
    else:
        assert "Be yourself again" in answer.content.decode()
    assert (AuditEvent.objects.count(), SearchEvent.objects.count()) == before


def test_no_header_makes_a_writing_request_of_the_session_pass(librarian: User, corpus: dict[str, Document]) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    address = f"/api/v1/documents/{corpus['finance'].pk}/"
    for header in ("Basic bm9ib2R5Om5vYm9keQ==", "Bearer nonsense", "Nonsense"):
        answer = client.delete(address, headers={"Authorization": header})
        assert answer.status_code == 403
    corpus["finance"].refresh_from_db()
    assert corpus["finance"].status == "ready"


def test_a_token_is_its_own_person_whatever_a_session_does(librarian: User, corpus: dict[str, Document]) -> None:
    see_as(signed_in(librarian), Role.STUDENT)
    token = Client().post(
        "/api/v1/token/",
        {"username": librarian.username, "password": "correct-horse-battery"},
        content_type="application/json",
    )
    machine = Client(headers={"Authorization": f"Bearer {token.json()['access']}"})
    assert "finance" in listed(machine)


@pytest.mark.parametrize("path", ["/admin/", "/admin/ingestion/document/", "/admin/accounts/user/"])
def test_the_library_desk_is_closed_meanwhile_and_says_so(admin: User, path: str) -> None:
    client = signed_in(admin)
    see_as(client, Role.STUDENT)
    answer = client.get(path, follow=True)
    assert answer.redirect_chain[-1][0] == "/see-as/"
    assert "The library desk is closed meanwhile" in answer.content.decode()
    client.post("/see-as/end/")
    assert client.get("/admin/").status_code == 200


def test_ending_and_signing_out_always_work(librarian: User) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    assert client.post("/see-as/end/", {"next": "/search/?q=public"})["Location"] == "/search/?q=public"
    assert SEEING not in client.session
    see_as(client, Role.STUDENT)
    assert client.post("/accounts/logout/").status_code == 302
    client.force_login(librarian)
    assert SEEING not in client.session
    reasons = AuditEvent.objects.filter(action="see_as_ended").order_by("pk").values_list("details__reason", flat=True)
    assert list(reasons) == ["ended", "signed out"]


def test_opening_the_address_that_ends_it_leads_to_the_page_that_says_how(librarian: User) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    assert client.get("/see-as/end/")["Location"] == "/see-as/"
    assert SEEING in client.session


def test_a_link_leads_nowhere_else_afterwards(librarian: User) -> None:
    client = signed_in(librarian)
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert client.post("/see-as/end/", {"next": elsewhere})["Location"] == "/search/"


def test_beginning_and_ending_need_the_forms_own_secret(librarian: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(librarian)
    assert client.post("/see-as/", {"role": Role.STUDENT}).status_code == 403
    assert SEEING not in client.session


def test_searches_are_noted_under_the_real_person_with_whom_they_looked_as(
    librarian: User, person: MakePerson, finance: Department, corpus: dict[str, Document]
) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STAFF, finance)
    client.get("/search/?q=public&mode=keyword")
    event = SearchEvent.objects.get()
    assert (event.user, event.seen_as) == (librarian, "staff of Finance")


def test_documents_that_are_opened_or_downloaded_are_noted(librarian: User, corpus: dict[str, Document]) -> None:
    document = corpus["members"]
    document.file.save("original", ContentFile(b"text"))
    client = signed_in(librarian)
    client.get(f"/documents/{document.pk}/")
    see_as(client, Role.STUDENT)
    client.get(f"/documents/{document.pk}/")
    client.get(f"/documents/{document.pk}/file")
    client.get(f"/api/v1/documents/{document.pk}/chunks/")
    client.get(f"/documents/{corpus['restricted'].pk}/")
    noted = AuditEvent.objects.filter(action="document_seen_as")
    assert (
        list(noted.values_list("actor", "seen_as", "subject"))
        == [(librarian.pk, "student without a department", str(document.pk))] * 3
    )


def test_beginning_and_ending_are_noted(librarian: User, finance: Department) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STAFF, finance)
    client.post("/see-as/end/")
    noted = AuditEvent.objects.order_by("pk").values_list("actor_name", "action", "subject")
    name = librarian.username
    assert [one for one in noted if one[1].startswith("see_as")] == [
        (name, "see_as_started", "staff of Finance"),
        (name, "see_as_ended", "staff of Finance"),
    ]


def test_the_page_is_for_curators(person: MakePerson, finance: Department) -> None:
    assert signed_in(person("student")).get("/see-as/").status_code == 403
    assert signed_in(person("academic", departments=(finance,))).post("/see-as/", {"role": "staff"}).status_code == 403
    assert Client().get("/see-as/")["Location"] == "/accounts/login/?next=/see-as/"
    curator = person("staff", departments=(finance,))
    curator.groups.add(Group.objects.get(name=CURATORS))
    assert signed_in(curator).get("/see-as/").status_code == 200


@pytest.mark.parametrize("role", ["admin", "root", ""])
def test_nobody_looks_as_a_role_that_is_not_offered(librarian: User, role: str) -> None:
    client = signed_in(librarian)
    assert client.post("/see-as/", {"role": role}).status_code == 200
    assert SEEING not in client.session


def test_requests_without_a_session_are_not_touched(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert "Vary" not in Client().get("/health/live")
