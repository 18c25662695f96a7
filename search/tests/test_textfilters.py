"""Filters that are typed among the words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.http import QueryDict

from accounts.models import Campus, Department
from search.query import InvalidQuery, SearchQuery, parse_body, parse_query

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def institution() -> None:
    for name in ("Library", "Registry", "Law", "Law School", "Prüfungsamt", "IT Services"):
        Department.objects.create(name=name)
    for name in ("King's Buildings", "Kingston", "Main"):
        Campus.objects.create(name=name)


@pytest.mark.parametrize(
    ("typed", "text", "filters"),
    [
        ("exam dept:Library", "exam", {"departments": ("Library",)}),
        ("dept:library exam rules", "exam rules", {"departments": ("Library",)}),
        ("exam Department:reg", "exam", {"departments": ("Registry",)}),
        ("exam dept:law", "exam", {"departments": ("Law",)}),
        ('exam dept:"law s"', "exam", {"departments": ("Law School",)}),
        ("exam dept:prufung", "exam", {"departments": ("Prüfungsamt",)}),
        ("exam dept:lib dept:reg", "exam", {"departments": ("Library", "Registry")}),
        ("exam campus:\"King's Buildings\"", "exam", {"campuses": ("King's Buildings",)}),
        ("exam campus:“king's”", "exam", {"campuses": ("King's Buildings",)}),
        ("exam type:policy", "exam", {"doc_types": ("policy",)}),
        ("exam doc_type:questions", "exam", {"doc_types": ("faq",)}),
        ("exam lang:de", "exam", {"languages": ("de",)}),
        ("exam language:German", "exam", {"languages": ("de",)}),
        ("exam lang:zh", "exam", {"languages": ("zh",)}),
        ("exam tag:resit", "exam", {"tags": ("resit",)}),
        ("exam before:2025", "exam", {"reviewed_before": date(2025, 1, 1)}),
        ("exam after:2024-06", "exam", {"reviewed_after": date(2024, 6, 1)}),
        ("exam after:2024-6-5 before:2025-01-31", "exam",
         {"reviewed_after": date(2024, 6, 5), "reviewed_before": date(2025, 1, 31)}),
        ("dept:Library", "", {"departments": ("Library",)}),
        ("dept:Library ?!", "", {"departments": ("Library",)}),
        # What is not understood is ordinary text: unknown, ambiguous, no value, no prefix
        ("exam dept:Nowhere", "exam dept:Nowhere", {}),
        ("exam campus:king", "exam campus:king", {}),
        ("exam dept:", "exam dept:", {}),
        ("exam before:tomorrow after:2024-13", "exam before:tomorrow after:2024-13", {}),
        ("exam lang:klingon", "exam lang:klingon", {}),
        ("exam author:Smith http://x.org", "exam author:Smith http://x.org", {}),
        ("what comes before: the exam", "what comes before: the exam", {}),
        ("xdept:Library", "xdept:Library", {}),
    ],
)  # fmt: skip
def test_filters_are_taken_out_of_the_words(typed: str, text: str, filters: dict[str, Any]) -> None:
    query = parse_query({"q": typed})
    assert query == SearchQuery(text, **filters)
    assert parse_body({"query": typed}) == query
    assert parse_query(QueryDict(query.querystring())) == query


def test_typed_filters_join_those_that_are_on() -> None:
    query = parse_query(
        QueryDict("q=exam+dept:library+dept:reg+before:2024&department=Registry&reviewed_before=2025-01-01")
    )
    assert query.departments == ("Registry", "Library")
    assert query.reviewed_before == date(2024, 1, 1)
    assert query.filters == {"department": ["Registry", "Library"], "reviewed_before": "2024-01-01"}


def test_filters_may_stand_alone_and_nothing_may_not() -> None:
    assert parse_query({"department": "Library"}) == SearchQuery("", departments=("Library",))
    assert parse_body({"filters": {"min_priority": 4}}) == SearchQuery("", min_priority=4)
    for nothing in ({}, {"q": " "}, {"department": " "}):
        with pytest.raises(InvalidQuery, match="Type what you are looking for"):
            parse_query(nothing)


def test_a_tag_is_taken_whether_or_not_there_is_one(django_assert_num_queries: Any) -> None:
    """Else it would tell that somebody has a document with that key word."""
    with django_assert_num_queries(0):
        assert parse_query({"q": "exam tag:merger"}).tags == ("merger",)
