"""Every way to ask becomes one frozen query, or a sentence for each field that is wrong."""

from __future__ import annotations

from datetime import date

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from search.query import InvalidQuery, Mode, SearchQuery, normalise, parse_body, parse_query


@pytest.mark.parametrize(
    "text",
    [
        "update my address",
        "drop a course",
        "'; DROP TABLE ingestion_document; --",
        "<script>alert(1)</script>",
        "a",
        "the of and",
        "https://www.example.org/path?x=1&y=2#z",
        r"^(?:[a-z]+\d{2,})*$ OR 1=1",
        "Straße 大学 جامعة университет",
        "👩🏽‍🎓",
        "100% & co. | !not <-> near:*",
        "C++",
    ],
)
def test_ordinary_and_odd_words_stay_as_they_are(text: str) -> None:
    assert parse_query({"q": text}).text == text
    assert parse_body({"query": text}).text == text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("  two\t words\n", "two words"),
        ("ＣＡＦＥ\u0301", "CAFÉ"),
        ("li\x00b\x07ra\ud800ry", "library"),
        ("a\u202eb\u200b\ufeffc", "abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\xa0b\u3000c", "a b c"),
    ],
)
def test_text_is_normalised(typed: str, meant: str) -> None:
    assert normalise(typed) == meant


@given(st.text(max_size=600))
def test_any_text_gives_a_query_or_a_sentence(text: str) -> None:
    try:
        query = parse_query({"q": text})
    except InvalidQuery as refusal:
        refused = refusal
    else:
        assert 0 < len(query.text) <= 500
        assert normalise(query.text) == query.text
        query.text.encode()
        return
    assert list(refused.errors) == ["q"]


@pytest.mark.parametrize("text", ["", "   ", "\x00\x00", "\u200b", None])
def test_an_empty_query_asks_for_words(text: str | None) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_query({"q": text})
    assert caught.value.errors == {"q": ["Type what you are looking for."]}


@pytest.mark.parametrize("text", ["?!", "...", "''--;", "«»", "()[]{}"])
def test_punctuation_alone_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery, match="There is no word in this query"):
        parse_query({"q": text})


def test_500_characters_are_taken_and_501_are_not() -> None:
    assert len(parse_query({"q": "a" * 500}).text) == 500
    with pytest.raises(InvalidQuery, match="at most 500 characters; this one has 501"):
        parse_query({"q": "a" * 501})
    # The length that counts is that of the normalised text.
    assert parse_query({"q": "a" * 500 + "\x00" + " " * 100}).text == "a" * 500
    with pytest.raises(InvalidQuery, match="this one has 540"):
        parse_query({"q": "\ufdfa" * 30})


def test_a_query_string_is_read_whole() -> None:
    given = QueryDict(
        "q=loans&department=Library&department=IT+Services&campus=Main&doc_type=guide&language=en&language=en"
        "&tag=a&min_priority=4&reviewed_after=2025-01-31&mode=keyword&page=3&page_size=50&utm_source=mail"
    )
    assert parse_query(given) == SearchQuery(
        "loans",
        departments=("Library", "IT Services"),
        campuses=("Main",),
        doc_types=("guide",),
        languages=("en",),
        tags=("a",),
        min_priority=4,
        reviewed_after=date(2025, 1, 31),
        mode=Mode.KEYWORD,
        page=3,
        page_size=50,
    )


def test_a_body_is_read_whole() -> None:
    body = {
        "query": "loans",
        "filters": {"department": ["Library"], "campus": "Main", "min_priority": 2, "reviewed_after": "2025-01-31"},
        "mode": "semantic",
        "page": 2,
        "page_size": 5,
    }
    assert parse_body(body) == SearchQuery(
        "loans",
        departments=("Library",),
        campuses=("Main",),
        min_priority=2,
        reviewed_after=date(2025, 1, 31),
        mode=Mode.SEMANTIC,
        page=2,
        page_size=5,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "0"), ("page", "1001"), ("page", "x"), ("page", "9" * 5000), ("page_size", "51"), ("page_size", "0"),
        ("page_size", "-1"), ("mode", "fuzzy"), ("min_priority", "6"), ("min_priority", "0"),
        ("reviewed_after", "31.01.2025"), ("reviewed_after", "2025-02-30"), ("department", ["x"] * 51),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(name: str, value: str | list[str]) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_query({"q": "loans", name: value})
    assert list(caught.value.errors) == [name]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "non_field_errors"), ("loans", "non_field_errors"), (None, "non_field_errors"), ({}, "query"),
        ({"query": 5}, "query"), ({"query": ["loans"]}, "query"), ({"query": {"a": 1}}, "query"),
        ({"query": "a", "filters": []}, "filters"), ({"query": "a", "filters": "x"}, "filters"),
        ({"query": "a", "filters": 0}, "filters"), ({"query": "a", "filter": {}}, "filter"),
        ({"query": "a", "filters": {"dept": ["x"]}}, "filters.dept"),
        ({"query": "a", "filters": {"department": [1]}}, "filters.department"),
        ({"query": "a", "filters": {"department": {"a": "b"}}}, "filters.department"),
        ({"query": "a", "filters": {"department": [["x"]]}}, "filters.department"),
        ({"query": "a", "filters": {"min_priority": True}}, "filters.min_priority"),
        ({"query": "a", "filters": {"min_priority": [3]}}, "filters.min_priority"),
        ({"query": "a", "filters": {"reviewed_after": 20250131}}, "filters.reviewed_after"),
        ({"query": "a", "filters": {"reviewed_after": True}}, "filters.reviewed_after"),
        ({"query": "a", "mode": 5}, "mode"), ({"query": "a", "mode": ["hybrid"]}, "mode"),
        ({"query": "a", "page": [2]}, "page"), ({"query": "a", "page": True}, "page"),
        ({"query": "a", "page": 2.5}, "page"), ({"query": "a", "page": float("inf")}, "page"),
        ({"query": "a", "page_size": 51}, "page_size"), ({"query": "a", "page_size": {}}, "page_size"),
    ],
)  # fmt: skip
def test_a_wrong_type_in_a_body_is_named(body: object, field: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_body(body)
    assert list(caught.value.errors) == [field]


def test_nulls_in_a_body_ask_for_nothing() -> None:
    body = {"query": "loans", "filters": None, "mode": None, "page": None, "page_size": None}
    assert parse_body(body) == SearchQuery("loans")
    assert parse_body({"query": "loans", "filters": {"department": None}}) == SearchQuery("loans")


def test_a_query_survives_its_own_query_string() -> None:
    query = SearchQuery(
        "a & b=c", departments=("A", "B"), min_priority=2, reviewed_after=date(2025, 1, 31), mode=Mode.KEYWORD, page=2
    )
    assert parse_query(QueryDict(query.querystring())) == query
    assert SearchQuery("loans").querystring() == "q=loans"


def test_filters_are_put_on_and_taken_off_from_the_first_page() -> None:
    query = SearchQuery("loans", departments=("A", "B"), min_priority=2, page=4)
    assert query.without("department", "A") == SearchQuery("loans", departments=("B",), min_priority=2)
    assert query.without("department") == SearchQuery("loans", min_priority=2)
    assert query.without("min_priority") == SearchQuery("loans", departments=("A", "B"))
    assert query.having("tag", "x") == SearchQuery("loans", departments=("A", "B"), min_priority=2, tags=("x",))
    assert query.with_page(5).page == 5
