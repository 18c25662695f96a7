"""Who reads the trails in the admin site: auditors everything, administrators what is no reading, others nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.audit import VIEWED, note
from accounts.clearance import AUDITORS, LIBRARIANS, Role
from accounts.models import AuditEvent, User
from ingestion.models import Document
from search.models import SearchEvent

pytestmark = pytest.mark.django_db

SEARCHES, ACTS = "/admin/search/searchevent/", "/admin/accounts/auditevent/"


def desk_of(name: str, *, role: str = Role.STUDENT, group: str = "") -> Client:
    user = User.objects.create_user(name, role=role)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def auditor() -> Client:
    return desk_of("auditor", group=AUDITORS)


@pytest.fixture
def event() -> SearchEvent:
    return SearchEvent.objects.create(
        user_name="ada",
        role="staff",
        query="<b>loans</b>",
        mode="hybrid",
        count=3,
        duration_ms=1,
        request_id="r-1234567",
    )


def test_auditors_search_and_narrow_the_searches_and_read_one(auditor: Client, event: SearchEvent) -> None:
    for asked in ("", "q=ada", "q=loans", "q=r-1234567", "role=staff", "days=1", "role=%00"):
        listed = auditor.get(f"{SEARCHES}?{asked}")
        assert list(listed.context["cl"].result_list) == [event], asked
    assert list(auditor.get(f"{SEARCHES}?q=nobody").context["cl"].result_list) == []
    page = auditor.get(f"{SEARCHES}{event.pk}/change/").content.decode()
    assert "&lt;b&gt;loans" in page
    assert "<b>loans" not in page


def test_that_they_read_it_is_noted(auditor: Client, event: SearchEvent) -> None:
    auditor.get(f"{SEARCHES}?q=ada")
    auditor.get(f"{SEARCHES}{event.pk}/change/")
    one, other = AuditEvent.objects.filter(action="audit_read").order_by("pk")
    assert (one.actor_name, one.details["asked"]) == ("auditor", {"q": ["ada"]})
    assert other.subject == str(event.pk)


@pytest.mark.parametrize(("role", "group"), [(Role.ADMIN, ""), (Role.STAFF, LIBRARIANS)])
def test_nobody_else_reads_the_searches(role: str, group: str, event: SearchEvent) -> None:
    desk = desk_of("somebody", role=role, group=group)
    for address in (SEARCHES, f"{SEARCHES}{event.pk}/change/"):
        assert desk.get(address).status_code == 403
    assert "Searches" not in desk.get("/admin/").content.decode()
    assert not AuditEvent.objects.filter(action="audit_read").exists()


def test_nobody_changes_a_search(auditor: Client, event: SearchEvent) -> None:
    assert auditor.post(f"{SEARCHES}{event.pk}/change/", {"query": "x"}).status_code == 403
    assert auditor.post(f"{SEARCHES}{event.pk}/delete/", {"post": "yes"}).status_code == 403
    assert auditor.get(f"{SEARCHES}add/").status_code == 403


def test_what_people_read_is_for_auditors_alone(auditor: Client) -> None:
    note(VIEWED, actor=None, subject="Loans", document=str(uuid4()))
    note("place_deleted", actor=None, subject="Annexe")
    warden = desk_of("warden", role=Role.ADMIN)

    def shown(desk: Client) -> set[str]:
        return {one.action for one in desk.get(ACTS).context["cl"].result_list} - {"signed_in"}

    assert shown(auditor) == {VIEWED, "place_deleted"}
    assert shown(warden) == {"place_deleted"}
    reading = AuditEvent.objects.get(action=VIEWED)
    assert auditor.get(f"{ACTS}{reading.pk}/change/").status_code == 200
    assert warden.get(f"{ACTS}{reading.pk}/change/").status_code == 302


def test_auditors_reach_no_other_page_of_the_admin_site(auditor: Client) -> None:
    assert auditor.get("/admin/").status_code == 200
    for address in (
        "ingestion/document/", "ingestion/document/upload/", "ingestion/tag/", "accounts/user/", "accounts/phase/",
        "accounts/apikey/", "search/goldenquery/", "search/bestbet/", "search/synonymgroup/", "auth/group/",
    ):  # fmt: skip
        assert auditor.get(f"/admin/{address}").status_code in (403, 404), address


def test_whoever_is_an_auditor_no_more_reads_nothing_more(auditor: Client, event: SearchEvent) -> None:
    assert auditor.get(SEARCHES).status_code == 200
    User.objects.get(username="auditor").groups.clear()
    assert auditor.get(SEARCHES).status_code == 302


def test_views_and_downloads_are_noted_and_stretches_are_not(corpus: dict[str, Document]) -> None:
    document = corpus["loans"]
    client = Client()
    client.force_login(User.objects.create_user("ada", role="staff"))
    assert client.get(f"/documents/{document.pk}/", REMOTE_ADDR="192.0.2.7").status_code == 200
    assert client.head(f"/documents/{document.pk}/").status_code == 200
    assert client.get(f"/documents/{uuid4()}/").status_code == 404
    (view,) = AuditEvent.objects.filter(action=VIEWED)
    assert (view.actor_name, view.address, view.details) == ("ada", "192.0.2.7", {"document": str(document.pk)})
    assert view.request_id
