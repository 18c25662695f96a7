"""What claims give: values, paths, wildcards, and the strongest of several roles."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.claims import apply_claims, claim_values, fits, given_by
from accounts.clearance import CURATORS, LIBRARIANS, Role, viewer_for
from accounts.models import AuditEvent, Campus, ClaimRule, Department, User


@pytest.mark.parametrize(
    ("claims", "path", "values"),
    [
        ({"groups": ["a", "b"]}, "groups", ["a", "b"]),
        ({"groups": "a"}, "groups", ["a"]),
        ({"groups": []}, "groups", []),
        ({"groups": None}, "groups", []),
        ({}, "groups", []),
        ({"active": True, "level": 3}, "active", ["true"]),
        ({"active": True, "level": 3}, "level", ["3"]),
        ({"affiliation": {"type": ["staff", "member"]}}, "affiliation.type", ["staff", "member"]),
        ({"posts": [{"unit": "Finance"}, {"unit": "Library"}]}, "posts.unit", ["Finance", "Library"]),
        ({"https://example.ac.uk/roles": ["x"]}, "https://example.ac.uk/roles", ["x"]),
        ({"affiliation": "staff"}, "affiliation.type", []),
        ({"groups": {"a": "b"}}, "groups", []),
        ({"groups": [["a"], "b"]}, "groups", ["a", "b"]),
    ],
)
def test_values_of_a_claim(claims: dict[str, Any], path: str, values: list[str]) -> None:
    assert list(claim_values(claims, path)) == values


@pytest.mark.parametrize(
    ("value", "said", "does"),
    [
        ("staff", "staff", True),
        ("staff", "Staff", False),
        ("staff", "staffing", False),
        ("staff@*", "staff@example.ac.uk", True),
        ("staff@*", "x-staff@example.ac.uk", False),
        ("*", "anything", True),
        ("a*c", "a\nb\nc", True),
        ("cn=[x]?", "cn=[x]?", True),
        ("cn=[x]?", "cn=xy", False),
        ("a.c", "abc", False),
        ("*a*a*a*a*a*a*a*b", "a" * 5000, False),
    ],
)
def test_a_rule_fits_the_same_letters_and_a_star_any(value: str, said: str, does: bool) -> None:
    assert fits(ClaimRule(claim="groups", value=value), {"groups": ["other", said]}) is does


def test_the_role_with_the_most_clearance_holds_and_all_departments() -> None:
    finance, library = Department(pk=1, name="Finance"), Department(pk=2, name="Library")
    north, south = Campus(pk=1, name="North"), Campus(pk=2, name="South")
    rules = [
        ClaimRule(claim="g", value="a", role=Role.ACADEMIC, department=finance),
        ClaimRule(claim="g", value="a", role=Role.STUDENT, campus=north),
        ClaimRule(claim="g", value="b", department=library, campus=south),
        ClaimRule(claim="g", value="a", department=finance),
        ClaimRule(claim="g", value="c", role=Role.ADMIN, librarian=True),
    ]
    given = given_by(rules, {"g": ["a", "b"]})
    assert (given.role, given.departments, given.campus, given.librarian) == (
        Role.ACADEMIC,
        (finance, library),
        north,
        False,
    )
    assert given_by(rules, {"g": ["a", "c"]}).role == Role.ADMIN
    assert given_by(rules, {"g": "b"}).role == ""
    assert given_by(rules, {}).rules == ()


@pytest.mark.parametrize(
    ("verified", "gives"),
    [
        ({}, True),
        ({"email_verified": True}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": False}, False),
        ({"email_verified": "false"}, False),
    ],
)
def test_an_address_that_was_not_verified_gives_nothing(verified: dict[str, Any], gives: bool) -> None:
    rules = [ClaimRule(claim="email", value="*@example.ac.uk", role=Role.ADMIN)]
    given = given_by(rules, {"email": "warden@example.ac.uk", **verified})
    assert given.role == (Role.ADMIN if gives else "")


def test_beside_an_unverified_address_the_other_claims_hold() -> None:
    rules = [
        ClaimRule(claim="email", value="*", role=Role.ADMIN),
        ClaimRule(claim="email_verified", value="false", role=Role.STUDENT),
    ]
    assert given_by(rules, {"email": "a@example.ac.uk", "email_verified": False}).role == Role.STUDENT


@pytest.mark.django_db
class TestWithoutARole:
    """A slip in a rule, or a claim that the provider left out once."""

    @pytest.fixture
    def finance(self) -> Department:
        return Department.objects.create(name="Finance")

    @pytest.fixture
    def ada(self, finance: Department) -> User:
        ClaimRule.objects.create(claim="groups", value="staff", role=Role.STAFF, department=finance, librarian=True)
        ada = User.objects.create_user("ada", role=Role.STAFF, external_id="https://id.example 1")
        ada.departments.add(finance)
        ada.curated_departments.add(finance)
        for name in (LIBRARIANS, CURATORS, "First hundred"):
            ada.groups.add(Group.objects.get_or_create(name=name)[0])
        return ada

    def test_what_the_claims_gave_is_gone_and_what_was_given_by_hand_stays_and_is_worth_nothing(
        self, ada: User, finance: Department
    ) -> None:
        open_session = Client()
        open_session.force_login(ada)
        assert open_session.get("/api/v1/me/").json()["curates"] == ["Finance"]
        assert apply_claims(ada, {"groups": ["staf"]}).role == ""
        ada = User.objects.get()
        assert (ada.role, ada.campus, list(ada.departments.all()), ada.sign_in_epoch) == (Role.STUDENT, None, [], 1)
        assert ada.group_names == {CURATORS, "First hundred"}
        assert list(ada.curated_departments.all()) == [finance]
        viewer = viewer_for(ada)
        assert (viewer.librarian, viewer.curated, viewer.curates, viewer.effective_clearance) == (
            False, frozenset(), False, 2,
        )  # fmt: skip
        assert open_session.get("/api/v1/me/").status_code == 401
        assert open_session.get("/admin/").status_code == 302
        noted = AuditEvent.objects.get(action="claims_applied").details
        assert noted["refused"] is True
        assert (noted["after"]["groups"], noted["after"]["departments"]) == ([CURATORS, "First hundred"], [])

    def test_the_next_sign_in_after_it_was_mended_gives_all_of_it_back(self, ada: User, finance: Department) -> None:
        before = viewer_for(User.objects.get())
        apply_claims(ada, {})
        apply_claims(ada, {"groups": ["staff"]})
        assert viewer_for(User.objects.get()) == before
        ClaimRule.objects.update(librarian=False)
        apply_claims(ada, {"groups": ["staff"]})
        assert viewer_for(User.objects.get()).curated == {finance.pk}
