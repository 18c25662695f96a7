"""People, departments and campuses in the admin site: administrators do everything, nobody else anything."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.clearance import LIBRARIANS, Role
from accounts.models import Campus, Department, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


def person(name: str, role: str, *departments: Department, librarian: bool = False) -> User:
    user = User.objects.create_user(name, role=role)
    user.departments.set(departments)
    if librarian:
        user.groups.add(Group.objects.get(name=LIBRARIANS))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


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


def test_without_the_tick_a_new_person_is_no_librarian_and_a_weak_password_is_refused(desk: Client) -> None:
    fields = {"username": "plain", "role": Role.STUDENT, "usable_password": "true"}
    refused = desk.post("/admin/accounts/user/add/", fields | {"password1": "12345678", "password2": "12345678"})
    assert refused.status_code == 200
    assert not User.objects.filter(username="plain").exists()
    desk.post("/admin/accounts/user/add/", fields | {"password1": PASSWORD, "password2": PASSWORD})
    assert not User.objects.get(username="plain").is_librarian


def test_role_departments_and_group_of_a_person_can_be_changed(desk: Client, finance: Department) -> None:
    student = person("student", Role.STUDENT)
    answer = desk.post(
        f"/admin/accounts/user/{student.pk}/change/",
        {
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
    answer = desk.post(f"/admin/accounts/user/{admin.pk}/change/", {"username": "warden", **change})
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
