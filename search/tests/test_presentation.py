"""A search's answer as links: each leads to the same search, changed in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from search.page import FacetValue, Hit, HitDocument, Passage, SearchPage
from search.presentation import language_name, present, section_path
from search.query import SearchQuery, Sort

HIT = Hit(
    HitDocument("00000000-0000-4000-8000-000000000001", "Loans", "Library", "", "guide", "Guide", 1, "en", 3, None),
    (Passage(7, 3, "Loans > Fees", "text", "text", 0.9, "/documents/x/?page=3"),),
    0.9,
)


def answered(
    query: SearchQuery, *, count: int = 1, facets: dict[str, tuple[FacetValue, ...]] | None = None
) -> SearchPage:
    return SearchPage(
        query=query.text,
        search_id="s",
        mode="hybrid",
        count=count,
        page=query.page,
        page_size=10,
        hits=(HIT,),
        facets=facets or {},
        response_time=0.01,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        page_count=-(-count // 10),
    )


def test_a_facet_value_turns_itself_on_and_off_and_begins_at_the_first_page() -> None:
    query = SearchQuery(text="loan", departments=("Library",), page=3)
    values = (FacetValue("Finance", "Finance", 4), FacetValue("Library", "Library", 9))
    (facet,) = present(query, answered(query, count=30, facets={"department": values})).facets
    library, finance = facet.values
    assert (library.label, library.selected, library.url) == ("Library", True, "/search/?q=loan")
    assert finance.url == "/search/?q=loan&department=Library&department=Finance"
    assert not finance.selected


def test_a_chosen_value_that_nothing_matches_can_be_taken_back() -> None:
    query = SearchQuery(text="loan", languages=("xx",))
    (facet,) = present(query, answered(query)).facets
    assert (facet.values[0].count, facet.values[0].url) == (0, "/search/?q=loan")


def test_many_values_are_folded_away() -> None:
    query = SearchQuery(text="loan")
    values = tuple(FacetValue(f"D{n}", f"D{n}", 20 - n) for n in range(12))
    (facet,) = present(query, answered(query, facets={"department": values})).facets
    assert (len(facet.values), len(facet.more)) == (6, 6)
    keys = {link.key for link in (*facet.values, *facet.more)}
    assert len(keys) == 12


def test_every_filter_that_is_on_has_a_chip_in_words() -> None:
    query = SearchQuery(
        text="loan",
        doc_types=("faq",),
        languages=("de",),
        tags=("fees",),
        min_priority=4,
        reviewed_after=date(2026, 1, 2),
        reviewed_before=date(2026, 3, 4),
    )
    facets = {"doc_type": (FacetValue("faq", "Questions and answers", 2),), "language": (FacetValue("de", "de", 2),)}
    chips = present(query, answered(query, facets=facets)).chips
    assert [(chip.heading, chip.label) for chip in chips] == [
        ("Type", "Questions and answers"),
        ("Language", "German"),
        ("Key word", "fees"),
        ("Priority from", "4"),
        ("Reviewed after", "from 2 Jan 2026"),
        ("Reviewed before", "before 4 Mar 2026"),
    ]
    assert chips[4].url == "/search/?q=loan&doc_type=faq&language=de&tag=fees&min_priority=4&reviewed_before=2026-03-04"


def test_the_form_carries_filters_but_neither_words_nor_page() -> None:
    query = SearchQuery(text="loan", campuses=("King's Buildings",), page=2, page_size=20)
    assert present(query, answered(query, count=90)).carried == [("campus", "King's Buildings"), ("page_size", "20")]


@pytest.mark.parametrize(
    ("page", "count", "numbers", "previous", "following"),
    [
        (1, 10, [], False, False),
        (1, 25, [1, 2, 3], False, True),
        (6, 120, [1, None, 4, 5, 6, 7, 8, None, 12], True, True),
        (12, 120, [1, None, 10, 11, 12], True, False),
    ],
)
def test_pages_are_linked_around_the_current_one(
    page: int, count: int, numbers: list[int | None], previous: bool, following: bool
) -> None:
    query = SearchQuery(text="loan", page=page)
    answer = present(query, answered(query, count=count))
    assert [link.number for link in answer.pages] == numbers
    assert (bool(answer.previous_url), bool(answer.next_url)) == (previous, following)


def test_a_passage_opens_its_document_there_with_the_search_along() -> None:
    query = SearchQuery(text="late fees", departments=("Library",), page=2)
    (link,) = present(query, answered(query, count=30)).hits
    assert link.url == (
        "/documents/00000000-0000-4000-8000-000000000001/?page=3&passage=7&q=late+fees&department=Library#passage"
    )
    assert link.passages[0].section == "Fees"


def test_the_documents_own_title_is_left_out_of_its_section_paths() -> None:
    assert section_path("Loans > Fees > Late", "Loans") == ("Fees", "Late")
    assert section_path("Fees", "Loans") == ("Fees",)
    assert section_path("Handbook > Fees", "Handbook 2026/27") == ("Fees",)
    assert section_path("Fees", "Fees and Loans") == ("Fees",)
    assert section_path("", "Loans") == ()


def test_languages_have_names() -> None:
    names = [language_name(code) for code in ("de", "zh", "gd", "tlh")]
    assert names == ["German", "Chinese", "Scottish Gaelic", "tlh"]


def test_orders_and_days_are_links_to_the_same_search_from_its_first_page() -> None:
    query = SearchQuery(text="loan", departments=("Library",), page=3, sort=Sort.NEWEST)
    answer = present(query, answered(query, count=30))
    assert [(one.url, one.selected) for one in answer.sorts] == [
        ("/search/?q=loan&department=Library", False),
        ("/search/?q=loan&department=Library&sort=newest", True),
    ]
    last_year, *_ = answer.reviewed
    first = timezone.localdate() - timedelta(days=365)
    assert last_year.url == f"/search/?q=loan&department=Library&reviewed_after={first}&sort=newest"
    chosen = present(replace(query, reviewed_after=first), answered(query)).reviewed
    assert [one.selected for one in chosen] == [True, False, False]
    # Chosen again it is taken back.
    assert chosen[0].url == "/search/?q=loan&department=Library&sort=newest"


def test_filters_alone_have_no_order_to_choose() -> None:
    query = SearchQuery(text="", departments=("Library",))
    assert present(query, answered(query, count=30)).sorts == ()
