"""People, departments and campuses in the admin site: administrators do everything, nobody else anything."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from accounts.clearance import LIBRARIANS, Role
from accounts.models import AuditEvent, Campus, Department, User
from accounts.tests.forms import sent_from
from accounts.tests.people import person, signed_in
from accounts.tests.test_password import MEANWHILE, Meanwhile

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def admin() -> User:
    return person("warden", Role.ADMIN)


@pytest.fixture
def desk(admin: User) -> Client:
    return signed_in(admin)


PAGES = [
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/accounts/department/",
    "/admin/accounts/department/add/",
    "/admin/accounts/campus/",
    "/admin/accounts/campus/add/",
]


@pytest.mark.parametrize("page", PAGES)
def test_administrators_open_every_page_about_people_and_places(desk: Client, page: str) -> None:
    assert desk.get(page).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_librarians_open_none_of_them(finance: Department, page: str) -> None:
    librarian = person("librarian", Role.ACADEMIC, finance, librarian=True)
    assert signed_in(librarian).get(page).status_code == 403


@pytest.mark.parametrize("role", [Role.STUDENT, Role.STAFF, Role.ACADEMIC])
@pytest.mark.parametrize("page", ["/admin/", *PAGES])
def test_people_who_do_not_curate_are_sent_to_the_sign_in_page(role: str, page: str, finance: Department) -> None:
    answer = signed_in(person("somebody", role, finance)).get(page, follow=False)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={page}")
    assert signed_in(User.objects.get(username="somebody")).get("/admin/login/")["Location"] == "/accounts/login/"


def test_anonymous_people_sign_in_on_the_portals_own_page_and_come_back() -> None:
    answer = Client().get("/admin/accounts/user/", follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/login/?next=/admin/accounts/user/"


def test_a_right_that_is_taken_away_is_gone_at_the_next_request(finance: Department) -> None:
    librarian = person("librarian", Role.STAFF, finance, librarian=True)
    client = signed_in(librarian)
    assert client.get("/admin/").status_code == 200
    librarian.groups.clear()
    assert client.get("/admin/").status_code == 302


def test_a_person_is_made_in_one_step_with_role_department_campus_and_group(desk: Client, finance: Department) -> None:
    campus = Campus.objects.create(name="Central")
    answer = desk.post(
        "/admin/accounts/user/add/",
        {
            "username": "newcomer",
            "first_name": "New",
            "last_name": "Comer",
            "email": "",
            "role": Role.STAFF,
            "departments": [finance.pk],
            "campus": campus.pk,
            "librarian": "on",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
        },
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = User.objects.get(username="newcomer")
    assert (made.role, made.campus, list(made.departments.all())) == (Role.STAFF, campus, [finance])
    assert made.is_librarian
    assert made.is_staff
    assert not made.is_superuser
    assert made.check_password(PASSWORD)


def test_the_list_of_people_is_asked_by_its_own_filters_alone(desk: Client, finance: Department) -> None:
    people = "/admin/accounts/user/"
    for offered in ("role__exact=staff", f"departments__id__exact={finance.pk}", "campus__isnull=True"):
        assert desk.get(f"{people}?{offered}").status_code == 200
    for other in ("username__regex=(", "password__startswith=argon2", "external_id__isnull=0"):
        assert desk.get(f"{people}?{other}").status_code in (302, 400)


def test_a_service_account_is_made_without_a_password_whatever_the_form_says_of_one(desk: Client) -> None:
    fields = {"username": "vle", "role": Role.STUDENT, "is_service": "on", "usable_password": "true"}
    answer = desk.post("/admin/accounts/user/add/", fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = User.objects.get(username="vle")
    assert made.is_service
    assert not made.has_usable_password()


def test_without_the_tick_a_new_person_is_no_librarian_and_a_weak_password_is_refused(desk: Client) -> None:
    fields = {"username": "plain", "role": Role.STUDENT, "usable_password": "true"}
    refused = desk.post("/admin/accounts/user/add/", fields | {"password1": "12345678", "password2": "12345678"})
    assert refused.status_code == 200
    assert not User.objects.filter(username="plain").exists()
    desk.post("/admin/accounts/user/add/", fields | {"password1": PASSWORD, "password2": PASSWORD})
    assert not User.objects.get(username="plain").is_librarian


def test_role_departments_and_group_of_a_person_can_be_changed(desk: Client, finance: Department) -> None:
    student = person("student", Role.STUDENT)
    page = f"/admin/accounts/user/{student.pk}/change/"
    answer = desk.post(
        page,
        sent_from(desk, page)
        | {
            "username": "student",
            "role": Role.ACADEMIC,
            "departments": [finance.pk],
            "groups": [Group.objects.get(name=LIBRARIANS).pk],
            "is_active": "on",
        },
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    changed = User.objects.get(pk=student.pk)
    assert (changed.role, list(changed.departments.all()), changed.is_librarian) == (Role.ACADEMIC, [finance], True)


@pytest.mark.parametrize("change", [{"role": Role.STAFF, "is_active": "on"}, {"role": Role.ADMIN}])
def test_administrators_cannot_lock_themselves_out(desk: Client, admin: User, change: dict[str, str]) -> None:
    page = f"/admin/accounts/user/{admin.pk}/change/"
    sent = {name: value for name, value in sent_from(desk, page).items() if name not in ("role", "is_active")}
    answer = desk.post(page, {**sent, "username": "warden", **change})
    assert "You cannot take the administrator" in answer.content.decode()
    admin.refresh_from_db()
    assert (admin.role, admin.is_active) == (Role.ADMIN, True)


def test_a_password_can_be_set_anew(desk: Client) -> None:
    student = person("student", Role.STUDENT)
    new = "another-long-phrase"
    answer = desk.post(
        f"/admin/accounts/user/{student.pk}/password/",
        {"usable_password": "true", "password1": new, "password2": new},
    )
    assert answer.status_code == 302
    student.refresh_from_db()
    assert student.check_password(new)


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"role": Role.STUDENT}, {"sign_in_epoch": 7}, {"last_name": "Lovelace"}]
)
def test_a_password_that_is_set_anew_undoes_nothing(
    desk: Client, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    ada = person("ada", Role.STAFF)
    monkeypatch.setattr(Meanwhile, "change", change)
    new = {"usable_password": "true", "password1": "another-long-phrase", "password2": "another-long-phrase"}
    with override_settings(AUTH_PASSWORD_VALIDATORS=MEANWHILE):
        desk.post(f"/admin/accounts/user/{ada.pk}/password/", new, follow=True)
    ada.refresh_from_db()
    assert {name: getattr(ada, name) for name in change} == change
    closed = "is_active" in change
    assert ada.check_password("another-long-phrase") is not closed
    assert AuditEvent.objects.filter(action="password_changed").exists() is not closed


@pytest.mark.parametrize("number", ["²", "0", "999999", "x", "99999999999999999999"])
def test_the_password_page_of_nobody_does_not_exist(desk: Client, number: str) -> None:
    assert desk.get(f"/admin/accounts/user/{number}/password/").status_code == 404


class TestAnOldForm:
    """A form that an administrator opened, and sent when somebody else had changed the person."""

    @pytest.fixture
    def ada(self, finance: Department) -> User:
        return person("ada", Role.ACADEMIC, finance, librarian=True)

    def page(self, ada: User) -> str:
        return f"/admin/accounts/user/{ada.pk}/change/"

    def test_gives_no_rights_back_and_loses_no_input(self, desk: Client, ada: User, finance: Department) -> None:
        sent = {**sent_from(desk, self.page(ada)), "first_name": "Augusta"}
        User.objects.update_or_create(pk=ada.pk, defaults={"role": Role.STUDENT, "is_active": False})
        ada.departments.clear()
        ada.groups.clear()
        answer = desk.post(self.page(ada), sent)
        text = answer.content.decode()
        assert answer.status_code == 200
        for part in ("Somebody changed this person meanwhile", "Role: student", "Departments: none", "Active: no"):
            assert part in text
        assert 'value="Augusta"' in text
        ada = User.objects.get(pk=ada.pk)
        assert (ada.role, ada.is_active, ada.first_name, ada.is_librarian) == (Role.STUDENT, False, "", False)
        assert not ada.departments.exists()
        assert not AuditEvent.objects.filter(action="role_changed").exists()

        # Whoever has seen what changed and sends it once more means it.
        again = {**sent, "rights_seen": answer.context["adminform"].form["rights_seen"].value()}
        assert desk.post(self.page(ada), again).status_code == 302
        ada = User.objects.get(pk=ada.pk)
        assert (ada.role, ada.is_active, ada.first_name, ada.is_librarian) == (Role.ACADEMIC, True, "Augusta", True)
        assert AuditEvent.objects.get(action="role_changed").details["before"]["role"] == "student"

    @pytest.mark.parametrize("change", [{"last_name": "Byron"}, {"email": "ada@example.ac.uk"}, {"username": "al"}])
    def test_gives_no_old_name_back_either(self, desk: Client, ada: User, change: dict[str, str]) -> None:
        sent = sent_from(desk, self.page(ada))
        User.objects.filter(pk=ada.pk).update(**change)
        assert "Somebody changed this person meanwhile" in desk.post(self.page(ada), sent).content.decode()
        assert User.objects.filter(pk=ada.pk, **change).exists()

    def test_that_does_not_say_what_it_saw_is_not_taken(self, desk: Client, ada: User) -> None:
        sent = {**sent_from(desk, self.page(ada)), "role": Role.ADMIN}
        del sent["rights_seen"]
        assert desk.post(self.page(ada), sent).status_code == 200
        assert User.objects.get(pk=ada.pk).role == Role.ACADEMIC

    def test_only_what_was_changed_in_it_is_written(self, desk: Client, ada: User) -> None:
        sent = {**sent_from(desk, self.page(ada)), "first_name": "Augusta"}
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert desk.post(self.page(ada), sent).status_code == 302
        written = [
            one["sql"] for one in asked if re.match(r'(UPDATE|INSERT INTO|DELETE FROM) "accounts_user', one["sql"])
        ]
        assert len(written) == 1
        assert written[0].startswith("""UPDATE "accounts_user" SET "first_name" = 'Augusta' WHERE""")

    def test_that_makes_a_service_account_takes_the_password(self, desk: Client, ada: User) -> None:
        ada.set_password(PASSWORD)
        ada.save()
        assert desk.post(self.page(ada), {**sent_from(desk, self.page(ada)), "is_service": "on"}).status_code == 302
        ada = User.objects.get(pk=ada.pk)
        assert (ada.is_service, ada.has_usable_password()) == (True, False)


def test_closing_an_account_ends_its_sessions_and_tokens_for_good(desk: Client) -> None:
    ada = User.objects.create_user("ada", password=PASSWORD, role=Role.STAFF)
    theirs = signed_in(ada)
    given = {"username": "ada", "password": PASSWORD}
    token = Client().post("/api/v1/token/", given, content_type="application/json").json()["access"]
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert Client().get("/api/v1/me/", **bearer).status_code == 200
    page = f"/admin/accounts/user/{ada.pk}/change/"
    sent = sent_from(desk, page)
    del sent["is_active"]
    assert desk.post(page, sent).status_code == 302
    assert not User.objects.get(pk=ada.pk).is_active
    assert desk.post(page, {**sent_from(desk, page), "is_active": "on"}).status_code == 302
    assert User.objects.get(pk=ada.pk).is_active
    assert theirs.get("/api/v1/me/").status_code == 401
    assert Client().get("/api/v1/me/", **bearer).status_code == 401
    assert AuditEvent.objects.filter(action="signed_out_everywhere", subject="ada").count() == 1


def test_nobody_deletes_a_person(desk: Client) -> None:
    student = person("student", Role.STUDENT)
    assert desk.post(f"/admin/accounts/user/{student.pk}/delete/", {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=student.pk).exists()


def test_the_pages_do_not_offer_the_rights_that_are_derived(desk: Client) -> None:
    student = person("student", Role.STUDENT)
    for page in (f"/admin/accounts/user/{student.pk}/change/", "/admin/accounts/user/add/"):
        text = desk.get(page).content.decode()
        assert 'name="role"' in text
        for derived in ("is_staff", "is_superuser", "user_permissions"):
            assert f'name="{derived}"' not in text


def test_an_unused_department_and_campus_can_be_deleted(desk: Client, finance: Department) -> None:
    campus = Campus.objects.create(name="Central")
    desk.post(f"/admin/accounts/department/{finance.pk}/delete/", {"post": "yes"})
    desk.post(f"/admin/accounts/campus/{campus.pk}/delete/", {"post": "yes"})
    assert not Department.objects.exists()
    assert not Campus.objects.exists()
