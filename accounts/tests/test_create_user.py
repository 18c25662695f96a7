"""`create_user`: what it makes of its options, and that a wrong one makes nobody."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from accounts.clearance import Role, viewer_for
from accounts.models import Campus, Department, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


def create(*arguments: str, **options: Any) -> str:
    said = io.StringIO()
    call_command("create_user", *arguments, stdout=said, **options)
    return said.getvalue()


@pytest.fixture(autouse=True)
def university() -> None:
    for name in ("Chemistry", "Registry"):
        Department.objects.create(name=name)
    Campus.objects.create(name="North")


@pytest.mark.parametrize("role", Role.values)
def test_each_role_can_sign_in(role: str) -> None:
    assert create("ada", "--role", role, "--password", PASSWORD) == f"Created ada ({role}).\n"
    user = authenticate(username="ada", password=PASSWORD)

    assert isinstance(user, User)
    assert viewer_for(user).role == role
    assert user.is_staff == user.is_superuser == (role == "admin")


def test_departments_campus_and_librarianship_are_set() -> None:
    create(
        "ada", "--role", "staff", "--department", "Chemistry", "--department", "Registry", "--campus", "North",
        "--librarian", "--password", PASSWORD,
    )  # fmt: skip
    user = User.objects.get()

    assert {department.name for department in user.departments.all()} == {"Chemistry", "Registry"}
    assert user.campus is not None
    assert user.campus.name == "North"
    assert user.is_librarian
    assert viewer_for(user).curates


def test_a_password_is_made_and_shown_once() -> None:
    said = create("ada", "--role", "student")
    shown = re.fullmatch(r"Created ada \(student\)\. Password: (\S{16,})\n", said)

    assert shown is not None
    assert authenticate(username="ada", password=shown[1]) is not None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--role", "wizard"], "invalid choice: 'wizard' (choose from"),
        ([], "the following arguments are required: --role"),
        (["--role", "staff", "--department", "Magic"], "There is no department 'Magic'. Known: Chemistry, Registry."),
        (["--role", "staff", "--campus", "Moon"], "There is no campus 'Moon'. Known: North."),
        (["--role", "staff", "--password", "short"], "This password is too short."),
        (["--role", "staff", "--password", "1234567890123"], "entirely numeric"),
        (["--role", "staff", "--password", "ada-lovelace"], "too similar to the username"),
    ],
)
def test_a_wrong_option_is_told_and_makes_nobody(arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError) as error:
        create("ada-lovelace", *arguments)

    assert complaint in str(error.value)
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["", "with space", "a" * 151, "semi;colon"])
def test_a_name_that_nobody_can_have_is_told(name: str) -> None:
    with pytest.raises(CommandError, match=r"Nobody was created\. \w+"):
        create(name, "--role", "staff", "--password", PASSWORD)
    assert not User.objects.exists()


def test_a_name_that_is_taken_is_told_and_the_person_stays_as_they_were() -> None:
    create("ada", "--role", "student", "--password", PASSWORD)
    with pytest.raises(CommandError, match="There is a user 'ada' already"):
        create("ada", "--role", "admin", "--password", "another-password-of-ada")

    assert User.objects.get().role == "student"
    assert authenticate(username="ada", password=PASSWORD) is not None


def test_where_there_is_no_department_yet_it_says_how_to_make_one() -> None:
    Department.objects.all().delete()
    with pytest.raises(CommandError, match="Known: none yet; the admin site makes them"):
        create("ada", "--role", "staff", "--department", "Chemistry")


def test_a_curator_curates_the_named_departments_of_theirs_and_no_others() -> None:
    create("ada", "--role", "staff", "--department", "Chemistry", "--department", "Registry", "--curates", "Registry")
    viewer = viewer_for(User.objects.get(username="ada"))
    assert viewer.curated == {Department.objects.get(name="Registry").pk}
    assert not viewer.librarian


def test_nobody_is_made_who_curates_where_they_do_not_belong() -> None:
    with pytest.raises(CommandError, match="Add --department 'Registry'"):
        create("ada", "--role", "staff", "--department", "Chemistry", "--curates", "Registry")
    assert not User.objects.filter(username="ada").exists()


def test_a_service_account_has_no_password() -> None:
    assert create("vle", "--role", "staff", "--service") == "Created vle (staff).\n"
    user = User.objects.get()
    assert (user.is_service, user.has_usable_password()) == (True, False)
    with pytest.raises(CommandError, match="A service account has no password"):
        create("crm", "--role", "staff", "--service", "--password", PASSWORD)
