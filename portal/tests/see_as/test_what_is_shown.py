"""Looking as somebody else: what is shown is what both may see, at every door, and the pages say so."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.clearance import ANONYMOUS_ROLE, ROLE_CLEARANCE, Role, Viewer
from accounts.models import Department, User
from accounts.seeing import SEEING, lowered, narrows
from ingestion.models import Document
from portal.tests.conftest import MakeDocument
from portal.tests.see_as.conftest import listed, opens, see_as, signed_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("who", "role", "names", "shown"),
    [
        # A librarian of Finance, who is staff, sees what they and the other may both see.
        ("librarian", ANONYMOUS_ROLE, (), {"public"}),
        ("librarian", Role.STUDENT, (), {"public", "members"}),
        ("librarian", Role.STUDENT, ("finance",), {"public", "members", "finance"}),
        ("librarian", Role.STUDENT, ("law",), {"public", "members"}),
        ("librarian", Role.STAFF, (), {"public", "members"}),
        ("librarian", Role.STAFF, ("finance",), {"public", "members", "staff", "finance", "both"}),
        ("librarian", Role.STAFF, ("law",), {"public", "members", "staff", "both"}),
        ("librarian", Role.ACADEMIC, ("law",), {"public", "members", "staff", "both"}),
        ("librarian", Role.ACADEMIC, ("law", "finance"), {"public", "members", "staff", "finance", "both"}),
        # An administrator sees all that the other sees.
        ("admin", ANONYMOUS_ROLE, (), {"public"}),
        ("admin", Role.STAFF, ("law",), {"public", "members", "staff", "law", "both"}),
        ("admin", Role.ACADEMIC, ("law",), {"public", "members", "staff", "restricted", "law", "both"}),
        ("admin", Role.ACADEMIC, (), {"public", "members"}),
    ],
)
def test_what_both_may_see_is_shown_at_every_door(
    request: pytest.FixtureRequest,
    corpus: dict[str, Document],
    finance: Department,
    law: Department,
    who: str,
    role: str,
    names: tuple[str, ...],
    shown: set[str],
) -> None:
    client = signed_in(request.getfixturevalue(who))
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
