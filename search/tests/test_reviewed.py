"""How long ago a review was, in words."""

from __future__ import annotations

from datetime import date

import pytest

from search.reviewed import review_age

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("reviewed", "text", "warns"),
    [
        (date(2026, 11, 24), "reviewed within the last month", False),
        (date(2027, 1, 1), "reviewed within the last month", False),
        (date(2026, 10, 24), "last reviewed 1 month ago", False),
        (date(2025, 11, 25), "last reviewed 11 months ago", False),
        (date(2025, 11, 24), "last reviewed 12 months ago", True),
        (date(2025, 9, 1), "last reviewed 14 months ago", True),
        (date(2024, 11, 24), "last reviewed 2 years ago", True),
    ],
)
def test_says_how_long_ago_and_warns_after_a_year(reviewed: date, text: str, warns: bool) -> None:
    age = review_age(reviewed, TODAY)
    assert age is not None
    assert (age.text, age.warns) == (text, warns)


def test_says_nothing_where_nothing_is_known() -> None:
    assert review_age(None, TODAY) is None
