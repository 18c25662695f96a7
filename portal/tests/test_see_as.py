"""Looking as somebody else: what is shown is what both may see, at every door, and nothing can be written."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.clearance import ANONYMOUS_ROLE, CURATORS, LIBRARIANS, ROLE_CLEARANCE, Role, Viewer
from accounts.models import AuditEvent, Department, User
from accounts.reauthentication import remember_proof
from accounts.seeing import SEEING, lowered, narrows
from ingestion.models import Document
from portal.tests.conftest import MakeDocument, MakePerson
from search.models import Feedback, SearchEvent

pytestmark = pytest.mark.django_db


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


WHAT_IS_SHOWN = [
    # a librarian of Finance, who is staff, looks as ...
    (ANONYMOUS_ROLE, (), {"public"}),
    (Role.STUDENT, (), {"public", "members"}),
    (Role.STUDENT, ("finance",), {"public", "members", "finance"}),
    (Role.STUDENT, ("law",), {"public", "members"}),
    (Role.STAFF, (), {"public", "members"}),
    (Role.STAFF, ("finance",), {"public", "members", "staff", "finance", "both"}),
    (Role.STAFF, ("law",), {"public", "members", "staff", "both"}),
    (Role.ACADEMIC, ("law",), {"public", "members", "staff", "both"}),
    (Role.ACADEMIC, ("law", "finance"), {"public", "members", "staff", "finance", "both"}),
]


@pytest.mark.parametrize(("role", "names", "shown"), WHAT_IS_SHOWN)
def test_a_librarian_sees_what_they_and_the_other_may_both_see(
    librarian: User,
    corpus: dict[str, Document],
    finance: Department,
    law: Department,
    role: str,
    names: tuple[str, ...],
    shown: set[str],
) -> None:
    client = signed_in(librarian)
    see_as(client, role, *({"finance": finance, "law": law}[name] for name in names))
    assert {name for name, one in corpus.items() if opens(client, one)} == shown
    assert listed(client) == shown


@pytest.mark.parametrize(
    ("role", "names", "shown"),
    [
        (ANONYMOUS_ROLE, (), {"public"}),
        (Role.STAFF, ("law",), {"public", "members", "staff", "law", "both"}),
        (Role.ACADEMIC, ("law",), {"public", "members", "staff", "restricted", "law", "both"}),
        (Role.ACADEMIC, (), {"public", "members"}),
    ],
)
def test_an_administrator_sees_all_that_the_other_sees(
    admin: User,
    corpus: dict[str, Document],
    finance: Department,
    law: Department,
    role: str,
    names: tuple[str, ...],
    shown: set[str],
) -> None:
    client = signed_in(admin)
    see_as(client, role, *({"finance": finance, "law": law}[name] for name in names))
    assert {name for name, one in corpus.items() if opens(client, one)} == shown
    assert listed(client) == shown


departments = st.frozensets(st.integers(1, 3))
viewers = st.builds(
    lambda role, some: Viewer(role, ROLE_CLEARANCE[role], some, every_department=role == Role.ADMIN),
    st.sampled_from([ANONYMOUS_ROLE, *Role.values]),
    departments,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=viewers, other=viewers)
def test_the_lowered_viewer_sees_the_documents_that_both_see(own: Viewer, other: Viewer, every_paper: None) -> None:
    ids = [set(Document.objects.visible_to(viewer).values_list("pk", flat=True)) for viewer in (own, other)]
    both = lowered(own, other, "somebody")
    assert set(Document.objects.visible_to(both).values_list("pk", flat=True)) == ids[0] & ids[1]
    assert not Document.objects.manageable_by(both).exists()
    if not narrows(own, other):
        assert ids[1] <= ids[0]


@pytest.fixture
def every_paper(document: MakeDocument) -> None:
    """Documents of every clearance for the institution and for each set of departments 1 to 3."""
    places = [Department.objects.create(pk=number, name=f"Place {number}") for number in (1, 2, 3)]
    for clearance in (1, 2, 3, 4):
        document(f"all {clearance}", department=places[0], clearance=clearance)
        for owner, *others in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
            document(
                f"{owner}{others} {clearance}",
                department=places[owner],
                shared_with=tuple(places[one] for one in others),
                clearance=clearance,
                audience="department",
            )


def test_the_banner_says_as_whom_and_whether_something_is_left_out(
    librarian: User, finance: Department, law: Department
) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STAFF, finance)
    text = client.get("/").content.decode()
    assert "You are looking at Cloister as staff of Finance." in text
    assert "Read only." in text
    assert "beyond your own rights" not in text
    client.post("/see-as/end/")
    see_as(client, Role.ACADEMIC, finance, law)
    text = client.get("/").content.decode()
    assert "as academic of Finance and Law." in text
    assert "Documents beyond your own rights are left out." in text


def test_the_banner_says_when_the_other_sees_nothing_at_all(librarian: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.PUBLIC_SEARCH", False)
    client = signed_in(librarian)
    see_as(client, ANONYMOUS_ROLE)
    assert "nothing is shown to them" in client.get("/", follow=True).content.decode()
    assert client.get("/api/v1/documents/").json()["results"] == []


@pytest.mark.parametrize("path", ["/", "/search/?q=public", "/no/such/page", "/accounts/login/"])
def test_every_page_has_the_banner(librarian: User, path: str) -> None:
    client = signed_in(librarian)
    assert "You are looking" not in client.get(path).content.decode()
    see_as(client, Role.STUDENT)
    assert "You are looking at Cloister as student" in client.get(path).content.decode()


def test_a_department_name_cannot_break_the_banner(librarian: User) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT, Department.objects.create(name="<script>alert(1)</script>"))
    text = client.get("/").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


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


def test_part_of_a_page_that_was_made_for_another_makes_the_whole_page_anew(librarian: User) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    page = client.get("/").content.decode()
    mark = str(client.session[SEEING]["since"])
    assert f'hx-headers=\'{{"X-Seeing-As": "{mark}"}}\'' in page
    part = {"HX-Request": "true", "X-Seeing-As": mark}
    assert "HX-Redirect" not in client.get("/search/?q=&x=1", headers=part)
    client.post("/see-as/end/")
    assert client.get("/search/?q=&x=1", headers=part)["HX-Redirect"] == "/search/?q=&x=1"
    assert "HX-Redirect" not in client.get("/search/?q=", headers={"HX-Request": "true"})


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


def test_a_page_that_is_hidden_answers_like_one_that_does_not_exist_meanwhile(
    librarian: User, corpus: dict[str, Document]
) -> None:
    client = signed_in(librarian)
    see_as(client, Role.STUDENT)
    bodies = [
        client.get(f"/documents/{pk}/").content.replace(str(pk).encode(), b"ID")
        for pk in (corpus["finance"].pk, corpus["archived"].pk, "00000000-0000-4000-8000-000000000000")
    ]
    assert len({_without_secrets(body) for body in bodies}) == 1


def _without_secrets(body: bytes) -> bytes:
    """The page without the forms' secrets, which differ from page to page."""
    return re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", body)
