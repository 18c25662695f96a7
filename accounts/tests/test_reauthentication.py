"""Sensitive pages of the admin site ask again who somebody is; everything else never does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.clearance import LIBRARIANS, Role
from accounts.models import AuditEvent, ClaimRule, Department, User
from accounts.tests.providers import WilfulProvider, single_sign_on, wilful_provider

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


@pytest.fixture
def warden() -> User:
    return User.objects.create_user("warden", password=PASSWORD, role=Role.ADMIN)


def grow_old(client: Client) -> None:
    session = client.session
    session["proven_at"] = time.time() - 901
    session.save()


@pytest.fixture
def desk(warden: User) -> Client:
    client = Client()
    client.force_login(warden)
    grow_old(client)
    return client


@pytest.fixture
def student() -> User:
    return User.objects.create_user("student")


def confirm(client: Client, password: str, back: str = "/admin/accounts/user/add/") -> Any:
    return client.post("/accounts/confirm/", {"password": password, "next": back})


def test_right_after_signing_in_nothing_is_asked(warden: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"username": "warden", "password": PASSWORD})
    assert client.get("/admin/accounts/user/add/").status_code == 200


@pytest.mark.parametrize(
    "page", ["user/add/", "claimrule/add/", "user/1/sign-out/", "user/1/password/", "user/1/change/"]
)
def test_later_a_form_is_not_shown_without_a_new_proof(desk: Client, warden: User, page: str) -> None:
    address = f"/admin/accounts/{page}".replace("/1/", f"/{warden.pk}/")
    answer = desk.get(address)
    assert answer["Location"] == f"/accounts/confirm/?next={address.replace('/', '%2F')}"
    assert confirm(desk, PASSWORD, address)["Location"] == address
    assert desk.get(address).status_code == 200
    assert AuditEvent.objects.filter(action="identity_confirmed", actor=warden).count() == 1


@pytest.mark.parametrize("page", ["user/", "claimrule/", "department/", "claimrule/try/"])
def test_lists_are_read_without(desk: Client, page: str) -> None:
    assert desk.get(f"/admin/accounts/{page}").status_code == 200


def test_a_form_that_was_sent_too_late_changes_nothing_and_says_so(desk: Client, student: User) -> None:
    form = f"/admin/accounts/user/{student.pk}/change/"
    sent = {"username": "student", "role": Role.ADMIN, "is_active": "on"}
    answer = desk.post(form, sent, HTTP_REFERER=f"http://testserver{form}")
    assert answer["Location"].endswith("&resend=1")
    assert "was not saved" in desk.get(answer["Location"]).content.decode()
    student.refresh_from_db()
    assert student.role == Role.STUDENT
    assert confirm(desk, PASSWORD, form)["Location"] == form


def test_deleting_and_actions_on_a_list_need_a_proof_too(desk: Client) -> None:
    rule = ClaimRule.objects.create(claim="groups", value="staff", role=Role.STAFF)
    delete = {"action": "delete_selected", "_selected_action": [rule.pk], "post": "yes"}
    assert "/accounts/confirm/" in desk.post("/admin/accounts/claimrule/", delete)["Location"]
    assert (
        "/accounts/confirm/" in desk.post(f"/admin/accounts/claimrule/{rule.pk}/delete/", {"post": "yes"})["Location"]
    )
    assert ClaimRule.objects.exists()
    confirm(desk, PASSWORD)
    desk.post("/admin/accounts/claimrule/", delete)
    assert not ClaimRule.objects.exists()


def test_the_way_back_after_a_form_is_the_page_it_stood_on_and_never_another_host(desk: Client, student: User) -> None:
    form = f"/admin/accounts/user/{student.pk}/change/"
    elsewhere = desk.post(form, {}, HTTP_REFERER="https://evil.example/steal")
    assert elsewhere["Location"].startswith(f"/accounts/confirm/?next={form.replace('/', '%2F')}")
    for address in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        assert confirm(desk, PASSWORD, address)["Location"] == "/accounts/security/"


def test_whoever_would_rather_not_goes_back_to_where_the_link_was(desk: Client) -> None:
    here = "http://testserver/admin/accounts/user/?q=ada"
    asked = desk.get("/accounts/confirm/?next=/admin/accounts/user/add/", HTTP_REFERER=here).content.decode()
    assert '<a href="/admin/accounts/user/?q=ada">' in asked
    wrong = {"password": "wrong", "next": "/admin/accounts/user/add/", "from": "/admin/accounts/user/?q=ada"}
    assert '<a href="/admin/accounts/user/?q=ada">' in desk.post("/accounts/confirm/", wrong).content.decode()


@pytest.mark.parametrize(
    "referer",
    [
        "https://evil.example/",
        "javascript:alert(1)",
        "http://testserver//evil.example/",
        # It would only ask again.
        "http://testserver/admin/accounts/user/add/",
    ],
)
def test_that_way_back_leads_to_no_other_host_and_in_no_circle(desk: Client, referer: str) -> None:
    page = desk.get("/accounts/confirm/?next=/admin/accounts/user/add/", HTTP_REFERER=referer).content.decode()
    assert 'href="/search/">Rather not' in page
    assert "evil" not in page
    assert "javascript" not in page


def test_a_wrong_password_proves_nothing_and_is_counted(desk: Client) -> None:
    answers = [confirm(desk, "wrong-password") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert "That is not your password" in answers[0].content.decode()
    assert confirm(desk, PASSWORD).status_code == 429
    assert desk.get("/admin/accounts/user/add/").status_code == 302


def test_somebody_elses_password_is_no_proof(desk: Client) -> None:
    User.objects.create_user("grace", password="another-long-phrase", role=Role.ADMIN)
    assert confirm(desk, "another-long-phrase").status_code == 200
    assert desk.get("/admin/accounts/user/add/").status_code == 302


def test_a_proof_makes_a_new_session_id(desk: Client) -> None:
    before = desk.session.session_key
    confirm(desk, PASSWORD)
    assert desk.session.session_key != before


def test_a_part_of_a_page_sends_the_whole_page_there(desk: Client) -> None:
    answer = desk.get("/admin/accounts/user/add/", HTTP_HX_REQUEST="true")
    assert answer["HX-Redirect"].startswith("/accounts/confirm/?next=")


def test_a_librarians_everyday_work_is_never_interrupted() -> None:
    library = Department.objects.create(name="Library")
    librarian = User.objects.create_user("librarian", password=PASSWORD, role=Role.STAFF)
    librarian.departments.add(library)
    librarian.groups.add(Group.objects.get(name=LIBRARIANS))
    client = Client()
    client.force_login(librarian)
    grow_old(client)
    for page in ("", "ingestion/document/", "ingestion/document/upload/", "ingestion/tag/"):
        assert client.get(f"/admin/{page}").status_code == 200, page
    assert client.get("/admin/accounts/user/add/").status_code == 403


def test_signing_somebody_out_everywhere_from_their_page(desk: Client, student: User) -> None:
    theirs = Client()
    theirs.force_login(student)
    confirm(desk, PASSWORD)
    address = f"/admin/accounts/user/{student.pk}/sign-out/"
    assert address in desk.get(f"/admin/accounts/user/{student.pk}/change/").content.decode()
    assert desk.get(address).status_code == 200
    assert theirs.get("/api/v1/me/").status_code == 200
    assert desk.post(address).status_code == 302
    assert theirs.get("/api/v1/me/").status_code == 401
    assert AuditEvent.objects.get(action="signed_out_everywhere").actor_name == "warden"
    assert desk.get("/admin/accounts/user/999999/sign-out/").status_code == 404


class TestAtTheProvider:
    @pytest.fixture
    def wilful(self) -> Iterator[WilfulProvider]:
        with wilful_provider() as running, single_sign_on(running.issuer):
            ClaimRule.objects.create(claim="groups", value="staff", role=Role.ADMIN)
            yield running

    def test_signing_in_is_a_proof_only_if_the_provider_says_when_it_asked(self, wilful: WilfulProvider) -> None:
        silent, fresh, old = Client(), Client(), Client()
        wilful.sign_in(silent)
        wilful.sign_in(fresh, auth_time=int(time.time()) - 10)
        wilful.sign_in(old, auth_time=int(time.time()) - 3600)
        seen = [client.get("/admin/accounts/user/add/").status_code for client in (silent, fresh, old)]
        assert seen == [302, 200, 302]

    def test_it_is_asked_for_the_password_and_has_to_say_when_it_asked(self, wilful: WilfulProvider) -> None:
        client = Client()
        wilful.sign_in(client)
        page = client.get("/accounts/confirm/?next=/admin/accounts/user/add/").content.decode()
        query = "?prove=1&amp;next=%2Faccounts%2Fconfirmed%2F%3Fnext%3D%252Fadmin%252Faccounts%252Fuser%252Fadd%252F"
        assert f"/accounts/oidc/{query}" in page
        assert "<input id=" not in page

        asked = client.get("/accounts/oidc/" + query.replace("&amp;", "&"))["Location"]
        assert "prompt=login" in asked
        assert "max_age=0" in asked
        answer = wilful.sign_in(client, query.replace("&amp;", "&"), auth_time=int(time.time()))
        after = client.get(answer["Location"])
        assert after["Location"] == "/admin/accounts/user/add/"
        assert client.get(after["Location"]).status_code == 200

    def test_without_that_it_proves_nothing(self, wilful: WilfulProvider) -> None:
        client = Client()
        wilful.sign_in(client)
        for claims in ({}, {"auth_time": int(time.time()) - 3600}, {"auth_time": "now"}, {"auth_time": True}):
            answer = wilful.sign_in(client, "?prove=1&next=/accounts/confirmed/", **claims)
            assert client.get(answer["Location"]).status_code == 403
        assert client.get("/admin/accounts/user/add/").status_code == 302

    def test_a_password_proves_nothing_there(self, wilful: WilfulProvider) -> None:
        wilful.sign_in(Client())
        member = User.objects.get()
        member.set_password(PASSWORD)
        member.save()
        client = Client()
        wilful.sign_in(client)
        assert confirm(client, PASSWORD).status_code == 200
        assert client.get("/admin/accounts/user/add/").status_code == 302
