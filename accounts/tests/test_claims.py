"""What claims give: values, paths, wildcards, and the strongest of several roles."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.claims import claim_values, fits, given_by
from accounts.clearance import Role
from accounts.models import Campus, ClaimRule, Department


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
