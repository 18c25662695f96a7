"""The table of claim rules and the people's pages in the admin site."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.clearance import CURATORS, LIBRARIANS, Role, viewer_for
from accounts.models import AuditEvent, ClaimRule, Department, User
from accounts.tests.forms import sent_from
from accounts.tests.providers import single_sign_on

pytestmark = pytest.mark.django_db

TABLE = "/admin/accounts/claimrule/"


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("warden", role=Role.ADMIN))
    return client


class TestRules:
    @pytest.mark.parametrize("page", ["", "add/", "try/"])
    def test_are_the_administrators_alone(self, desk: Client, finance: Department, page: str) -> None:
        assert desk.get(TABLE + page).status_code == 200
        librarian = User.objects.create_user("librarian", role=Role.ACADEMIC)
        librarian.groups.add(Group.objects.get(name=LIBRARIANS))
        client = Client()
        client.force_login(librarian)
        assert client.get(TABLE + page).status_code == 403

    def test_are_made_changed_and_deleted_and_each_is_noted(self, desk: Client, finance: Department) -> None:
        made = desk.post(TABLE + "add/", {"claim": "groups", "value": "staff", "role": "staff"})
        assert made.status_code == 302, made.context["adminform"].form.errors
        rule = ClaimRule.objects.get()
        change = {"claim": "groups", "value": "staff", "role": "staff", "department": finance.pk}
        desk.post(f"{TABLE}{rule.pk}/change/", change)
        desk.post(TABLE, {"action": "delete_selected", "_selected_action": [rule.pk], "post": "yes"})
        assert not ClaimRule.objects.exists()
        noted = [event.details for event in AuditEvent.objects.filter(action="claim_rule_changed").order_by("pk")]
        assert [(bool(one["before"]), bool(one["after"])) for one in noted] == [
            (False, True),
            (True, True),
            (True, False),
        ]
        assert noted[1]["after"]["department"] == "Finance"

    def test_one_that_gives_nothing_is_refused(self, desk: Client) -> None:
        answer = desk.post(TABLE + "add/", {"claim": "groups", "value": "staff"})
        assert "Say what this rule gives" in answer.content.decode()
        assert not ClaimRule.objects.exists()

    def test_the_table_says_when_nothing_reads_it(self, desk: Client) -> None:
        assert "Single sign-on is not set up" in desk.get(TABLE).content.decode()
        with single_sign_on("https://id.example.ac.uk"):
            assert "Single sign-on is not set up" not in desk.get(TABLE).content.decode()


class TestTrying:
    def test_shows_what_claims_would_give_and_changes_nothing(self, desk: Client, finance: Department) -> None:
        ClaimRule.objects.create(claim="groups", value="staff*", role=Role.STAFF)
        ClaimRule.objects.create(claim="unit.name", value="fin", department=finance, librarian=True)
        claims = {"groups": ["staff-x"], "unit": {"name": "fin"}, "sub": "1"}
        text = desk.post(TABLE + "try/", {"claims": json.dumps(claims)}).content.decode()
        for part in ("They would be: staff", "Departments: Finance.", "Librarian: yes", "unit.name = fin"):
            assert part in text
        refused = desk.post(TABLE + "try/", {"claims": '{"unit": {"name": "fin"}}'}).content.decode()
        assert "They would be refused" in refused
        assert User.objects.count() == 1

    @pytest.mark.parametrize("claims", ["", "{", "[1]", '"<script>alert(1)</script>"', "[" * 9000])
    def test_what_is_no_object_is_said_to_be_none(self, desk: Client, claims: str) -> None:
        answer = desk.post(TABLE + "try/", {"claims": claims})
        assert answer.status_code == 200
        assert answer.context["given"] is None
        assert "<script>alert" not in answer.content.decode()


class TestPeople:
    def fields(self, **more: object) -> dict[str, object]:
        return {"username": "student", "role": Role.STAFF, "is_active": "on", **more}

    def test_a_curator_is_given_departments_of_theirs(self, desk: Client, finance: Department) -> None:
        person = User.objects.create_user("student")
        group = Group.objects.get(name=CURATORS)
        page = f"/admin/accounts/user/{person.pk}/change/"
        good = self.fields(departments=[finance.pk], groups=[group.pk], curated_departments=[finance.pk])
        for missing, complaint in (("departments", "do not belong there"), ("groups", "tick that group")):
            given = {name: value for name, value in good.items() if name != missing}
            answer = desk.post(page, {**sent_from(desk, page), **given})
            assert complaint in answer.content.decode()
        assert desk.post(page, {**sent_from(desk, page), **good}).status_code == 302
        assert viewer_for(User.objects.get(pk=person.pk)).curated == {finance.pk}
        event = AuditEvent.objects.get(action="role_changed")
        assert (event.actor_name, event.subject) == ("warden", "student")
        assert event.details["before"]["role"] == "student"
        assert event.details["after"]["curated_departments"] == ["Finance"]

    def test_a_service_account_and_a_curator_are_made_in_one_step(self, desk: Client, finance: Department) -> None:
        password = {"usable_password": "false"}
        desk.post("/admin/accounts/user/add/", {"username": "vle", "role": "staff", "is_service": "on", **password})
        vle = User.objects.get(username="vle")
        assert (vle.is_service, vle.has_usable_password()) == (True, False)
        curator = {"departments": [finance.pk], "curated_departments": [finance.pk], **password}
        desk.post("/admin/accounts/user/add/", {"username": "ann", "role": "staff", **curator})
        assert User.objects.get(username="ann").is_curator

    def test_of_somebody_of_the_provider_it_says_how_long_changes_hold_and_sets_no_password(self, desk: Client) -> None:
        person = User.objects.create_user("ada", external_id="https://id.example.ac.uk 1")
        text = desk.get(f"/admin/accounts/user/{person.pk}/change/").content.decode()
        assert "until their next sign-in" in text
        assert f"/user/{person.pk}/password/" not in text
        new = {"usable_password": "true", "password1": "another-long-phrase", "password2": "another-long-phrase"}
        desk.post(f"/admin/accounts/user/{person.pk}/password/", new)
        assert not User.objects.get(pk=person.pk).has_usable_password()

    def test_a_password_that_an_administrator_sets_is_noted_and_ends_their_sessions(self, desk: Client) -> None:
        person = User.objects.create_user("ada", password="correct-horse-battery")
        theirs = Client()
        theirs.force_login(person)
        new = {"usable_password": "true", "password1": "another-long-phrase", "password2": "another-long-phrase"}
        assert desk.post(f"/admin/accounts/user/{person.pk}/password/", new).status_code == 302
        assert theirs.get("/api/v1/me/").status_code == 401
        event = AuditEvent.objects.get(action="password_changed")
        assert (event.actor_name, event.subject) == ("warden", "ada")

    def test_what_axes_keeps_is_on_no_page(self, desk: Client) -> None:
        assert desk.get("/admin/axes/accessattempt/").status_code == 404
